package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	btrfs "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// System is one that is installed.
type System struct {
	ID          string       `json:"id"` // where its root is, as Place.String has it
	Root        Place        `json:"root"`
	FSID        string       `json:"fsid"`
	Label       string       `json:"label,omitempty"` // of the file system
	NixOS       bool         `json:"nixos"`
	Release     string       `json:"release,omitempty"` // PRETTY_NAME of os-release(5)
	Hostname    string       `json:"hostname,omitempty"`
	Matches     []string     `json:"matches,omitempty"` // what it has in common with the host that the rescue is for
	ESP         *ESP         `json:"esp,omitempty"`     // the first of its disk, nil where there is none
	Mounts      []Mount      `json:"mounts"`
	Subvolumes  []Subvolume  `json:"subvolumes"`
	Generations []Generation `json:"generations"`
	Swapfile    *Swapfile    `json:"swapfile,omitempty"`
	Hibernated  bool         `json:"hibernated,omitempty"` // a session sleeps in it: nothing may write to the file system
	Unclean     bool         `json:"unclean,omitempty"`    // it was not unmounted: what was synced last shows once it is mounted
}

// finder reads one file system.
type finder struct {
	look     *look
	at       *volume
	fs       *btrfs.FS
	top      *btrfs.Volume
	list     []btrfs.Subvolume
	esp      *esp // of its disk, nil where there is none
	view     *view.View
	dirs     []view.Mount
	current  *generation // that the profile of NixOS leads to
	sys      System
	sessions []Session
	problems problems
	causes   []cause
	damaged  map[ondisk.Physical]bool // bad copies that were met
	damage   string                   // the first of them
}

// cause is why something could not be read.
type cause struct {
	text string
	what []string // could not be read
}

// maxDamaged bounds how many damaged copies are counted.
const maxDamaged = 10_000

// system looks for a system in a btrfs.
func (l *look) system(ctx context.Context, v *volume) {
	var f *finder
	err := btrfs.Retry(func() (*btrfs.FS, error) {
		opened, err := btrfs.Open(l.section(v.Place), v.Size)
		if err != nil {
			return nil, err
		}
		f = newFinder(l, v, opened)
		return opened, f.run(ctx)
	})
	if f != nil {
		f.report()
	}
	if err != nil {
		l.problems.add(Damage, v.String(), "what is on it cannot be told; save what can be saved before you repair it", "btrfs %q: %v", labelOf(v), err)
	}
}

func labelOf(v *volume) string {
	if c := v.holds("btrfs"); c != nil {
		return text(c.Label)
	}
	return ""
}

func fsid(f *btrfs.FS) string { return ids.UUID(f.Super().FSID).String() }

func newFinder(l *look, v *volume, opened *btrfs.FS) *finder {
	f := &finder{look: l, at: v, fs: opened, damaged: map[ondisk.Physical]bool{}}
	opened.OnDamage(func(d btrfs.Damage) {
		if len(f.damaged) < maxDamaged {
			f.damaged[d.Physical] = true
		}
		if f.damage == "" {
			f.damage = fmt.Sprintf("copy %d of %d of the bytes at %d: %v", d.Copy, d.Copies, d.Physical, d.Err)
		}
	})
	f.sys = System{
		ID: v.String(), Root: v.Place, FSID: fsid(opened), Label: text(opened.Super().Label), Unclean: opened.LogDirty(),
		Mounts: []Mount{}, Subvolumes: []Subvolume{}, Generations: []Generation{},
	}
	if len(l.esps) > 0 {
		f.esp = l.esps[0]
	}
	return f
}

// run reads all of it. What cannot be read of a part is a problem, and the next part is
// read; the error is of what all parts need.
func (f *finder) run(ctx context.Context) error {
	var err error
	if f.top, err = f.fs.Subvolume(""); err != nil {
		return err
	}
	if f.list, err = f.fs.Subvolumes(); err != nil {
		f.unread("its list of subvolumes", err)
	}
	f.locate()
	if !f.isSystem() {
		return nil
	}
	for _, stage := range []func(){f.generations, f.release, f.fstab, f.subvolumes, f.swapfile, f.judgeRoot} {
		if err := ctx.Err(); err != nil {
			return err
		}
		stage()
	}
	return nil
}

// unread notes what could not be read.
func (f *finder) unread(what string, err error) {
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err // the name is that of the file in the file system, what is that in the system
	}
	i := slices.IndexFunc(f.causes, func(c cause) bool { return c.text == err.Error() })
	if i < 0 {
		f.causes = append(f.causes, cause{text: err.Error()})
		i = len(f.causes) - 1
	}
	if !slices.Contains(f.causes[i].what, what) {
		f.causes[i].what = append(f.causes[i].what, what)
	}
}

// isUnread reports whether something was noted as unread.
func (f *finder) isUnread(what string) bool {
	return slices.ContainsFunc(f.causes, func(c cause) bool { return slices.Contains(c.what, what) })
}

// maxUnread bounds the names in one problem.
const maxUnread = 4

// String says what could not be read, and why.
func (c cause) String() string {
	names := strings.Join(c.what[:min(len(c.what), maxUnread)], ", ")
	if more := len(c.what) - maxUnread; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return "cannot be read: " + names + ": " + c.text
}

// report hands over what was found. A file system that is no system's is told by its
// problems alone.
func (f *finder) report() {
	if n := f.fs.SuperMirror(); n > 0 {
		f.problems.add(Boot, f.sys.ID, "the kernel does not mount it; btrfs rescue super-recover puts that right", "superblock: the first copy is damaged, copy %d is whole", n+1)
	}
	for _, c := range f.causes {
		f.problems.add(Damage, f.sys.ID, "it is damaged: save what can be saved before you repair it", "%s", c)
	}
	if n := len(f.damaged); n > 0 {
		f.problems.add(Damage, f.sys.ID, "a scrub repairs what has another copy that is whole", "%s: %s", plural(n, "damaged copy was met", "damaged copies were met"), f.damage)
	}
	id := ""
	if f.isSystem() {
		id = f.sys.ID
		if f.esp != nil {
			f.sys.ESP = &f.esp.ESP
		} else {
			f.problems.add(Boot, f.sys.ID, "the firmware starts nothing from this disk; repairing the boot makes one", "there is no ESP on %s", f.look.disk.Path)
		}
		f.look.systems = append(f.look.systems, f.sys)
	}
	f.look.sessions = append(f.look.sessions, f.sessions...)
	for _, p := range f.problems.list {
		p.System = id
		f.look.problems.list = append(f.look.problems.list, p)
	}
}

// release reads what the system calls itself, and the machine.
func (f *finder) release() {
	top := ""
	if f.current != nil {
		top = f.current.top
	}
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release", top + "/etc/os-release"} {
		if release, ok := f.text(name); ok && f.sys.Release == "" {
			f.sys.Release = prettyName(release)
		}
	}
	for _, name := range []string{"/etc/hostname", top + "/etc/hostname"} {
		if host, ok := f.text(name); ok && f.sys.Hostname == "" {
			f.sys.Hostname = text(host)
		}
	}
	if p := f.planOf(); p != nil && f.sys.Hostname == "" {
		f.sys.Hostname = p.Profile.Hostname
	}
}

// text reads a small file of the system; false where there is none.
func (f *finder) text(name string) (string, bool) {
	t, err := f.view.Text(name)
	if err == nil {
		return t, true
	}
	if !errors.Is(err, fs.ErrNotExist) {
		f.unread(name, err)
	}
	return "", false
}

// prettyName returns PRETTY_NAME of os-release(5), or NAME.
func prettyName(release string) string {
	name := ""
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = text(strings.Trim(value, `"'`))
		switch {
		case key == "PRETTY_NAME":
			return value
		case key == "NAME":
			name = value
		}
	}
	return name
}

// programs are what a system is started by, where it is no NixOS: the links and files
// that the kernel or an initramfs looks for.
var programs = []string{"/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/etc/init", "/init"}

// judgeRoot says what is missing of the system itself.
func (f *finder) judgeRoot() {
	const back = "going back to a snapshot, or to the system as it was built, brings it back"
	if f.sys.NixOS {
		if f.current == nil {
			f.problems.add(Boot, f.sys.ID, "another generation can be chosen", "NixOS: its profile leads to no generation that is there")
		}
		return
	}
	for _, name := range programs {
		if _, err := f.view.Resolve(name, true); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	f.problems.add(Boot, f.sys.ID, "the system does not start; "+back, "there is no init in %s: what was in it is gone", f.rootName())
}

// rootName names the subvolume of the root.
func (f *finder) rootName() string {
	for _, d := range f.dirs {
		if d.Target == "/" && d.Dir != "" {
			return "subvolume " + d.Dir
		}
	}
	return "its top level"
}
