package repository

import (
	"slices"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// group is a file of several names. All that have the content of the first are to be
// linked to it, and are as right as that. A name of other content, which restic keeps
// where a file was changed between two of its names, is a file of its own.
type group struct {
	content []reader.ID // of the first name; less memory than the index takes for it
	inode               // in the directory, of the first name that is there; zero of none
	settled bool        // right is known
	right   bool        // the content
	waiting []*placed
}

// link finds the group of an entry. One that is linked to the first name is a later
// one, which needs no comparison of its own; one that is there and is not is odd.
func (c *comparison) link(e *placed) (later bool, err error) {
	st, err := e.stat()
	if err != nil {
		return false, err
	}
	g := c.groups[e.inode()]
	if g == nil {
		g = &group{content: e.Content}
		c.groups[e.inode()] = g
	}
	here := inode{st.Dev, st.Ino}
	switch {
	case typeName(st.Mode) != "file", !slices.Equal(e.Content, g.content):
		return false, nil
	case g.inode == inode{}:
		g.inode, e.group = here, g
		return false, nil
	case g.inode != here:
		e.odd = true
		return false, nil
	}
	e.dir.hold()
	if !c.await(g, e) {
		return true, nil
	}
	defer e.dir.release()
	return true, c.judge(e, st, g.right)
}

// await leaves an entry with who compares the first name of its file, unless that
// was done.
func (c *comparison) await(g *group, e *placed) (settled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !g.settled {
		g.waiting = append(g.waiting, e)
	}
	return g.settled
}

// settle notes how the first name of a file is, and returns those that waited.
func (c *comparison) settle(g *group, right bool) []*placed {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.settled, g.right = true, right
	waiting := g.waiting
	g.waiting = nil
	return waiting
}
