package inventory

import (
	"path"
	"strings"
	"time"

	btrfs "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/layouts"
)

// Role says what a subvolume is.
type Role string

// The roles of subvolumes.
const (
	RoleRoot      Role = "root"      // mounted at /
	RoleHome      Role = "home"      // mounted at /home
	RoleNix       Role = "nix"       // mounted at /nix
	RoleVar       Role = "var"       // mounted at /var
	RoleSwap      Role = "swap"      // holds the swapfile
	RoleMounted   Role = "mounted"   // mounted elsewhere
	RoleFactory   Role = "factory"   // what Of was when the image was built
	RoleSnapshot  Role = "snapshot"  // what Of was at the time Made
	RoleSnapshots Role = "snapshots" // holds snapshots of Of
	RoleOld       Role = "old"       // of the system before an installation that kept the homes
	RoleNew       Role = "new"       // of an installation that the next boot switches to
	RoleOther     Role = "other"
)

// Subvolume is one of a system's file system.
type Subvolume struct {
	Path     string    `json:"path"` // from the top level
	ID       uint64    `json:"id"`
	Role     Role      `json:"role"`
	Mount    string    `json:"mount,omitempty"` // where it is mounted
	Of       string    `json:"of,omitempty"`    // path of the subvolume that it is a state of, also where that is gone
	ReadOnly bool      `json:"read_only,omitempty"`
	Made     time.Time `json:"made,omitzero"`
}

// maxSubvolumes bounds those that are listed.
const maxSubvolumes = 10_000

// snapshotsName is the subvolume that ours and snapper have snapshots in.
const snapshotsName = ".snapshots"

// factoryName begins the names of what layouts.FactoryName makes.
var factoryName = layouts.FactoryName("")

// subvolumes says of each what it is.
func (f *finder) subvolumes() {
	byUUID := map[ids.UUID]string{}
	for _, s := range f.list {
		byUUID[s.UUID] = s.Path
	}
	for _, s := range f.list {
		if len(f.sys.Subvolumes) == maxSubvolumes {
			f.problems.add(Note, f.sys.ID, "", "it has %d subvolumes, of which %d are told", len(f.list), maxSubvolumes)
			return
		}
		sub := Subvolume{Path: s.Path, ID: s.ID, ReadOnly: s.ReadOnly, Made: s.Otime.UTC()}
		if s.Otime.Unix() == 0 {
			sub.Made = time.Time{}
		}
		if !f.roleByMount(&sub) && !f.roleByName(&sub) {
			roleByParent(&sub, s, byUUID)
		}
		f.sys.Subvolumes = append(f.sys.Subvolumes, sub)
	}
	f.pending()
}

// pending says that an installation that keeps the homes was not switched to.
func (f *finder) pending() {
	var names []string
	for _, s := range f.sys.Subvolumes {
		if s.Role == RoleNew {
			names = append(names, s.Path)
		}
	}
	if len(names) > 0 {
		f.problems.add(Note, f.sys.ID, "the first boot of the new system finishes it; installing again discards it", "an installation beside the system is not switched to: %s", strings.Join(names, ", "))
	}
}

// roleByMount reports whether a subvolume is mounted.
func (f *finder) roleByMount(sub *Subvolume) bool {
	roles := map[string]Role{"/": RoleRoot, "/home": RoleHome, "/nix": RoleNix, "/var": RoleVar}
	for _, d := range f.dirs {
		if d.Dir != sub.Path || d.Dir == "" {
			continue
		}
		sub.Mount, sub.Role = d.Target, RoleMounted
		if r, ok := roles[d.Target]; ok {
			sub.Role = r
		}
		if sub.Role == RoleMounted && f.hasSwapfile(sub.Path) {
			sub.Role = RoleSwap
		}
		return true
	}
	return false
}

// roleByName reports whether a subvolume has a name by which it is known.
func (f *finder) roleByName(sub *Subvolume) bool {
	first, _, _ := strings.Cut(sub.Path, "/")
	for mark, role := range map[string]Role{beside.Old("", ""): RoleOld, beside.New("", ""): RoleNew} {
		if name, ok := cutID(first, mark); ok {
			sub.Role, sub.Of = role, name+strings.TrimPrefix(sub.Path, first)
			return true
		}
	}
	if f.isFactory(sub) {
		return true
	}
	if path.Base(sub.Path) == snapshotsName {
		sub.Role, sub.Of = RoleSnapshots, strings.TrimPrefix(path.Dir(sub.Path), ".")
		return true
	}
	return false
}

// cutID cuts a mark and the ID of an installation behind it off a name.
func cutID(name, mark string) (before string, ok bool) {
	i := strings.LastIndex(name, mark)
	if i <= 0 || beside.CheckID(name[i+len(mark):]) != nil {
		return "", false
	}
	return name[:i], true
}

// isFactory reports whether a subvolume is a snapshot that was taken at build, of one that
// may be gone.
func (f *finder) isFactory(sub *Subvolume) bool {
	rest, ok := strings.CutPrefix(sub.Path, factoryName)
	if !ok || rest != "" && rest[0] != '-' || strings.Contains(rest, "/") {
		return false
	}
	sub.Role, sub.Of = RoleFactory, "@"+strings.TrimPrefix(rest, "-")
	for _, d := range f.dirs { // the name of "var" is that of "@var"
		if d.Dir != "" && layouts.FactoryName(d.Dir) == sub.Path {
			sub.Of = d.Dir
		}
	}
	return true
}

// roleByParent finds out whether a subvolume is a snapshot, and of what: of the one that
// it says, or, since that may be gone, of the one in which it is kept.
func roleByParent(sub *Subvolume, s btrfs.Subvolume, byUUID map[ids.UUID]string) {
	sub.Role = RoleOther
	holder, _, kept := strings.Cut(sub.Path, "/"+snapshotsName+"/")
	if s.ParentUUID.IsZero() && !kept {
		return
	}
	sub.Role = RoleSnapshot
	sub.Of = byUUID[s.ParentUUID]
	if sub.Of == "" && kept {
		sub.Of = holder
	}
}
