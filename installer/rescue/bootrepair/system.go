package bootrepair

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

const (
	fstabName     = "etc/fstab"
	profileName   = "var/nix/profiles/system" // below what is mounted at /nix
	profileLink   = "nix/var/nix/profiles/system"
	maxText       = 1 << 20 // bytes of a table of mounts
	nixStoreMount = "/nix"
)

// mount says which directory of the file system, from its top level, is at a place of
// the running system.
type mount struct{ target, dir string }

// system is an installed system in a file system that nobody has mounted.
type system struct {
	fsys   *reader.FS
	top    *reader.Volume
	nixos  bool
	table  []fstab.Line // what it mounts
	mounts []mount
}

// openSystem finds the only system of a file system: that whose table of mounts names the
// very subvolume that it lies in, or a NixOS by its profile. Errors are of class
// fault.Input.
func openSystem(fsys *reader.FS) (*system, error) {
	top, err := fsys.Subvolume("")
	if err != nil {
		return nil, err
	}
	dirs, err := writable(fsys)
	if err != nil {
		return nil, err
	}
	var found []*system
	var names []string
	for _, dir := range dirs {
		for _, try := range []func(string) (*system, error){
			func(dir string) (*system, error) { return nixosIn(top, dir) },
			func(dir string) (*system, error) { return otherIn(top, dir) },
		} {
			s, err := try(dir)
			if err != nil {
				return nil, fault.New(fault.Input, "", "subvolume %q: %w", dir, err)
			}
			if s != nil {
				s.fsys, s.top = fsys, top
				found, names = append(found, s), append(names, cmp.Or(dir, "/"))
				break
			}
		}
	}
	found = preferNixOS(found)
	switch len(found) {
	case 0:
		return nil, fault.New(fault.Input, "", "no subvolume has a profile of NixOS, or an /%s that names it as the root", fstabName)
	case 1:
		return found[0], nil
	}
	return nil, fault.New(fault.Input, "delete the subvolume of one, or make it read-only", "%d systems, in the subvolumes %s; expected one", len(found), strings.Join(names, ", "))
}

// preferNixOS leaves out the roots of systems that a NixOS mounts itself: its activation
// leaves an /etc/fstab there.
func preferNixOS(found []*system) []*system {
	i := slices.IndexFunc(found, func(s *system) bool { return s.nixos })
	if i < 0 {
		return found
	}
	return slices.DeleteFunc(found, func(s *system) bool {
		return !s.nixos && slices.Contains(found[i].mounts, s.mounts[0])
	})
}

// writable returns the subvolumes that can be mounted as a system: none that is kept
// read-only, and none that stands beside what took its place.
func writable(fsys *reader.FS) ([]string, error) {
	list, err := fsys.Subvolumes()
	if err != nil {
		return nil, err
	}
	dirs := []string{""}
	for _, s := range list {
		if !s.ReadOnly && !strings.Contains(s.Path, ".old-") && !strings.Contains(s.Path, ".new-") {
			dirs = append(dirs, s.Path)
		}
	}
	return dirs, nil
}

// nixosIn returns the NixOS whose store is in a directory: one that is mounted at /nix, or
// a root with /nix in it.
func nixosIn(top *reader.Volume, dir string) (*system, error) {
	for _, store := range []string{dir, path.Join(dir, nixStoreMount[1:])} {
		link, err := readLink(top, path.Join(store, profileName))
		if err != nil {
			return nil, err
		}
		if link == "" {
			continue
		}
		s := &system{top: top, nixos: true, mounts: []mount{{nixStoreMount, store}}}
		target, err := readLink(top, path.Join(store, path.Dir(profileName), path.Base(link)))
		if err != nil {
			return nil, err
		}
		toplevel, err := nix.ParseStorePath(target)
		if err != nil {
			return nil, nil // a root that holds a copy of a profile
		}
		text, err := s.read(toplevel.String() + "/" + fstabName)
		if err != nil {
			return nil, err
		}
		return s, s.setTable(text)
	}
	return nil, nil
}

// otherIn returns the system whose root is a directory.
func otherIn(top *reader.Volume, dir string) (*system, error) {
	s := &system{top: top, mounts: []mount{{"/", dir}}}
	text, err := s.read("/" + fstabName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.setTable(text); err != nil {
		return nil, nil // a table of something else; the system is told by its own
	}
	named := slices.ContainsFunc(s.mounts, func(m mount) bool { return m.dir == dir })
	if !s.hasRoot() && len(s.mounts) > 0 && !named { // below a root in memory, which has no line
		s.mounts = slices.Insert(s.mounts, 0, mount{"/", dir})
		return s, nil
	}
	if slices.Contains(s.mounts, mount{"/", dir}) {
		return s, nil
	}
	return nil, nil
}

// hasRoot reports whether the table mounts something at /.
func (s *system) hasRoot() bool {
	return slices.ContainsFunc(s.table, func(l fstab.Line) bool { return l.IsMount() && l.Target == "/" })
}

// readLink returns the target of a symlink, "" where there is none.
func readLink(top *reader.Volume, name string) (string, error) {
	target, err := top.ReadLink(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return "", nil
	}
	return target, err
}

// setTable takes what the system mounts from its table, in the order of their depth.
func (s *system) setTable(text []byte) error {
	lines, err := fstab.Parse(string(text))
	if err != nil {
		return err
	}
	s.table, s.mounts = lines, nil
	for _, l := range lines {
		if dir, ok := l.Option("subvol"); ok && l.Type == kindBtrfs {
			s.mounts = append(s.mounts, mount{l.Target, strings.Trim(dir, "/")})
		} else if l.Type == kindBtrfs && l.Target == "/" {
			s.mounts = append(s.mounts, mount{"/", ""})
		}
	}
	slices.SortStableFunc(s.mounts, func(a, b mount) int { return cmp.Compare(len(a.target), len(b.target)) })
	if len(s.mounts) == 0 {
		return fault.New(fault.Input, "", "/%s: mounts no btrfs", fstabName)
	}
	return nil
}

// place returns the path from the top level of a path without symlinks; false where
// nothing is mounted.
func (s *system) place(name string) (string, bool) {
	for _, m := range slices.Backward(s.mounts) { // the deepest first
		if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(m.target, "/")); ok && (rest == "" || rest[0] == '/') {
			return cmp.Or(strings.Trim(path.Join(m.dir, rest), "/"), "."), true
		}
	}
	return "", false
}

// read returns a small file, through symlinks and across mounts.
func (s *system) read(name string) ([]byte, error) {
	t := newTree(s)
	e, err := t.follow(strings.Trim(name, "/"))
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	data, err := e.Read(maxText)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", name, err)
	}
	return data, nil
}
