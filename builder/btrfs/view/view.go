// Package view shows the subvolumes of a btrfs as the running system has them mounted,
// for files that are named as that system names them.
//
// It is read as package reader reads: nothing is mounted. Symlinks are followed across the
// mounts, which a reader.Volume by itself does not do: on NixOS /etc/fstab of one subvolume
// leads into the store in another. What is mounted from elsewhere is not seen.
package view

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Bounds of what is read of a tree that may be hostile.
const (
	maxSymlinks = 40      // on the way to a file, as in Linux
	maxEntries  = 1 << 17 // of a directory
	maxSeen     = 1 << 16 // nodes that are remembered
)

// MaxText bounds a file that Text returns, in bytes.
const MaxText = 1 << 20

// Mount says which directory of the file system, from its top level, is at a place of
// the running system.
type Mount struct{ Target, Dir string }

// View shows the subvolumes of a file system as they are mounted. Paths are absolute.
type View struct {
	top    *reader.Volume
	mounts []Mount
	seen   map[string]node // what paths from the top level are; up to maxSeen
}

// New returns the view of a file system, by its top level, with these mounts.
func New(top *reader.Volume, mounts []Mount) *View { return &View{top: top, mounts: mounts} }

// node is a file on the way to another: what it is, and where it leads as a symlink.
type node struct {
	mode fs.FileMode
	link string
}

// place returns the path from the top level of a path without symlinks; false where
// nothing is mounted.
func (v *View) place(name string) (string, bool) {
	var best *Mount
	for i, m := range v.mounts {
		if below(name, m.Target) && (best == nil || len(m.Target) > len(best.Target)) {
			best = &v.mounts[i]
		}
	}
	if best == nil {
		return "", false
	}
	rest := strings.TrimPrefix(name, strings.TrimSuffix(best.Target, "/"))
	return cmp.Or(path.Join(best.Dir, strings.TrimPrefix(rest, "/")), "."), true
}

// below reports whether a path is a directory or in it.
func below(name, dir string) bool {
	return dir == "/" || name == dir || strings.HasPrefix(name, dir+"/")
}

// Resolve follows the symlinks of a path, its last element too if last is true, and
// returns the path from the top level. What is not there is fs.ErrNotExist.
func (v *View) Resolve(name string, last bool) (string, error) {
	todo, here := strings.Split(name, "/"), "/"
	for links := 0; len(todo) > 0; {
		next := path.Join(here, todo[0])
		todo = todo[1:]
		at, ok := v.place(next)
		if !ok { // as below a mount point that is itself not looked at
			here = next
			continue
		}
		n, err := v.look(at)
		if err != nil && v.isAbove(next) && errors.Is(err, fs.ErrNotExist) {
			here = next
			continue
		}
		if err != nil {
			return "", err
		}
		if n.mode&fs.ModeSymlink == 0 || len(todo) == 0 && !last {
			if len(todo) > 0 && !n.mode.IsDir() {
				return "", absent(name)
			}
			here = next
			continue
		}
		if links++; links > maxSymlinks {
			return "", fault.New(fault.Input, "", "%s: too many levels of symbolic links", name)
		}
		if path.IsAbs(n.link) {
			here = "/"
		}
		todo = append(strings.Split(n.link, "/"), todo...)
	}
	at, ok := v.place(here)
	if !ok {
		return "", absent(name)
	}
	return at, nil
}

func absent(name string) error { return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} }

// look describes the file at a path from the top level.
func (v *View) look(at string) (n node, err error) {
	if n, ok := v.seen[at]; ok {
		return n, nil
	}
	info, err := v.top.Lstat(at)
	if err != nil {
		return n, err
	}
	n.mode = info.Mode()
	if n.mode&fs.ModeSymlink != 0 {
		if n.link, err = v.top.ReadLink(at); err != nil {
			return n, err
		}
	}
	if v.seen == nil {
		v.seen = map[string]node{}
	}
	if len(v.seen) < maxSeen {
		v.seen[at] = n
	}
	return n, nil
}

// isAbove reports whether something is mounted below a path.
func (v *View) isAbove(name string) bool {
	for _, m := range v.mounts {
		if below(m.Target, name) {
			return true
		}
	}
	return false
}

// Has reports whether there is a file of this name, even a symlink that leads nowhere.
func (v *View) Has(name string) (bool, error) {
	at, err := v.Resolve(name, false)
	if err == nil {
		_, err = v.look(at)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Link returns the target of a symlink, "" where there is none.
func (v *View) Link(name string) (string, error) {
	at, err := v.Resolve(name, false)
	if err != nil {
		return "", ignoreAbsent(err)
	}
	n, err := v.look(at)
	return n.link, ignoreAbsent(err)
}

// LeadsTo reports whether a symlink leads to a path, itself or through others.
func (v *View) LeadsTo(name, end string) (bool, error) {
	for range maxSymlinks {
		target, err := v.Link(name)
		if err != nil || target == "" {
			return false, err
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		if target == end {
			return true, nil
		}
		name = target
	}
	return false, nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Open opens a file, through symlinks.
func (v *View) Open(name string) (fs.File, error) {
	at, err := v.Resolve(name, true)
	if err != nil {
		return nil, err
	}
	return v.top.Open(at)
}

// Lstat describes a file, also where it is a symlink.
func (v *View) Lstat(name string) (fs.FileInfo, error) {
	at, err := v.Resolve(name, false)
	if err != nil {
		return nil, err
	}
	return v.top.Lstat(at)
}

// Text returns a small file. What is neither that nor absent, such as a directory, has no
// text.
func (v *View) Text(name string) (string, error) {
	at, err := v.Resolve(name, true)
	if err != nil {
		return "", err
	}
	info, err := v.top.Lstat(at)
	if err != nil || !info.Mode().IsRegular() {
		return "", err
	}
	if info.Size() > MaxText {
		return "", fault.New(fault.Input, "", "%s: %d bytes, expected at most %d", name, info.Size(), MaxText)
	}
	data, err := v.top.ReadFile(at)
	return string(data), err
}

// List returns the names in a directory, sorted; none where it is not there.
func (v *View) List(name string) ([]fs.DirEntry, error) {
	at, err := v.Resolve(name, true)
	if err != nil {
		return nil, ignoreAbsent(err)
	}
	info, err := v.top.Lstat(at)
	if err != nil || !info.IsDir() {
		return nil, ignoreAbsent(err)
	}
	entries, err := v.top.ReadDir(at)
	if err != nil {
		return nil, err
	}
	return entries, checkEntries(name, len(entries))
}

func checkEntries(name string, n int) error {
	if n > maxEntries {
		return fault.New(fault.Input, "", "%s: %d entries, expected at most %d", name, n, maxEntries)
	}
	return nil
}
