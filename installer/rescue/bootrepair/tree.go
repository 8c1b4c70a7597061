package bootrepair

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Bounds of what is read of a system that may be hostile.
const (
	maxSymlinks = 40      // on the way to a file, as in Linux
	maxEntries  = 1 << 18 // that a tree holds: modules and firmware of all kernels
)

// tree is as much of the files of a system as somebody has asked for, in the form that
// images are made of. Subvolumes are where the system mounts them.
type tree struct {
	*fstree.Tree
	system *system
	count  int
	all    map[*fstree.Entry]bool // directories that are there with all that is in them
}

func newTree(s *system) *tree {
	return &tree{Tree: fstree.New(), system: s, all: map[*fstree.Entry]bool{}}
}

// follow puts what a path names into the tree, with the symlinks that lead there, and
// returns it; nil where nothing is there.
func (t *tree) follow(name string) (*fstree.Entry, error) {
	todo, at := strings.Split(name, "/"), t.Root()
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if p := at.Parent(); p != nil {
				at = p
			}
			continue
		}
		if !at.IsDir() {
			return nil, nil
		}
		child, err := t.child(at, part)
		if err != nil || child == nil {
			return nil, err
		}
		if !child.IsSymlink() {
			at = child
			continue
		}
		if links++; links > maxSymlinks {
			return nil, fault.New(fault.Input, "", "%s: too many levels of symbolic links", name)
		}
		if path.IsAbs(child.Link) {
			at = t.Root()
		}
		todo = append(strings.Split(child.Link, "/"), todo...)
	}
	return at, nil
}

// child puts one name of a directory into the tree, nil where it is not there.
func (t *tree) child(dir *fstree.Entry, name string) (*fstree.Entry, error) {
	if c := dir.Child(name); c != nil || t.all[dir] {
		return c, nil
	}
	full := "/" + path.Join(dir.Path(), name)
	at, ok := t.system.place(full)
	var info fs.FileInfo
	err := fs.ErrNotExist
	if ok {
		info, err = t.system.top.Lstat(at)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if t.isAbove(full) { // a mount point that is itself not looked at
			return t.add(dir, name, &fstree.Inode{Mode: fstree.TypeDir | 0o755})
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n, err := t.inode(at, info)
	if err != nil || n == nil {
		return nil, err
	}
	return t.add(dir, name, n)
}

func (t *tree) add(dir *fstree.Entry, name string, n *fstree.Inode) (*fstree.Entry, error) {
	if t.count++; t.count > maxEntries {
		return nil, fault.New(fault.Input, "", "/%s: the system has more than %d files that it may need to start", dir.Path(), maxEntries)
	}
	return dir.Add(name, n)
}

// isAbove reports whether something is mounted below a path.
func (t *tree) isAbove(name string) bool {
	for _, m := range t.system.mounts {
		if strings.HasPrefix(m.target, name+"/") || m.target == name {
			return true
		}
	}
	return false
}

// inode describes a file at a path from the top level; nil for one that no system starts
// by, such as a socket.
func (t *tree) inode(at string, info fs.FileInfo) (*fstree.Inode, error) {
	n := &fstree.Inode{Mode: uint32(info.Mode().Perm())}
	n.SetMTime(info.ModTime())
	switch {
	case info.IsDir():
		n.Mode |= fstree.TypeDir
	case info.Mode().IsRegular():
		n.Mode |= fstree.TypeRegular
		n.Size, n.Content = info.Size(), content{t.system.top, at}
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := t.system.top.ReadLink(at)
		if err != nil {
			return nil, err
		}
		n.Mode |= fstree.TypeSymlink
		n.Link, n.Size = link, int64(len(link))
	default:
		return nil, nil
	}
	return n, nil
}

// list puts all names of a directory into the tree.
func (t *tree) list(dir *fstree.Entry) error {
	if !dir.IsDir() || t.all[dir] {
		return nil
	}
	at, ok := t.system.place(path.Join("/", dir.Path()))
	if !ok {
		return nil
	}
	entries, err := t.system.top.ReadDir(at)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if _, err := t.child(dir, e.Name()); err != nil {
			return err
		}
	}
	t.all[dir] = true
	return nil
}

// whole puts all that is below a path into the tree, and what symlinks there lead to.
func (t *tree) whole(name string) error {
	e, err := t.follow(name)
	if err != nil || e == nil {
		return err
	}
	return t.below(e)
}

func (t *tree) below(e *fstree.Entry) error {
	if e.IsSymlink() {
		target := e.Link
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(e.Path()), target)
		}
		if _, err := t.follow(target); err != nil && fault.ClassOf(err) != fault.Input {
			return err
		}
		return nil // a loop leads nowhere, as an absent file does
	}
	if !e.IsDir() || t.all[e] {
		return nil
	}
	if err := t.list(e); err != nil {
		return err
	}
	for _, c := range e.Children() {
		if err := t.below(c); err != nil {
			return err
		}
	}
	return nil
}

// content is that of a file by its path from the top level.
type content struct {
	top *reader.Volume
	at  string
}

// Open implements fstree.Content.
func (c content) Open(*fstree.Entry) (fstree.File, error) {
	f, err := c.top.Open(c.at)
	if err != nil {
		return nil, err
	}
	r, ok := f.(*reader.File)
	if !ok {
		return nil, fault.New(fault.Input, "", "%s: expected a regular file", c.at)
	}
	return openFile{r}, nil
}

// openFile is an open file without holes that anybody needs to know of.
type openFile struct{ *reader.File }

// Segments implements fstree.File.
func (f openFile) Segments() ([]fstree.Segment, error) {
	return []fstree.Segment{{Length: f.Size()}}, nil
}
