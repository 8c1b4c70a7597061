package btrfs

import (
	"io"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// output writes to the device, whose end may be known from the start. Beyond
// that end nothing is written, so that the pass can go on and tell how many
// bytes would have been needed.
type output struct {
	to    io.WriterAt
	limit int64 // 0 means none
}

func (o *output) writeAt(p []byte, at ondisk.Physical) error {
	if o.limit > 0 && int64(at)+int64(len(p)) > o.limit {
		return nil
	}
	_, err := o.to.WriteAt(p, int64(at))
	return err
}

// flushAt is the number of buffered bytes at which a run is written. Larger
// writes were not measurably faster.
const flushAt = 1 << 20

// run gathers writes to adjacent addresses into few large ones, the same to
// every copy.
type run struct {
	out   *output
	start []ondisk.Physical // of the buffered bytes, a place for each copy
	buf   []byte
}

// write adds p at the places of its copies.
func (r *run) write(p []byte, at ...ondisk.Physical) error {
	if len(r.buf) > 0 && !r.continues(at) {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if len(r.buf) == 0 {
		r.start = append(r.start[:0], at...)
	}
	r.buf = append(r.buf, p...)
	if len(r.buf) >= flushAt {
		return r.flush()
	}
	return nil
}

func (r *run) continues(at []ondisk.Physical) bool {
	for i, p := range at {
		if r.start[i]+ondisk.Physical(len(r.buf)) != p {
			return false
		}
	}
	return len(at) == len(r.start)
}

// flush writes what is buffered.
func (r *run) flush() error {
	for _, at := range r.start {
		if err := r.out.writeAt(r.buf, at); err != nil {
			return err
		}
	}
	r.buf, r.start = r.buf[:0], r.start[:0]
	return nil
}
