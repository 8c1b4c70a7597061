package repository

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// inode is a file, of a snapshot or of the directory.
type inode struct{ device, number uint64 }

// group is a file of several names. restic writes the first that it comes by and
// links the others to it, whatever their nodes say of content
// (internal/restorer/restorer.go of restic 0.18): so the content of the first is
// what one of them is compared with, and all are as right as that. A name whose
// node has another content is merged: its own is not on the disk, and no further
// restore would bring it.
type group struct {
	content []reader.ID // of the first name; less memory than the index takes for it
	size    uint64      // of its node
	inode               // in the directory, of the first name that is there; zero of none
	settled bool        // right is known
	right   bool        // the content
	waiting []*entry
}

// link finds the group of an entry. One that is linked to the first name is a later
// one, which needs no comparison of its own; one that is there and is not is odd.
func (c *comparison) link(e *entry) (later bool, err error) {
	st, err := e.stat()
	if err != nil {
		return false, err
	}
	id := inode{e.DeviceID, e.Inode}
	g := c.groups[id]
	if g == nil {
		g = &group{content: e.Content, size: e.Size}
		c.groups[id] = g
	}
	here := inode{st.Dev, st.Ino}
	switch {
	case typeName(st.Mode) != "file":
		return false, nil
	case g.inode == inode{}:
		g.inode, e.group = here, g
		e.merged = !slices.Equal(e.Content, g.content)
		return false, nil
	case g.inode != here:
		e.odd = true
		return false, nil
	}
	e.merged = !slices.Equal(e.Content, g.content)
	e.dir.hold()
	if !c.await(g, e) {
		return true, nil
	}
	defer e.dir.release()
	return true, c.judge(e, st, g.right)
}

// doubted leaves an entry for resolve whose content is not its own, if that may be
// because restic has linked it: it does so with a node of a single name as well,
// and with one that comes before the first of several names.
func (c *comparison) doubted(e *entry, st *unix.Stat_t) bool {
	if e.Type != "file" || e.Links > 1 || typeName(st.Mode) != "file" || st.Nlink < 2 {
		return false
	}
	e.dir.hold()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubts = append(c.doubts, doubt{e, st})
	return true
}

// doubt is an entry of doubted.
type doubt struct {
	*entry
	stat *unix.Stat_t
}

// resolve judges what was doubted, after all groups are settled.
func (c *comparison) resolve() error {
	for _, d := range c.doubts {
		g := c.groups[inode{d.DeviceID, d.Inode}]
		if g == nil || !g.right || g.inode != (inode{d.stat.Dev, d.stat.Ino}) {
			c.fail(d.entry)
			continue
		}
		d.merged = true
		if err := c.judge(d.entry, d.stat, true); err != nil {
			return err
		}
	}
	return nil
}

// await leaves an entry with who compares the first name of its file, unless that
// was done.
func (c *comparison) await(g *group, e *entry) (settled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !g.settled {
		g.waiting = append(g.waiting, e)
	}
	return g.settled
}

// settle notes how the first name of a file is, and returns those that waited.
func (c *comparison) settle(g *group, right bool) []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.settled, g.right = true, right
	waiting := g.waiting
	g.waiting = nil
	return waiting
}
