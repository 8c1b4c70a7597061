package repository

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// blockSize is how much of a file is read at once, in bytes; a blob may be of any
// size.
const blockSize = 256 << 10

// content reports whether a regular file has the content of a node. What cannot be
// read has not.
func (c *comparison) content(ctx context.Context, e *entry, st *unix.Stat_t, buf []byte) (bool, error) {
	total, err := c.length(e)
	if err != nil || uint64(st.Size) != total {
		return false, err
	}
	fd, err := e.open()
	if err != nil || fd < 0 {
		return false, err
	}
	defer unix.Close(fd)
	f := &file{e: e, fd: fd, sum: sha256.New(), buf: buf}
	for _, id := range e.Content {
		n, _ := c.repo.Length(id)
		right, err := f.has(ctx, id, n)
		if err != nil || !right {
			return false, err
		}
		c.advance(n, 0)
	}
	c.advance(0, 1)
	return true, nil
}

// length returns how many bytes the blobs of a node have.
func (c *comparison) length(e *entry) (total uint64, err error) {
	for _, id := range e.Content {
		n, ok := c.repo.Length(id)
		if !ok {
			return 0, damaged(e, fmt.Errorf("blob %.8s… is in no index", id))
		}
		total += uint64(n)
	}
	if total != e.Size {
		return 0, damaged(e, fmt.Errorf("its content has %d bytes, expected %d", total, e.Size))
	}
	return total, nil
}

// damaged is the problem of a node.
func damaged(e *entry, err error) error {
	return firstboot.NewProblem(firstboot.CodeDamaged, "restic check tells what is damaged", "%s: %w", Printable(e.path), err)
}

// file is one that is read.
type file struct {
	e   *entry
	fd  int
	sum hash.Hash
	buf []byte
}

// has reports whether the next n bytes of a file are those of a blob.
func (f *file) has(ctx context.Context, id reader.ID, n int64) (bool, error) {
	f.sum.Reset()
	for n > 0 {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		got, err := unix.Read(f.fd, f.buf[:min(n, int64(len(f.buf)))])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || got == 0 {
			return false, f.e.lacking(err)
		}
		f.sum.Write(f.buf[:got])
		n -= int64(got)
	}
	return reader.ID(f.sum.Sum(nil)) == id, nil
}
