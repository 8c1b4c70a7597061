package repository

import (
	"context"
	"crypto/sha256"
	"hash"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// blockSize is how much of a file is read at once, in bytes; a blob may be of any
// size.
const blockSize = 256 << 10

// content reports whether a regular file has the content of a node. What cannot be read
// has not.
//
// Where a file changed while it was backed up, its blobs may be fewer or more bytes than
// its node says (restic check allows it, internal/checker of restic). restic gives a
// file the size of its node and then writes the blobs. So a file has all of these, with
// zeros that it ends before, or zeros after them.
func (c *comparison) content(ctx context.Context, e *placed, st *unix.Stat_t, buf []byte) (bool, error) {
	total, err := c.length(e, e.Content)
	if err != nil || uint64(st.Size) < min(total, e.Size) || uint64(st.Size) > max(total, e.Size) {
		return false, err
	}
	if err := e.open(); err != nil || e.fd < 0 {
		return false, err
	}
	f := &file{e: e.entry, fd: e.fd, sum: sha256.New(), buf: buf, nominal: e.Size}
	for _, id := range e.Content {
		n, _ := c.repo.Length(id)
		right, err := f.has(ctx, id, n)
		if err != nil || !right {
			return false, err
		}
		c.advance(n, 0)
	}
	if uint64(st.Size) > total {
		if right, err := f.endsInZeros(ctx); err != nil || !right {
			return false, err
		}
	}
	c.advance(0, 1)
	return true, nil
}

// length returns how many bytes blobs have.
func (c *comparison) length(e *placed, content []reader.ID) (total uint64, err error) {
	for _, id := range content {
		n, ok := c.repo.Length(id)
		if !ok {
			return 0, damaged(e.entry, errUnindexed(id))
		}
		total += uint64(n)
	}
	return total, nil
}

// damaged is the problem of a node.
func damaged(e *entry, err error) error {
	return firstboot.NewProblem(firstboot.CodeDamaged, reader.DamagedHint, "%s: %w", Printable(e.path), err)
}

// file is one that is read.
type file struct {
	e       *entry
	fd      int
	sum     hash.Hash
	buf     []byte
	at      uint64 // how much was read
	nominal uint64 // the size of its node, from which on zeros may be missing
}

// has reports whether the next n bytes of a file are those of a blob.
func (f *file) has(ctx context.Context, id reader.ID, n int64) (bool, error) {
	f.sum.Reset()
	for n > 0 {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		piece := f.buf[:min(n, int64(len(f.buf)))]
		got, err := f.read(piece)
		switch {
		case err != nil, got == 0 && f.at < f.nominal:
			return false, f.e.lacking(err)
		case got == 0:
			clear(piece)
			got = len(piece)
		}
		f.sum.Write(piece[:got])
		n -= int64(got)
	}
	return reader.ID(f.sum.Sum(nil)) == id, nil
}

// endsInZeros reports whether a file has nothing else any more.
func (f *file) endsInZeros(ctx context.Context) (bool, error) {
	for {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		got, err := f.read(f.buf)
		if err != nil || got == 0 {
			return err == nil, f.e.lacking(err)
		}
		if slices.ContainsFunc(f.buf[:got], func(b byte) bool { return b != 0 }) {
			return false, nil
		}
	}
}

// read reads once; 0 is the end.
func (f *file) read(piece []byte) (n int, err error) {
	err = retried(func() error {
		n, err = unix.Read(f.fd, piece)
		return err
	})
	f.at += uint64(max(n, 0))
	return n, err
}
