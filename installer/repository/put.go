package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// hole is the unit in which zeros are left out, in bytes.
const hole = 32 << 10

var zeros [hole]byte

// put writes a blob of a file, and completes the file with its last one.
func (w *writer) put(f *wanted, at int64, text []byte) error {
	fd, err := createAt(w.top, f.below(), unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, f.first())
	if err == nil {
		err = f.write(fd, at, text)
		if err == nil && (len(f.Content) == 0 || f.missing.Add(-1) == 0) {
			err = w.complete(f, fd)
		}
		if closed := unix.Close(fd); err == nil {
			err = closed
		}
	}
	if err != nil {
		return w.give(f, err)
	}
	w.meter.add(int64(len(text)), 0)
	return nil
}

// first returns the mode that a file is made with: its own, so that it is not set once
// more, but for the special bits; and who writes it can open it again.
func (f *wanted) first() uint32 { return permissions(fs.FileMode(f.Mode))&0o777 | 0o600 }

// give gives up a file of which an error is, unless all else would fail as well.
func (w *writer) give(f *wanted, err error) error {
	if stop := fatal(f.entry, err); stop != nil {
		return stop
	}
	w.drop(f, err)
	return nil
}

// write writes a text to a file, without the zeros of which whole holes can be.
func (f *wanted) write(fd int, at int64, text []byte) error {
	for len(text) > 0 {
		zero, n := zeroRun(at, text)
		switch {
		case zero && !f.old:
			f.holes.Store(true)
		case zero && punch(fd, at, n): // complete gives it its size
		default:
			if err := writeAll(fd, at, text[:n]); err != nil {
				return err
			}
		}
		at, text = at+n, text[n:]
	}
	return nil
}

// punch makes a hole in what is there of a file. False is a file system that has none.
func punch(fd int, at, n int64) bool {
	return retried(func() error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, n)
	}) == nil
}

// zeroRun returns how many bytes of a text that belongs at an offset are holes, or are
// none.
func zeroRun(at int64, text []byte) (zero bool, n int64) {
	for n < int64(len(text)) {
		unit := min(hole-(at+n)%hole, int64(len(text))-n)
		is := unit == hole && bytes.Equal(text[n:n+unit], zeros[:])
		if n == 0 {
			zero = is
		} else if is != zero {
			return zero, n
		}
		n += unit
	}
	return zero, n
}

func writeAll(fd int, at int64, text []byte) error {
	for len(text) > 0 {
		var n int
		err := retried(func() (err error) {
			n, err = unix.Pwrite(fd, text, at)
			return err
		})
		if err != nil {
			return err
		}
		text, at = text[n:], at+int64(n)
	}
	return nil
}

// complete gives a file that has all of its blobs its size, its owner and all else. It
// is as long as they are, or as its node says where that is more: see content.
func (w *writer) complete(f *wanted, fd int) error {
	size := max(f.total, int64(min(f.Size, maxCount)))
	if f.old {
		if err := unix.Ftruncate(fd, f.total); err != nil {
			return err
		}
	}
	if f.old || f.holes.Load() || f.total < size {
		if err := unix.Ftruncate(fd, size); err != nil {
			return err
		}
	}
	w.meter.add(0, 1)
	return w.meta(f.entry, fd)
}

// found looks what is in the place of a file. Other than a file it is removed.
func (w *writer) found(f *wanted) error {
	st := unix.Stat_t{}
	err := unix.Fstatat(w.top, f.below(), &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
	case typeName(st.Mode) == "file" && st.Nlink == 1:
		f.old = true
		err = unix.Fchmodat(w.top, f.below(), 0o600, 0)
	default: // a file of several names may be linked to what is none of them
		err = w.remove(f.entry)
	}
	if err != nil {
		return w.give(f, err)
	}
	return nil
}

// inspect compares what is there of the files of the window.
func (w *writer) inspect(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(runtime.GOMAXPROCS(0))
	for i := range w.parts {
		if p := &w.parts[i]; p.old {
			all.Go(func() error { return w.compare(ctx, p) })
		}
	}
	return all.Wait()
}

// compare notes which blobs of a part are right, and completes the file that has all.
func (w *writer) compare(ctx context.Context, p *part) error {
	fd, err := openAt(w.top, p.below(), unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if err != nil {
		return w.give(p.wanted, err)
	}
	defer unix.Close(fd)
	f := &file{e: p.entry, fd: fd, sum: sha256.New(), buf: make([]byte, blockSize)}
	p.right = make([]bool, len(p.content))
	right, at := int64(0), p.at
	for i, id := range p.content {
		n, _ := w.repo.Length(id)
		if p.right[i], err = f.holds(ctx, id, at, n); err != nil {
			return err
		}
		if p.right[i] {
			right++
			w.meter.add(n, 0)
		}
		at += n
	}
	if p.missing.Add(-right) == 0 {
		if err := w.complete(p.wanted, fd); err != nil {
			return w.give(p.wanted, err)
		}
	}
	return nil
}

// holds reports whether the n bytes at an offset are those of a blob.
func (f *file) holds(ctx context.Context, id reader.ID, at, n int64) (bool, error) {
	if _, err := unix.Seek(f.fd, at, unix.SEEK_SET); err != nil {
		return false, &fs.PathError{Op: "seek", Path: Printable(f.e.path), Err: err}
	}
	f.at, f.nominal = uint64(at), ^uint64(0)
	return f.has(ctx, id, n)
}
