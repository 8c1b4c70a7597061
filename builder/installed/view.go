package installed

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
	maxText     = 1 << 20 // bytes of a small file
	maxEntries  = 1 << 17 // of a directory
	maxSeen     = 1 << 16 // nodes that are remembered
)

// mount says which directory of the file system, from its top level, is at a place of
// the running system.
type mount struct{ target, dir string }

// view shows the subvolumes of a file system as they are mounted in the running system.
// Paths are absolute, and symlinks are followed across the mounts.
type view struct {
	top    *reader.Volume
	mounts []mount
	seen   map[string]node // what paths from the top level are; up to maxSeen
}

// node is a file on the way to another: what it is, and where it leads as a symlink.
type node struct {
	mode fs.FileMode
	link string
}

// place returns the path from the top level of a path without symlinks; false where
// nothing is mounted.
func (v *view) place(name string) (string, bool) {
	var best *mount
	for i, m := range v.mounts {
		if below(name, m.target) && (best == nil || len(m.target) > len(best.target)) {
			best = &v.mounts[i]
		}
	}
	if best == nil {
		return "", false
	}
	rest := strings.TrimPrefix(name, strings.TrimSuffix(best.target, "/"))
	return cmp.Or(path.Join(best.dir, strings.TrimPrefix(rest, "/")), "."), true
}

// below reports whether a path is a directory or in it.
func below(name, dir string) bool {
	return dir == "/" || name == dir || strings.HasPrefix(name, dir+"/")
}

// resolve follows the symlinks of a path, its last element too if last is true, and
// returns the path from the top level. What is not there is fs.ErrNotExist.
func (v *view) resolve(name string, last bool) (string, error) {
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
func (v *view) look(at string) (n node, err error) {
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
func (v *view) isAbove(name string) bool {
	for _, m := range v.mounts {
		if below(m.target, name) {
			return true
		}
	}
	return false
}

// has reports whether there is a file of this name, even a symlink that leads nowhere.
func (v *view) has(name string) (bool, error) {
	at, err := v.resolve(name, false)
	if err == nil {
		_, err = v.look(at)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// link returns the target of a symlink, "" where there is none.
func (v *view) link(name string) (string, error) {
	at, err := v.resolve(name, false)
	if err != nil {
		return "", ignoreAbsent(err)
	}
	n, err := v.look(at)
	return n.link, ignoreAbsent(err)
}

// leadsTo reports whether a symlink leads to a path, itself or through others.
func (v *view) leadsTo(name, end string) (bool, error) {
	for range maxSymlinks {
		target, err := v.link(name)
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

// text returns a small file. What is neither that nor absent, such as a directory, has no
// text.
func (v *view) text(name string) (string, error) {
	at, err := v.resolve(name, true)
	if err != nil {
		return "", err
	}
	info, err := v.top.Lstat(at)
	if err != nil || !info.Mode().IsRegular() {
		return "", err
	}
	if info.Size() > maxText {
		return "", fault.New(fault.Input, "", "%s: %d bytes, expected at most %d", name, info.Size(), maxText)
	}
	data, err := v.top.ReadFile(at)
	return string(data), err
}

// list returns the names in a directory, sorted; none where it is not there.
func (v *view) list(name string) ([]fs.DirEntry, error) {
	at, err := v.resolve(name, true)
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
