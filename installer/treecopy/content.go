package treecopy

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// pieceSize is how much is read at a time, in bytes: a multiple of block.
const pieceSize = 1 << 20

// worker is what a file needs while it is read.
type worker struct {
	buf []byte
	sum *contentSum
}

var workers = sync.Pool{New: func() any { return &worker{make([]byte, pieceSize), newSum()} }}

// regular copies a file with content.
func (c *copier) regular(ctx context.Context, d *dir, name string, st *unix.Stat_t) (err error) {
	path := d.child(name)
	src, err := openat(d.src, name, unix.O_RDONLY)
	if err != nil {
		return fail(path, "open", err)
	}
	defer unix.Close(src)
	if err := sameFile(src, st); err != nil {
		return fail(path, "open", err)
	}
	dst, err := unix.Openat(d.dst, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fail(path, "create", err)
	}
	defer func() { err = errorsOf(err, fail(path, "close", unix.Close(dst))) }()
	if c.btrfs {
		if err := setStorage(path, src, dst); err != nil {
			return err
		}
	}
	if err := c.content(ctx, path, src, dst, fileKey{d.volume, st.Ino}, st.Size); err != nil {
		return err
	}
	return c.setAttributes(d, name, src, dst, st)
}

// sameFile is an error if a descriptor is not of the file that was seen at its
// name.
func sameFile(fd int, as *unix.Stat_t) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Dev != as.Dev || st.Ino != as.Ino || st.Mode&unix.S_IFMT != as.Mode&unix.S_IFMT {
		return errors.New("another file has come to this name")
	}
	return nil
}

// content copies the data of a file of size bytes, or shares it.
func (c *copier) content(ctx context.Context, path string, src, dst int, key fileKey, size int64) error {
	if size == 0 {
		c.digests.put(key, newSum().sum())
		return nil
	}
	if c.clones.Load() {
		err := unix.IoctlFileClone(dst, src)
		if err == nil {
			c.count.add(size)
			return nil
		}
		if errors.Is(err, unix.EXDEV) {
			c.clones.Store(false)
		} // EINVAL: one of them is not copied on write
	}
	w := workers.Get().(*worker)
	defer workers.Put(w)
	put := func(p []byte, at int64) error {
		w.sum.add(p, at)
		c.count.add(int64(len(p)))
		return pwrite(dst, p, at)
	}
	if err := eachPiece(ctx, src, size, w.buf, put); err != nil {
		w.sum.sum() // and so empty for the next
		return fail(path, "copy", err)
	}
	c.digests.put(key, w.sum.sum())
	if err := ignoringEINTR(func() error { return unix.Ftruncate(dst, size) }); err != nil {
		return fail(path, "set size", err)
	}
	return nil
}

// eachPiece calls do with the data of a file of size bytes, in order, without
// its holes.
func eachPiece(ctx context.Context, fd int, size int64, buf []byte, do func(p []byte, at int64) error) error {
	for at := int64(0); at < size; {
		from, to, err := nextData(fd, at, size)
		if err != nil || from >= size {
			return err
		}
		for at = from; at < to; {
			if err := ctx.Err(); err != nil {
				return err
			}
			// Pieces begin on the grid of blocks, wherever the data does.
			p := buf[:min(int64(len(buf))-at%block, to-at)]
			if err := preadFull(fd, p, at); err != nil {
				return err
			}
			if err := do(p, at); err != nil {
				return err
			}
			at += int64(len(p))
		}
	}
	return nil
}

// nextData returns the next data of a file at or behind an offset. All of a file
// is data where its file system knows of no holes.
func nextData(fd int, at, size int64) (from, to int64, err error) {
	from, err = unix.Seek(fd, at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case err != nil:
		return at, size, nil
	}
	if to, err = unix.Seek(fd, from, unix.SEEK_HOLE); err != nil {
		return 0, 0, err
	}
	return from, min(to, size), nil
}

func preadFull(fd int, p []byte, at int64) error {
	for len(p) > 0 {
		n, err := unix.Pread(fd, p, at)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF // it became shorter
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}

func pwrite(fd int, p []byte, at int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}
