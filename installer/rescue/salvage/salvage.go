// Package salvage copies out of a damaged btrfs what can still be read, and says
// what cannot. The file system is not mounted and not changed.
//
// Where all copies of a tree block are damaged, what stood in it is lost and the
// rest is not: package reader goes on behind it. Where a sector of a file is
// damaged, the file has zeros there and everything else.
//
// What the file system of the copy cannot have, such as a symlink on FAT, is named as
// lost, too. A copy that was begun goes on: each file that it has is compared with what
// is read, gets what is missing of it, and is never written over.
package salvage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Request says what is copied. FS must be fresh: Copy has it tell of damage.
type Request struct {
	FS        *reader.FS
	Subvolume string   // path from the top level; "" is that
	From      string   // path of a directory in it; "" is all
	To        *os.Root // as OpenFolder gives it; files that are there are compared
	// Progress is told the bytes of files that were copied; it may be nil. How
	// many there are is not known.
	Progress func(done int64)
}

// Loss is something that could not be read, or not be kept, or not all of it.
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
	Found       int64  `json:"found"` // of these: regular files that the copy had wholly
	Directories int64  `json:"directories"`
	Bytes       int64  `json:"bytes"`  // of content, without holes
	Losses      []Loss `json:"losses"` // the first maxLosses
	Lost        int64  `json:"lost"`   // how many there are
	Unkept      int64  `json:"unkept"` // of these: what the file system of the copy cannot have
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
	return salvageTo(ctx, r, rooted{r.To})
}

// salvageTo is Copy to a tree.
func salvageTo(ctx context.Context, r Request, to tree) (*Report, error) {
	c := &copier{ctx: ctx, r: r, to: to, report: &Report{Losses: []Loss{}}, links: map[inode]string{}, lost: map[ondisk.Logical]bool{}}
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
	err = c.directory(from, ".", info, true)
	c.lacks.tell(c)
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
	to     tree
	lacks  lacking
	volume *reader.Volume
	report *Report
	links  map[inode]string // in the copy
	synced bool             // what an earlier run has left is on the disk

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

// directory copies one with all in it; to is its path in the copy, which may be there.
func (c *copier) directory(name, to string, info fs.FileInfo, there bool) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if !there {
		if err := c.to.Mkdir(to, 0o700); err != nil {
			return c.unkept(name, info, err)
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
	dir, err := c.to.OpenFile(to, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return target(err)
	}
	defer dir.Close()
	had, err := names(dir)
	if err != nil {
		return target(err)
	}
	for _, e := range entries {
		if to == "." && slices.Contains(reserved, e.Name()) {
			c.lose(path.Join(name, e.Name()), errMark)
		} else if err := c.entry(dir, name, to, e, c.has(had, to, e.Name(), entries)); err != nil {
			return err
		}
	}
	if to == "." {
		return nil // what it is like is up to who made it
	}
	return c.attributes(dir, name, info)
}

// errMark is of a file of the name that the mark of the copy has.
var errMark = errors.New("the copy needs this name itself")

// names returns what is in a directory of the copy. It, and not whether a name can be
// opened, says what is there: to FAT, README and readme are one.
func names(dir *os.File) (map[string]bool, error) {
	list, err := dir.Readdirnames(-1)
	had := make(map[string]bool, len(list))
	for _, name := range list {
		had[name] = true
	}
	return had, err
}

// has reports whether a directory of the copy, with names that it had, has something of
// one of the entries that are copied to it. FAT and exFAT leave out the dots at the end of a
// name (vfat_striptail_len of Linux's fs/fat/namei_vfat.c): what is there without them is
// of the first entry that differs in no more, and of that alone.
func (c *copier) has(had map[string]bool, to, name string, entries []fs.DirEntry) bool {
	short := strings.TrimRight(name, ".")
	if had[name] || !had[short] {
		return had[name]
	}
	first := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return strings.TrimRight(e.Name(), ".") == short })
	if first < 0 || entries[first].Name() != name {
		return false
	}
	_, err := c.to.Lstat(path.Join(to, name))
	return err == nil // other file systems tell the two apart
}

// entry copies what a directory has of one name; there says that the copy has
// something of it.
func (c *copier) entry(dir *os.File, in, to string, e fs.DirEntry, there bool) error {
	name, at := path.Join(in, e.Name()), path.Join(to, e.Name())
	info, err := e.Info()
	if err != nil {
		c.lose(name, err)
		return nil
	}
	if there {
		now, err := c.to.Lstat(at)
		if err != nil {
			return target(err)
		}
		if now.Mode().Type() != info.Mode().Type() {
			c.lose(name, errOther)
			return nil
		}
	}
	kept := false
	switch {
	case info.IsDir():
		return c.directory(name, at, info, there)
	case c.linked(info, at, there):
		return nil
	case info.Mode().IsRegular():
		kept, err = c.file(name, at, info, there)
	default:
		kept, err = c.special(dir, name, at, info, there)
	}
	if kept && err == nil {
		c.report.Files++
		if st, ok := info.Sys().(*reader.Stat); ok && st.Inode.Nlink > 1 {
			c.links[inode{st.Subvolume, st.Ino}] = at
		}
	}
	return err
}

// linked makes another name of a file that was copied before, or finds it.
func (c *copier) linked(info fs.FileInfo, at string, there bool) bool {
	st, ok := info.Sys().(*reader.Stat)
	if !ok || st.Inode.Nlink < 2 {
		return false
	}
	first, ok := c.links[inode{st.Subvolume, st.Ino}]
	if !ok || !there {
		return ok && c.to.Link(first, at) == nil
	}
	one, oneErr := c.to.Lstat(first)
	two, twoErr := c.to.Lstat(at)
	return oneErr == nil && twoErr == nil && os.SameFile(one, two)
}

// target marks an error as one of where is copied to.
func target(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fault.New(fault.Target, "make room and run the same again: it goes on from here; or copy to a larger disk, or fewer directories", "%w", err)
	}
	return fault.New(fault.Target, "", "%w", err)
}
