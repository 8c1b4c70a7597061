package fstree

import (
	"errors"
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Layer is what is laid over a tree: paths to delete from it, then a tree to
// merge into what is left.
type Layer struct {
	// Name says in messages where the layer came from.
	Name string
	// Deleted are paths from the root that are removed with all below them.
	// One that is not there is passed over: the layer asks for its absence.
	Deleted []string
	// Tree is used up by Apply: its entries become entries of the other tree.
	// It may be nil.
	Tree *Tree
}

// Apply lays a layer over t. Where both have a directory, it gets the children
// of both and the metadata of the layer's, unless that is only implied (see
// MkdirAll). Where both have anything else, the layer's replaces the other.
// Where one of them is a directory and the other is not, the path must be
// deleted first, for the loss of a tree is never an accident, and a directory
// in the place of a symlink such as /lib breaks a system.
//
// Hard links within the layer stay links of each other; a name that is
// replaced leaves the other links of the old file alone. Contents stay valid.
// After an error, of class fault.Config, the tree must not be used.
func (t *Tree) Apply(layer Layer) error {
	for _, path := range layer.Deleted {
		if err := t.delete(path); err != nil {
			return fault.New(fault.Config, "", "layer %s: cannot delete %q: %w", layer.Name, path, err)
		}
	}
	if layer.Tree == nil {
		return nil
	}
	if err := t.root.merge(layer.Tree.root); err != nil {
		return fault.New(fault.Config, "let the layer delete the path first", "layer %s: %w", layer.Name, err)
	}
	t.Freeze()
	return nil
}

// delete removes what is at a path, which may not lead through a symlink.
func (t *Tree) delete(path string) error {
	elements, err := splitPath(path)
	if err != nil {
		return err
	}
	if len(elements) == 0 {
		return errors.New("it is the root directory")
	}
	e := t.root
	for i, name := range elements {
		c := e.Child(name)
		if c == nil {
			return nil
		}
		if c.IsSymlink() && i < len(elements)-1 {
			return fmt.Errorf("leads through the symlink %q -> %q", c.Path(), c.Link)
		}
		e = c
	}
	e.parent.Remove(e)
	return nil
}

// merge lays directory src and all below it over directory e.
func (e *Entry) merge(src *Entry) error {
	if !src.dir.implied {
		e.takeOver(src)
		e.dir.index = src.dir.index
	}
	for _, c := range src.Children() {
		old := e.Child(c.Name)
		switch {
		case old == nil:
			e.adopt(c)
		case old.IsDir() && c.IsDir():
			if err := old.merge(c); err != nil {
				return err
			}
		case old.IsDir() || c.IsDir():
			return fmt.Errorf("%s: a %s cannot replace a %s", old.Path(), c.TypeName(), old.TypeName())
		default:
			old.takeOver(c)
		}
	}
	return nil
}

// takeOver makes e a name of c's inode in place of c.
func (e *Entry) takeOver(c *Entry) {
	c.links--
	e.become(c.Inode)
}

// adopt takes c with all below it from its parent, which must not be used any
// more, as a new child.
func (e *Entry) adopt(c *Entry) {
	c.parent = e
	e.dir.add(c)
}
