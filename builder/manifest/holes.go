package manifest

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// holes tells which parts of a file its file system keeps as holes. They read
// as zeros, so that nothing depends on what it says but the time.
type holes struct {
	file *os.File // nil when nothing is known
	size int64
	// The data that was found last: all before it is hole.
	from, to int64
}

func newHoles(r io.ReaderAt, size int64) *holes {
	f, ok := r.(*os.File)
	if !ok {
		return &holes{}
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() < size {
		return &holes{}
	}
	return &holes{file: f, size: size}
}

// covers reports whether a range is all hole. Ranges must be asked for in
// ascending order.
func (h *holes) covers(r Range) (bool, error) {
	for h.file != nil && r.Offset >= h.to {
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
	return h.file != nil && r.Offset+r.Length <= h.from, nil
}

// seek moves the file's offset, which nobody here uses.
func (h *holes) seek(at int64, whence int) (found int64, err error) {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := conn.Control(func(fd uintptr) { found, err = unix.Seek(int(fd), at, whence) }); e != nil {
		return 0, e
	}
	return found, err
}
