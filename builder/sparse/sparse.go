// Package sparse finds the holes of a file: ranges for which its file system
// stores nothing, and which read as zeros. Whoever skips them saves time, and
// must make of them what zeros make: what a file system tells of holes differs
// from one to the next.
package sparse

import (
	"errors"
	"io"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Holes are the holes of one file. They are for one goroutine.
type Holes struct {
	file file // nil when nothing is known
	size int64
	// The data that was found last: all before it is hole.
	from, to int64
}

// file is what an *os.File has, and what stands for one.
type file interface {
	Stat() (fs.FileInfo, error)
	SyscallConn() (syscall.RawConn, error)
}

// Of returns the holes in the first size bytes behind r. What is no regular
// file of at least that size, or gives no access to it as *os.File and
// *rawdisk.Disk do, has none.
func Of(r io.ReaderAt, size int64) *Holes {
	f, ok := r.(file)
	if !ok {
		return &Holes{}
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() < size {
		return &Holes{}
	}
	return &Holes{file: f, size: size}
}

// Covers reports whether length bytes at offset are all hole. Ranges must be
// asked for in ascending order. Errors are those of lseek(2), which moves the
// file's own offset.
func (h *Holes) Covers(offset, length int64) (bool, error) {
	for h.file != nil && offset >= h.to {
		if h.to >= h.size {
			return true, nil
		}
		from, err := h.seek(h.to, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // no data up to the end
			h.from, h.to = h.size, h.size
			return true, nil
		}
		if err != nil {
			h.file = nil // it has no holes that it could tell of
			return false, nil
		}
		to, err := h.seek(from, unix.SEEK_HOLE)
		if err != nil {
			return false, err
		}
		h.from, h.to = from, to
	}
	return h.file != nil && offset+length <= h.from, nil
}

func (h *Holes) seek(at int64, whence int) (found int64, err error) {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := conn.Control(func(fd uintptr) { found, err = unix.Seek(int(fd), at, whence) }); e != nil {
		return 0, e
	}
	return found, err
}
