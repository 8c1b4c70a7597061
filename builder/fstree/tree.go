package fstree

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Tree is a tree of entries below one root directory.
type Tree struct{ root *Entry }

// directory holds the children of a directory. They are sorted on demand, and
// looked up through a map only while a large directory is being filled.
type directory struct {
	children []*Entry
	unsorted bool
	implied  bool              // made as a parent only: lends nothing to a directory that it is laid over
	index    bool              // see MarkIndex
	byName   map[string]*Entry // nil while there are few children, and after Freeze
}

// mapAbove is the number of children from which a look-up by name goes through
// a map: below it a binary search costs less than the map's memory.
const mapAbove = 64

// New returns a tree that holds nothing but a root directory of mode 0755
// owned by root, with the modification time 0.
func New() *Tree {
	return &Tree{root: &Entry{Inode: &Inode{Mode: TypeDir | 0o755, links: 1}, dir: &directory{implied: true}}}
}

// Root returns the root directory.
func (t *Tree) Root() *Entry { return t.root }

// Children returns the children of a directory in order, nil for anything
// else. The slice belongs to the tree.
func (e *Entry) Children() []*Entry {
	if e.dir == nil {
		return nil
	}
	e.dir.sort()
	return e.dir.children
}

// Child returns the child called name, or nil.
func (e *Entry) Child(name string) *Entry {
	if e.dir == nil {
		return nil
	}
	return e.dir.find(name)
}

func (d *directory) sort() {
	if d.unsorted {
		slices.SortFunc(d.children, func(a, b *Entry) int { return strings.Compare(a.Name, b.Name) })
		d.unsorted = false
	}
}

func (d *directory) find(name string) *Entry {
	if d.byName != nil {
		return d.byName[name]
	}
	if len(d.children) > mapAbove && d.unsorted {
		d.byName = make(map[string]*Entry, 2*len(d.children))
		for _, c := range d.children {
			d.byName[c.Name] = c
		}
		return d.byName[name]
	}
	d.sort()
	if i, ok := d.search(name); ok {
		return d.children[i]
	}
	return nil
}

func (d *directory) search(name string) (int, bool) {
	return slices.BinarySearchFunc(d.children, name, func(c *Entry, n string) int { return strings.Compare(c.Name, n) })
}

// Add puts a new child called name with the given inode into directory e. It
// refuses a parent that is no directory, an invalid name, a name that is taken
// and a second link to a directory.
func (e *Entry) Add(name string, inode *Inode) (*Entry, error) {
	switch {
	case e.dir == nil:
		return nil, fmt.Errorf("%s: not a directory, cannot hold %q", e.Path(), name)
	case !ValidName(name):
		return nil, fmt.Errorf("%s: invalid name %q", e.Path(), name)
	case e.dir.find(name) != nil:
		return nil, fmt.Errorf("%s: exists already", e.dir.find(name).Path())
	case inode.IsDir() && inode.links > 0:
		return nil, fmt.Errorf("%s: a directory cannot have the second name %q", e.Path(), name)
	}
	c := &Entry{Name: name, Inode: inode, parent: e}
	inode.links++
	if inode.IsDir() {
		c.dir = &directory{}
	}
	e.dir.add(c)
	return c, nil
}

// add appends c, whose name must not be taken.
func (d *directory) add(c *Entry) {
	if n := len(d.children); n > 0 && d.children[n-1].Name > c.Name {
		d.unsorted = true
	}
	d.children = append(d.children, c)
	if d.byName != nil {
		d.byName[c.Name] = c
	}
}

// Remove takes entry c and all below it out of directory e.
func (e *Entry) Remove(c *Entry) {
	d := e.dir
	d.sort()
	if i, ok := d.search(c.Name); ok && d.children[i] == c {
		d.children = slices.Delete(d.children, i, i+1)
		delete(d.byName, c.Name)
		c.parent = nil
		for below := range c.All() {
			below.links--
		}
	}
}

// Lookup returns the entry at a path relative to the root, or nil. Empty and
// "." elements are passed over; ".." is not resolved and finds nothing.
func (t *Tree) Lookup(path string) *Entry {
	e := t.root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		if e = e.Child(name); e == nil {
			return nil
		}
	}
	return e
}

// Freeze sorts every directory and drops what was needed only to fill the
// tree. A frozen tree may be read from several goroutines.
func (t *Tree) Freeze() {
	for e := range t.All() {
		if e.dir != nil {
			e.dir.byName = nil
		}
	}
}

// All yields every entry in canonical order, the root first. The tree must not
// be changed meanwhile.
func (t *Tree) All() iter.Seq[*Entry] { return t.root.All() }

// All yields e and every entry below it in canonical order.
func (e *Entry) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) { e.walk(yield) }
}

func (e *Entry) walk(yield func(*Entry) bool) bool {
	if !yield(e) {
		return false
	}
	for _, c := range e.Children() {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}
