package repository

// inode is a file, of a snapshot or of the directory.
type inode struct{ device, number uint64 }

// group is a file of several names. restic writes the first that it comes by and
// links the others to it, whatever their nodes say of content: so the first alone is
// read, and all are as right as that.
type group struct {
	inode        // in the directory, of the first name that is there; zero of none
	settled bool // right is known
	right   bool // the content
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
		g = &group{}
		c.groups[id] = g
	}
	here := inode{st.Dev, st.Ino}
	switch {
	case typeName(st.Mode) != "file":
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
