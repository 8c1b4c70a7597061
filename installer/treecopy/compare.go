package treecopy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// maxDifferences is how many differences are told one by one.
const maxDifferences = 20

// Compare reads back what Copy made with the same Options, and returns in what
// it differs: names, types, modes, owners, times of change, extended attributes,
// flags, hard links, and content, of which the source is not read once more: its
// digests were taken when it was copied. Data that is shared is not read at all.
//
// Without digests, nil, no content is compared.
//
// What the kernel has of the files in memory is dropped before they are read,
// so far as it is on the disk: call syncfs(2) first.
func Compare(ctx context.Context, src, dst *os.File, digests *Digests, o Options) ([]string, error) {
	if digests == nil {
		digests = newDigests()
	}
	c := &comparer{o: o, digests: digests, count: counter{report: o.Progress}, seen: map[fileKey]inode{}}
	o.Note = nil // Copy has told it
	w := &walker{o: o, src: int(src.Fd()), dst: int(dst.Fd()), v: c, volumes: digests}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	slices.Sort(c.found)
	if n := len(c.found) - maxDifferences; n > 0 {
		c.found = append(c.found[:maxDifferences], fmt.Sprintf("and %d more differences", n))
	}
	return c.found, nil
}

// inode is a file as the kernel tells it at this time.
type inode struct{ dev, ino uint64 }

// comparer is the visitor that compares.
type comparer struct {
	o       Options
	digests *Digests
	count   counter

	mu    sync.Mutex
	found []string
	seen  map[fileKey]inode // files with several names
}

func (c *comparer) differ(path, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = append(c.found, fmt.Sprintf("%q: ", path)+fmt.Sprintf(format, args...))
}

func (c *comparer) enter(d *dir, in *dir) error {
	if d.subvolume && c.o.Subvolume == nil {
		return errLeftOut
	}
	var st unix.Stat_t
	if err := unix.Fstatat(in.dst, d.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		c.differ(d.path(), "%v", err)
		return errLeftOut
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		c.differ(d.path(), "got type %o, expected a directory", st.Mode&unix.S_IFMT)
		return errLeftOut
	}
	return nil
}

// listed finds what was not copied.
func (c *comparer) listed(d *dir, names []string) error {
	have, err := namesIn(d.dst)
	if err != nil {
		return fail(d.path(), "read directory", err)
	}
	known := make(map[string]bool, len(names))
	for _, n := range names {
		known[n] = true
	}
	for _, n := range have {
		if !known[n] && (c.o.Except == nil || !c.o.Except(d.child(n))) {
			c.differ(d.child(n), "is not in the source")
		}
	}
	return nil
}

func (c *comparer) leave(d *dir, src, dst int) error {
	if d.parent == nil && c.o.KeepTop {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(dst, &st); err != nil {
		return fail(d.path(), "stat", err)
	}
	c.attributes(d.path(), &d.st, &st)
	c.flags(d.path(), src, dst)
	return c.xattrs(d.path(), descriptor(src), descriptor(dst))
}

func (c *comparer) entry(ctx context.Context, d *dir, name string, want *unix.Stat_t) error {
	if want.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return nil
	}
	path := d.child(name)
	var got unix.Stat_t
	if err := unix.Fstatat(d.dst, name, &got, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		c.differ(path, "%v", err)
		return nil
	}
	if got.Mode&unix.S_IFMT != want.Mode&unix.S_IFMT {
		c.differ(path, "got type %o, expected %o", got.Mode&unix.S_IFMT, want.Mode&unix.S_IFMT)
		return nil
	}
	if want.Nlink > 1 && c.known(path, fileKey{d.volume, want.Ino}, inode{got.Dev, got.Ino}) {
		return nil
	}
	c.attributes(path, want, &got)
	switch want.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.regular(ctx, d, name, want, &got)
	case unix.S_IFLNK:
		a, err := readlinkat(d.src, name, want.Size)
		if err != nil {
			return fail(path, "readlink", err)
		}
		b, err := readlinkat(d.dst, name, got.Size)
		if err != nil {
			return fail(path, "readlink", err)
		}
		if a != b {
			c.differ(path, "got a symlink to %q, expected %q", b, a)
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		if got.Rdev != want.Rdev {
			c.differ(path, "got device %x, expected %x", got.Rdev, want.Rdev)
		}
	}
	return c.xattrs(path, byName(d.src, name), byName(d.dst, name))
}

// known reports whether another name of a file was met, and whether the copies
// are one file as well.
func (c *comparer) known(path string, key fileKey, got inode) bool {
	c.mu.Lock()
	first, ok := c.seen[key]
	if !ok {
		c.seen[key] = got
	}
	c.mu.Unlock()
	if ok && first != got {
		c.differ(path, "is a file of its own, expected another name of one")
	}
	return ok
}

func (c *comparer) attributes(path string, want, got *unix.Stat_t) {
	if got.Mode != want.Mode {
		c.differ(path, "got mode %o, expected %o", got.Mode, want.Mode)
	}
	if got.Uid != want.Uid || got.Gid != want.Gid {
		c.differ(path, "got owner %d:%d, expected %d:%d", got.Uid, got.Gid, want.Uid, want.Gid)
	}
	if got.Mtim != want.Mtim {
		c.differ(path, "got time %d.%09d, expected %d.%09d", got.Mtim.Sec, got.Mtim.Nsec, want.Mtim.Sec, want.Mtim.Nsec)
	}
	if want.Mode&unix.S_IFMT == unix.S_IFREG && got.Size != want.Size {
		c.differ(path, "got %d bytes, expected %d", got.Size, want.Size)
	}
}

func (c *comparer) regular(ctx context.Context, d *dir, name string, want, got *unix.Stat_t) error {
	path := d.child(name)
	src, err := openat(d.src, name, unix.O_RDONLY)
	if err != nil {
		return fail(path, "open", err)
	}
	defer unix.Close(src)
	dst, err := openat(d.dst, name, unix.O_RDONLY)
	if err != nil {
		return fail(path, "open", err)
	}
	defer unix.Close(dst)
	c.flags(path, src, dst)
	if err := c.xattrs(path, descriptor(src), descriptor(dst)); err != nil {
		return err
	}
	sum, ok := c.digests.get(fileKey{d.volume, want.Ino})
	if !ok || got.Size != want.Size {
		return nil
	}
	_ = unix.Fadvise(dst, 0, 0, unix.FADV_DONTNEED)
	w := workers.Get().(*worker)
	defer workers.Put(w)
	err = eachPiece(ctx, dst, got.Size, w.buf, func(p []byte, at int64) error {
		w.sum.add(p, at)
		c.count.add(int64(len(p)))
		return nil
	})
	read := w.sum.sum()
	if err == unix.EIO { // a checksum of btrfs that does not fit
		c.differ(path, "cannot be read: %v", err)
		return nil
	}
	if err != nil {
		return fail(path, "read", err)
	}
	if read != sum {
		c.differ(path, "got content of SHA-256 %x, expected %x", read[:8], sum[:8])
	}
	return nil
}

// flags compares the flags of two files on btrfs, which itself gives +m to what
// turns out not to be worth compressing.
func (c *comparer) flags(path string, src, dst int) {
	want, err1 := unix.IoctlGetUint32(src, unix.FS_IOC_GETFLAGS)
	got, err2 := unix.IoctlGetUint32(dst, unix.FS_IOC_GETFLAGS)
	different := (want ^ got) & allFlags
	if got&flagNoComp != 0 {
		different &^= flagNoComp
	}
	if err1 == nil && err2 == nil && onBtrfs(dst) && different != 0 {
		c.differ(path, "got flags %#x, expected %#x", got&allFlags, want&allFlags)
	}
}

func (c *comparer) xattrs(path string, want, got attributed) error {
	a, err := xattrNames(want)
	if err != nil {
		return fail(path, "extended attributes", err)
	}
	b, err := xattrNames(got)
	if err != nil {
		return fail(path, "extended attributes", err)
	}
	for name := range b {
		if !a[name] && name != "security.selinux" {
			c.differ(path, "has the extended attribute %q, which the source has not", name)
		}
	}
	for name := range a {
		x, err := xattr(func(p []byte) (int, error) { return want.get(name, p) })
		if err != nil {
			return fail(path, "extended attributes", err)
		}
		y, err := xattr(func(p []byte) (int, error) { return got.get(name, p) })
		switch {
		case err != nil && !isOfBtrfs(name):
			c.differ(path, "extended attribute %q: %v", name, err)
		case err == nil && !bytes.Equal(x, y):
			c.differ(path, "extended attribute %q: got %q, expected %q", name, y, x)
		}
	}
	return nil
}
