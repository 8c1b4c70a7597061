package inventory

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// systemLink is the profile of NixOS.
const systemLink = profilesDir + "/system"

// marks are files of which a system has one at least.
var marks = []string{"/etc/os-release", "/usr/lib/os-release", "/etc/fstab", "/etc/NIXOS", systemLink}

// usual are the names that subvolumes have by habit, by where they are mounted: those of
// our layouts, and of the installers of other systems.
var usual = []struct {
	target string
	names  []string
}{
	{"/", []string{"@", "@rootfs", "root", "@root"}},
	{"/home", []string{"@home", "home"}},
	{"/nix", []string{"@nix", "nix"}},
	{"/swap", []string{"@swap", "swap"}},
	{"/var", []string{"@var", "var"}},
}

// planOf returns the plan that the system was made by: that of the manifest on its ESP,
// where that speaks of this partition, or of the only one that it can mean.
func (f *finder) planOf() *plan.Plan {
	if f.esp == nil || f.esp.plan == nil || f.esp.plan.Medium != nil {
		return nil
	}
	root := f.esp.plan.Partition(plan.RoleRoot)
	if root == nil || f.at.PARTUUID != "" && !strings.EqualFold(root.PARTUUID.String(), f.at.PARTUUID) && root.FSID != f.sys.FSID && root.Label != f.at.PARTLABEL {
		return nil
	}
	return f.esp.plan
}

// locate finds out what is mounted where: by the manifest, by the plan of the host where
// that fits, and by the names that are usual. What fstab says comes later, once there is
// a view to read it by.
func (f *finder) locate() {
	for _, p := range []*plan.Plan{f.planOf(), f.look.host} {
		if p == nil || f.dirs != nil {
			continue
		}
		var dirs []view.Mount
		for _, m := range p.Mounts {
			if m.Subvol != "" && f.isDir(m.Subvol) {
				dirs = append(dirs, view.Mount{Target: m.Target, Dir: m.Subvol})
			}
		}
		if slices.ContainsFunc(dirs, func(m view.Mount) bool { return m.Target == "/" }) {
			f.dirs = dirs
		}
	}
	if f.dirs == nil {
		f.dirs = f.guess()
	}
	f.view = view.New(f.top, f.dirs)
	f.sys.NixOS = f.isNixOS()
}

// isNixOS reports whether the system is one, also where only its boot menu says so.
func (f *finder) isNixOS() bool {
	for _, name := range []string{systemLink, "/etc/NIXOS"} {
		if _, err := f.view.Lstat(name); err == nil {
			return true
		}
	}
	return f.planOf() != nil && slices.ContainsFunc(f.esp.Entries, func(e Entry) bool { return e.Toplevel != "" })
}

// guess returns what is mounted where by the names of subvolumes.
func (f *finder) guess() (dirs []view.Mount) {
	for _, u := range usual {
		for _, name := range u.names {
			if f.subvolume(name) {
				dirs = append(dirs, view.Mount{Target: u.target, Dir: name})
				break
			}
		}
	}
	if len(dirs) == 0 || dirs[0].Target != "/" {
		dirs = append(dirs, view.Mount{Target: "/", Dir: f.defaultSubvolume()})
	}
	return dirs
}

// defaultSubvolume returns the path of the one that is mounted where none is named.
func (f *finder) defaultSubvolume() string {
	id, err := f.fs.DefaultSubvolume()
	if err != nil {
		f.unread("its default subvolume", err)
	}
	for _, s := range f.list {
		if s.ID == id {
			return s.Path
		}
	}
	return ""
}

// subvolume reports whether there is one of this path.
func (f *finder) subvolume(name string) bool {
	for _, s := range f.list {
		if s.Path == name {
			return true
		}
	}
	return f.list == nil && f.isDir(name)
}

// isDir reports whether there is a directory at a path from the top level.
func (f *finder) isDir(name string) bool {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return true
	}
	info, err := f.top.Lstat(name)
	return err == nil && info.IsDir()
}

// has reports whether the system has a file. One that cannot be read is there.
func (f *finder) has(name string) bool {
	_, err := f.view.Lstat(name)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// isSystem reports whether the file system holds a system, or what is left of one.
func (f *finder) isSystem() bool {
	if f.view == nil {
		return false
	}
	if f.planOf() != nil || slices.ContainsFunc(marks, f.has) {
		return true
	}
	for _, name := range usual[0].names[:2] { // the others are words that a backup may be called by
		if f.subvolume(name) {
			return true
		}
	}
	return false
}
