package fstree

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPath bounds the paths that are taken from an archive or a caller, as the
// kernel does, and so the directories that one of them can imply.
const maxPath = unix.PathMax - 1

// MkdirAll returns the directory at a path below the root and makes it and its
// parents where they are missing: mode 0755, owner 0:0, with the modification
// time of like, or 0 if like is nil. Directories made by it, like the root of
// New, are implied: in a Layer they lend nothing to a directory that they are
// laid over. It refuses to go through anything but directories.
func (t *Tree) MkdirAll(path string, like *Inode) (*Entry, error) {
	elements, err := splitPath(path)
	if err != nil {
		return nil, err
	}
	e := t.root
	for _, name := range elements {
		c := e.Child(name)
		switch {
		case c == nil:
			inode := &Inode{Mode: TypeDir | 0o755}
			if like != nil {
				inode.Sec, inode.Nsec = like.Sec, like.Nsec
			}
			if c, err = e.Add(strings.Clone(name), inode); err != nil {
				return nil, err
			}
			c.dir.implied = true
		case c.IsSymlink():
			return nil, fmt.Errorf("leads through the symlink %q -> %q", c.Path(), c.Link)
		case !c.IsDir():
			return nil, fmt.Errorf("leads through %q, which is a %s", c.Path(), c.TypeName())
		}
		e = c
	}
	return e, nil
}

// splitPath returns the elements of a path. A leading slash and elements that
// are empty or "." mean nothing; ".." is refused.
func splitPath(path string) ([]string, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("path of %d bytes, expected at most %d", len(path), maxPath)
	}
	var elements []string
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "" || name == ".":
		case !ValidName(name):
			return nil, fmt.Errorf("path element %q is not allowed", name)
		default:
			elements = append(elements, name)
		}
	}
	return elements, nil
}

// put makes inode what is found at a path, as unpacking an archive over the
// tree would: missing parents are implied, a directory over a directory lends
// it its metadata, and anything else replaces what is there unless that is a
// directory with children.
func (t *Tree) put(path string, inode *Inode) error {
	elements, err := splitPath(path)
	if err != nil {
		return err
	}
	if len(elements) == 0 {
		if !inode.IsDir() {
			return fmt.Errorf("a %s cannot be the root directory", inode.TypeName())
		}
		t.root.become(inode)
		return nil
	}
	last := len(elements) - 1
	parent, err := t.MkdirAll(strings.Join(elements[:last], "/"), inode)
	if err != nil {
		return err
	}
	old := parent.Child(elements[last])
	if old == nil {
		_, err := parent.Add(strings.Clone(elements[last]), inode)
		return err
	}
	if old.IsDir() && !inode.IsDir() && len(old.dir.children) > 0 {
		return fmt.Errorf("a %s cannot replace a directory that is not empty", inode.TypeName())
	}
	old.become(inode)
	return nil
}

// LinkTo makes e a further name of an inode of the same tree, so that what it named
// before is gone, unless it has other names. It refuses directories.
func (e *Entry) LinkTo(inode *Inode) error {
	if e.IsDir() || inode.IsDir() {
		return fmt.Errorf("%s: a directory cannot be a hard link", e.Path())
	}
	e.become(inode)
	return nil
}

// become makes e a name of another inode in the same place. Its children stay
// if it is a directory before and after.
func (e *Entry) become(inode *Inode) {
	e.links--
	inode.links++
	e.Inode = inode
	switch {
	case !inode.IsDir():
		e.dir = nil
	case e.dir == nil:
		e.dir = &directory{}
	default:
		e.dir.implied = false
	}
}

// TypeName returns the word for the file type, such as "directory".
func (i *Inode) TypeName() string {
	switch i.Type() {
	case TypeFIFO:
		return "FIFO"
	case TypeChar:
		return "character device"
	case TypeDir:
		return "directory"
	case TypeBlock:
		return "block device"
	case TypeRegular:
		return "regular file"
	case TypeSymlink:
		return "symlink"
	case TypeSocket:
		return "socket"
	}
	return fmt.Sprintf("file of unknown type %#o", i.Type())
}
