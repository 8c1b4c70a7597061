package treecopy

import (
	"context"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Options say how a tree is copied or compared. The zero value tells nobody
// anything, and copies one file system without what is mounted in it.
type Options struct {
	Workers int // files at a time; 0 is one for each processor, 2 to 8
	// Progress is told how many bytes of content were dealt with since it was
	// told last; holes are none. It is called from one goroutine at a time.
	Progress func(bytes int64)
	// Note is told of what is left out, and why. It is called from one goroutine
	// at a time.
	Note func(path, why string)
	// Subvolume makes a subvolume with a name in a directory of the destination,
	// where the source has one nested. Without it they are left out.
	Subvolume func(dir int, name string) error
	// Except reports whether a path, from the top of the tree, is left out with
	// all below it. It may be called concurrently.
	Except func(path string) bool
	// KeepTop leaves the attributes of the destination itself as they are.
	KeepTop bool
}

// Copy copies what is in the directory src into the directory dst, which is
// empty but for what is left out, and gives it the attributes of src. It needs root, but for trees of
// which the user could have made everything. Errors name the path, from the
// top of the tree, and what was done to it; what was copied until then stays.
//
// The digests of what was written are for Compare. Files whose data src and dst
// share have none.
func Copy(ctx context.Context, src, dst *os.File, o Options) (*Digests, error) {
	c := &copier{o: o, digests: newDigests(), count: counter{report: o.Progress}, files: map[fileKey]*linked{}}
	var system unix.Statfs_t
	if err := unix.Fstatfs(int(dst.Fd()), &system); err != nil {
		return nil, fmt.Errorf("%s: statfs: %w", dst.Name(), err)
	}
	c.btrfs = system.Type == unix.BTRFS_SUPER_MAGIC
	c.clones.Store(sameSystem(int(src.Fd()), &system))
	w := &walker{o: o, src: int(src.Fd()), dst: int(dst.Fd()), v: c, volumes: c.digests}
	c.w = w
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	if err := c.link(ctx); err != nil {
		return nil, err
	}
	return c.digests, c.setLate()
}

// sameSystem reports whether a descriptor is of a file system: then data can be
// shared.
func sameSystem(fd int, as *unix.Statfs_t) bool {
	var system unix.Statfs_t
	return unix.Fstatfs(fd, &system) == nil && system.Type == unix.BTRFS_SUPER_MAGIC && sameFSID(&system, as)
}

// copier is the visitor that copies.
type copier struct {
	o       Options
	w       *walker
	btrfs   bool // the destination is one
	clones  flag // data can be shared
	digests *Digests
	count   counter

	mu    sync.Mutex
	files map[fileKey]*linked // those with several names
	links []otherName
	late  []lateFlags
}

// linked is a file with several names: the first that was met is the one that
// is copied.
type linked struct {
	dir  *dir
	name string
}

// otherName is a name that a copied file has besides.
type otherName struct {
	file *linked
	dir  *dir
	name string
}

// enter makes a directory. Its attributes are set when it is filled: until then
// only its owner, who runs this, sees into it.
func (c *copier) enter(d *dir, in *dir) error {
	if d.subvolume {
		if c.o.Subvolume == nil {
			c.w.note(d.path(), "a subvolume")
			return errLeftOut
		}
		if err := c.o.Subvolume(in.dst, d.name); err != nil {
			return fail(d.path(), "make a subvolume", err)
		}
		return nil
	}
	return fail(d.path(), "mkdir", ignoringEINTR(func() error { return unix.Mkdirat(in.dst, d.name, 0o700) }))
}

// listed has nothing to do: what is new is empty.
func (c *copier) listed(*dir, []string) error { return nil }

// entry copies what is no directory.
func (c *copier) entry(ctx context.Context, d *dir, name string, st *unix.Stat_t) error {
	if st.Nlink > 1 && !c.isFirst(d, name, st) {
		return nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.regular(ctx, d, name, st)
	case unix.S_IFLNK:
		target, err := readlinkat(d.src, name, st.Size)
		if err != nil {
			return fail(d.child(name), "readlink", err)
		}
		if err := unix.Symlinkat(target, d.dst, name); err != nil {
			return fail(d.child(name), "symlink", err)
		}
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		if err := unix.Mknodat(d.dst, name, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)); err != nil {
			return fail(d.child(name), "mknod", err)
		}
	default:
		c.w.note(d.child(name), "a socket")
		return nil
	}
	return setByName(d, name, st, c.btrfs)
}

// isFirst reports whether no other name of a file was met. Others are noted,
// and the directory they are in is not finished before they are there.
func (c *copier) isFirst(d *dir, name string, st *unix.Stat_t) bool {
	if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := fileKey{d.volume, st.Ino}
	if first := c.files[key]; first != nil {
		c.links = append(c.links, otherName{first, d, name})
		d.left.Add(1)
		return false
	}
	c.files[key] = &linked{d, name}
	return true
}

// link gives the files their other names, when all are there.
func (c *copier) link(ctx context.Context) error {
	var from, to openDir
	defer from.close()
	defer to.close()
	for _, l := range c.links {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := errorsOf(from.open(c.w.dst, l.file.dir), to.open(c.w.dst, l.dir)); err != nil {
			return err
		}
		if err := unix.Linkat(from.fd, l.file.name, to.fd, l.name, 0); err != nil {
			return fail(l.dir.child(l.name), "link to "+l.file.dir.child(l.file.name), err)
		}
		if err := c.w.done(l.dir); err != nil {
			return err
		}
	}
	return nil
}

// leave gives a directory its attributes, when nothing in it is to be made any
// more.
func (c *copier) leave(d *dir, src, dst int) error {
	if d.parent == nil && c.o.KeepTop {
		return nil
	}
	return c.setAttributes(d, "", src, dst, &d.st)
}

// setAttributes gives a file that is open all that the source has. name is ""
// for the directory itself.
func (c *copier) setAttributes(d *dir, name string, src, dst int, st *unix.Stat_t) error {
	late, err := setByDescriptor(d.child(name), src, dst, st, c.btrfs)
	if late != 0 {
		c.mu.Lock()
		c.late = append(c.late, lateFlags{d, name, late})
		c.mu.Unlock()
	}
	return err
}

// CopyAttributes gives dst, a file or directory, the owner, mode, extended
// attributes, flags and times that src has. path is for errors.
func CopyAttributes(src, dst *os.File, path string) error {
	var st unix.Stat_t
	var system unix.Statfs_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return fail(path, "stat", err)
	}
	if err := unix.Fstatfs(int(dst.Fd()), &system); err != nil {
		return fail(path, "statfs", err)
	}
	btrfs := system.Type == unix.BTRFS_SUPER_MAGIC
	late, err := setByDescriptor(path, int(src.Fd()), int(dst.Fd()), &st, btrfs)
	if err == nil && late != 0 {
		err = addFlags(path, int(dst.Fd()), late)
	}
	return err
}
