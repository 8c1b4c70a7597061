// Package salvage copies out of a damaged btrfs what can still be read, and says
// what cannot. The file system is not mounted and not changed.
//
// Where all copies of a tree block are damaged, what stood in it is lost and the
// rest is not: package reader goes on behind it. Where a sector of a file is
// damaged, the file has zeros there and everything else.
package salvage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Request says what is copied. FS must be fresh: Copy has it tell of damage.
type Request struct {
	FS        *reader.FS
	Subvolume string // path from the top level; "" is that
	From      string // path of a directory in it; "" is all
	To        *os.Root
	// Progress is told the bytes of files that were copied; it may be nil. How
	// many there are is not known.
	Progress func(done int64)
}

// Loss is something that could not be read, or not all of it.
type Loss struct {
	Path string `json:"path"` // from the subvolume
	What string `json:"what"`
	// Ranges are the parts of a file that are zeros in the copy.
	Ranges []Range `json:"ranges,omitempty"`
}

// Range is a part of a file, in bytes.
type Range struct {
	Start  int64 `json:"start"`
	Length int64 `json:"length"`
}

// Report is what was copied, and what was lost.
type Report struct {
	Files       int64  `json:"files"`
	Directories int64  `json:"directories"`
	Bytes       int64  `json:"bytes"`  // of content, without holes
	Losses      []Loss `json:"losses"` // the first maxLosses
	Lost        int64  `json:"lost"`   // how many there are
	// Blocks counts tree blocks of which no copy was good. Names that stood in them
	// alone cannot be told.
	Blocks int64 `json:"blocks"`
}

// maxLosses bounds what a report names.
const maxLosses = 10_000

// Copy copies a directory. Losses are no error. The error is that of the place to
// copy to, of class fault.Target, of a context that ended, or of a file system of
// which nothing can be read.
func Copy(ctx context.Context, r Request) (*Report, error) {
	c := &copier{ctx: ctx, r: r, report: &Report{Losses: []Loss{}}, links: map[inode]string{}, lost: map[ondisk.Logical]bool{}}
	r.FS.OnDamage(c.damage)
	r.FS.Salvage()
	volume, err := r.FS.Subvolume(r.Subvolume)
	if err != nil {
		return nil, err
	}
	c.volume = volume
	from := path.Clean("./" + r.From)
	info, err := volume.Lstat(from)
	if err != nil {
		return nil, fault.New(fault.Usage, "name a directory of the subvolume", "%w", err)
	}
	if !info.IsDir() {
		return nil, fault.New(fault.Usage, "name the directory that it is in", "%s: is no directory", from)
	}
	err = c.directory(from, ".", info)
	if err := errors.Join(err, written(r.To)); err != nil {
		return nil, err
	}
	c.report.Blocks = int64(len(c.lost))
	return c.report, nil
}

// written returns when the file system that is copied to has all on its disk.
func written(to *os.Root) error {
	f, err := to.Open(".")
	if err != nil {
		return fault.New(fault.Target, "", "%w", err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fault.New(fault.Target, "copy to another disk", "%s: what was copied is not on the disk: %w", to.Name(), err)
	}
	return nil
}

// inode is a file that may have several names.
type inode struct{ subvolume, ino uint64 }

type copier struct {
	ctx    context.Context
	r      Request
	volume *reader.Volume
	report *Report
	links  map[inode]string // in the copy

	mu   sync.Mutex
	lost map[ondisk.Logical]bool // tree blocks without a good copy
	hits int                     // how often one was met
}

// damage counts tree blocks of which the last copy is damaged too.
func (c *copier) damage(d reader.Damage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !d.Data && d.Copy == d.Copies {
		c.lost[d.Logical] = true
		c.hits++
	}
}

// met reports whether do meets a tree block without a good copy: what it returns
// may not be all then, although nothing failed.
func (c *copier) met(do func()) bool {
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.hits
	}
	before := count()
	do()
	return count() > before
}

// What a directory and a file may lack when a tree block is lost.
var (
	errNames      = errors.New("some of the names in it may be missing")
	errAttributes = errors.New("some of its extended attributes may be missing")
)

func (c *copier) lose(name string, err error, ranges ...Range) {
	c.report.Lost++
	if len(c.report.Losses) < maxLosses {
		c.report.Losses = append(c.report.Losses, Loss{Path: name, What: err.Error(), Ranges: ranges})
	}
}

// directory copies one with all in it; to is its path in the copy.
func (c *copier) directory(name, to string, info fs.FileInfo) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if to != "." {
		if err := c.r.To.Mkdir(to, 0o700); err != nil {
			return target(err)
		}
	}
	c.report.Directories++
	var entries []fs.DirEntry
	var err error
	met := c.met(func() { entries, err = c.volume.ReadDir(name) })
	switch {
	case err != nil:
		c.lose(name, err)
	case met:
		c.lose(name, errNames)
	}
	dir, err := c.r.To.Open(to)
	if err != nil {
		return target(err)
	}
	defer dir.Close()
	for _, e := range entries {
		if err := c.entry(dir, name, to, e); err != nil {
			return err
		}
	}
	if to == "." {
		return nil // what it is like is up to who made it
	}
	return c.attributes(dir, name, info)
}

// entry copies what a directory has of one name.
func (c *copier) entry(dir *os.File, in, to string, e fs.DirEntry) error {
	name, at := path.Join(in, e.Name()), path.Join(to, e.Name())
	info, err := e.Info()
	if err != nil {
		c.lose(name, err)
		return nil
	}
	switch {
	case info.IsDir():
		return c.directory(name, at, info)
	case c.linked(info, at):
		return nil
	case info.Mode().IsRegular():
		err = c.file(name, at, info)
	default:
		err = c.special(dir, name, info)
	}
	if err == nil {
		c.report.Files++
		if st, ok := info.Sys().(*reader.Stat); ok && st.Inode.Nlink > 1 {
			c.links[inode{st.Subvolume, st.Ino}] = at
		}
	}
	return err
}

// linked makes another name of a file that was copied before.
func (c *copier) linked(info fs.FileInfo, at string) bool {
	st, ok := info.Sys().(*reader.Stat)
	if !ok || st.Inode.Nlink < 2 {
		return false
	}
	first, ok := c.links[inode{st.Subvolume, st.Ino}]
	return ok && c.r.To.Link(first, at) == nil
}

// special makes what has no content of its own: it is in the directory dir.
func (c *copier) special(dir *os.File, name string, info fs.FileInfo) error {
	fd, base := int(dir.Fd()), path.Base(name)
	st := info.Sys().(*reader.Stat)
	if info.Mode().Type() == fs.ModeSymlink {
		to, err := c.volume.ReadLink(name)
		if err != nil {
			c.lose(name, err)
			return nil
		}
		if err := unix.Symlinkat(to, fd, base); err != nil {
			return target(fmt.Errorf("%s: symlink: %w", name, err))
		}
	} else if err := unix.Mknodat(fd, base, st.Inode.Mode, int(st.Inode.Rdev)); err != nil {
		return target(fmt.Errorf("%s: mknod: %w", name, err))
	}
	if err := unix.Fchownat(fd, base, int(st.Inode.UID), int(st.Inode.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return target(fmt.Errorf("%s: owner: %w", name, err))
	}
	if info.Mode().Type() != fs.ModeSymlink {
		if err := unix.Fchmodat(fd, base, st.Inode.Mode&0o7777, 0); err != nil {
			return target(fmt.Errorf("%s: mode: %w", name, err))
		}
	}
	return target(unix.UtimesNanoAt(fd, base, times(st), unix.AT_SYMLINK_NOFOLLOW))
}

// attributes gives a file or directory of the copy, which is open, what it had:
// the time at last, which all else would change.
func (c *copier) attributes(f *os.File, name string, info fs.FileInfo) error {
	st := info.Sys().(*reader.Stat)
	fd := int(f.Fd())
	if err := unix.Fchown(fd, int(st.Inode.UID), int(st.Inode.GID)); err != nil {
		return target(fmt.Errorf("%s: owner: %w", name, err))
	}
	if err := unix.Fchmod(fd, st.Inode.Mode&0o7777); err != nil {
		return target(fmt.Errorf("%s: mode: %w", name, err))
	}
	var xattrs []reader.Xattr
	var err error
	met := c.met(func() { xattrs, err = c.volume.Xattrs(name) })
	switch {
	case err != nil:
		c.lose(name, err)
	case met:
		c.lose(name, errAttributes)
	}
	for _, x := range xattrs {
		if err := unix.Fsetxattr(fd, x.Name, x.Value, 0); err != nil {
			c.lose(name, fmt.Errorf("attribute %s cannot be set in the copy: %w", x.Name, err))
		}
	}
	ts := times(st)
	return target(unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), ts, 0))
}

func times(st *reader.Stat) []unix.Timespec {
	at := func(sec int64, nsec uint32) unix.Timespec { return unix.Timespec{Sec: sec, Nsec: int64(nsec)} }
	i := st.Inode
	return []unix.Timespec{at(i.Atime.Sec, i.Atime.Nsec), at(i.Mtime.Sec, i.Mtime.Nsec)}
}

// target marks an error as one of where is copied to.
func target(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fault.New(fault.Target, "copy to a larger disk, or fewer directories", "%w", err)
	}
	return fault.New(fault.Target, "", "%w", err)
}
