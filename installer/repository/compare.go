package repository

import (
	"context"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// placed is an entry, and where it has to be.
type placed struct {
	*entry
	dir   *directory
	group *group // of files of several names; it is the first that is there
	fd    int    // of a file that is looked at; -1 of what is not open

	odd bool // it is already
}

// at returns an entry in the directory that the walk is in.
func (c *comparison) at(e *entry) *placed {
	return &placed{entry: e, dir: c.dirs[len(c.dirs)-1], fd: -1}
}

// enter compares a directory but for what is in it, and opens it. What should be in
// one that is not there is not there either.
func (c *comparison) enter(e *entry) error {
	p := c.at(e)
	st, err := p.stat()
	if err != nil {
		return err
	}
	if typeName(st.Mode) != "dir" {
		c.fail(p)
		c.dirs = append(c.dirs, absentDir())
		return nil
	}
	if err := c.meta(p, st); err != nil {
		return err
	}
	below, err := p.enter()
	if err == nil {
		c.dirs = append(c.dirs, below)
	}
	return err
}

// leave closes the directory that the walk was in, unless what is in it is still
// looked at.
func (c *comparison) leave(context.Context, *entry) error {
	c.dirs[len(c.dirs)-1].release()
	c.dirs = c.dirs[:len(c.dirs)-1]
	return nil
}

// unread ends a comparison: what a snapshot does not say proves nothing.
func (c *comparison) unread(path string, err error) error {
	if firstboot.CodeOf(err) == firstboot.CodeIncomplete {
		return firstboot.Located(Printable(path), err)
	}
	return err
}

// visit has an entry looked at.
func (c *comparison) visit(ctx context.Context, e *entry) error {
	p := c.at(e)
	if e.Type == "file" && e.Links > 1 {
		if later, err := c.link(p); later || err != nil {
			return err
		}
	}
	p.dir.hold()
	select {
	case c.jobs <- p:
		return nil
	case <-ctx.Done():
		p.dir.release()
		return context.Cause(ctx)
	}
}

// work compares what the walk has come by.
func (c *comparison) work(ctx context.Context) error {
	buf := make([]byte, blockSize)
	for e := range c.jobs {
		err := c.compare(ctx, e, buf)
		e.dir.release()
		if err != nil {
			return err
		}
	}
	return nil
}

// compare looks at all that is no directory.
func (c *comparison) compare(ctx context.Context, e *placed, buf []byte) error {
	st, err := e.stat()
	if err != nil {
		return err
	}
	right := typeName(st.Mode) == e.Type
	defer e.close()
	switch {
	case !right:
	case e.Type == "file":
		if right, err = c.content(ctx, e, st, buf); err != nil {
			return err
		}
	case e.Type == "symlink":
		right, err = e.pointsRight(buf)
	case e.Type == "dev", e.Type == "chardev":
		right = st.Rdev == e.Device
	}
	if err != nil {
		return err
	}
	return c.judge(e, st, right)
}

// judge takes down how an entry is, with the later names of a file that have waited
// for it.
func (c *comparison) judge(e *placed, st *unix.Stat_t, right bool) error {
	if e.group != nil {
		for _, later := range c.settle(e.group, right) {
			err := c.judge(later, st, right)
			later.dir.release()
			if err != nil {
				return err
			}
		}
	}
	if !right {
		c.fail(e)
		return nil
	}
	return c.meta(e, st)
}

// meta compares what an entry has besides its content.
func (c *comparison) meta(e *placed, st *unix.Stat_t) error {
	same := !e.odd && st.Uid == e.UID && st.Gid == e.GID && time.Unix(st.Mtim.Unix()).Equal(e.MTime) &&
		(e.Type == "symlink" || st.Mode&07777 == permissions(fs.FileMode(e.Mode)))
	if same {
		var err error
		if same, err = e.sameXattrs(); err != nil {
			return err
		}
	}
	if !same {
		c.differ(e)
	}
	return nil
}

// permissions returns the permissions of a node as the kernel has them.
func permissions(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		bits |= unix.S_ISUID
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if mode&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}

// typeName is the type of a node, as restic calls it (internal/restic/node.go).
func typeName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "dir"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFBLK:
		return "dev"
	case unix.S_IFCHR:
		return "chardev"
	case unix.S_IFIFO:
		return "fifo"
	}
	return ""
}
