package repository

import (
	"context"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// maxDepth bounds how deep directories lie: a path has 4096 bytes, and restic
// restores by paths.
const maxDepth = 2048

// entry is one of the snapshot, and where it has to be.
type entry struct {
	*reader.Node
	seq   int64  // in the order of the snapshot
	path  string // absolute below what is restored
	dir   *directory
	group *group // of files of several names; it is the first that is there

	odd    bool // it is already
	merged bool // has the content of another name
}

// walk goes through a tree in its order. all says that everything in it was
// restored; otherwise what is included is, and the directories above.
func (c *comparison) walk(ctx context.Context, dir *directory, tree reader.ID, at string, all bool, depth int) error {
	if depth > maxDepth {
		return firstboot.NewProblem(firstboot.CodeIncomplete, "", "%s: is more than %d directories deep", Printable(at), maxDepth)
	}
	for n, err := range c.repo.Nodes(tree) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n.Type == "socket" || n.Type == "irregular" { // restic does not restore them
			continue
		}
		e := &entry{Node: n, path: at + "/" + n.Name, dir: dir}
		selected := all || c.included(e.path)
		if !selected && (n.Type != "dir" || !c.above(e.path)) {
			continue
		}
		if selected {
			c.entries++
		}
		c.seq++
		e.seq = c.seq
		if err := c.visit(ctx, e, selected, depth); err != nil {
			return err
		}
	}
	return nil
}

// included reports whether a path was asked for, or a directory that it is in.
func (c *comparison) included(path string) bool {
	return slices.ContainsFunc(c.proof.Includes, func(p string) bool { return IsWithin(path, p) })
}

// above reports whether something below a path was asked for.
func (c *comparison) above(path string) bool {
	return slices.ContainsFunc(c.proof.Includes, func(p string) bool { return IsWithin(p, path) })
}

// visit looks at an entry, or has it looked at.
func (c *comparison) visit(ctx context.Context, e *entry, all bool, depth int) error {
	if e.Type == "dir" {
		below, err := c.directory(e)
		if err != nil {
			return err
		}
		defer below.release()
		return c.walk(ctx, below, *e.Subtree, e.path, all, depth+1)
	}
	if e.Type == "file" && e.Links > 1 {
		if later, err := c.link(e); later || err != nil {
			return err
		}
	}
	e.dir.hold()
	select {
	case c.jobs <- e:
		return nil
	case <-ctx.Done():
		e.dir.release()
		return context.Cause(ctx)
	}
}

// directory compares a directory but for what is in it, and opens it. What should
// be in one that is not there is not there either.
func (c *comparison) directory(e *entry) (*directory, error) {
	st, err := e.stat()
	if err != nil {
		return nil, err
	}
	if typeName(st.Mode) != "dir" {
		c.fail(e)
		return absentDir(), nil
	}
	if err := c.meta(e, st); err != nil {
		return nil, err
	}
	return e.enter()
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
func (c *comparison) compare(ctx context.Context, e *entry, buf []byte) error {
	st, err := e.stat()
	if err != nil {
		return err
	}
	right := typeName(st.Mode) == e.Type
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
func (c *comparison) judge(e *entry, st *unix.Stat_t, right bool) error {
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
		if !c.doubted(e, st) {
			c.fail(e)
		}
		return nil
	}
	if e.merged {
		c.merge(e)
	}
	return c.meta(e, st)
}

// meta compares what an entry has besides its content.
func (c *comparison) meta(e *entry, st *unix.Stat_t) error {
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
