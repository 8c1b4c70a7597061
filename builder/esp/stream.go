package esp

import (
	"fmt"
	"io"
)

const (
	streamBuffer = 4 << 20 // bytes of one write: large ones cost least
	maxGap       = 4 << 10 // zeros that are rather written than left out
)

// stream gathers what is written in ascending order into large writes. Gaps
// that are larger than maxGap are not written.
type stream struct {
	to     io.WriterAt
	offset int64 // of the buffer's first byte
	buf    []byte
}

func newStream(to io.WriterAt) *stream { return &stream{to: to, buf: make([]byte, 0, streamBuffer)} }

// room returns the place for up to n bytes at an offset that is not before the
// end of the last one. The caller fills all of it.
func (s *stream) room(offset, n int64) ([]byte, error) {
	gap := offset - s.offset - int64(len(s.buf))
	if gap > maxGap || int64(len(s.buf))+gap >= streamBuffer {
		if err := s.flush(); err != nil {
			return nil, err
		}
		s.offset, gap = offset, 0
	}
	at := len(s.buf) + int(gap)
	clear(s.buf[len(s.buf):at:cap(s.buf)])
	s.buf = s.buf[:at+int(min(n, streamBuffer-int64(at)))]
	return s.buf[at:], nil
}

// put writes b at an offset.
func (s *stream) put(offset int64, b []byte) error {
	for len(b) > 0 {
		room, err := s.room(offset, int64(len(b)))
		if err != nil {
			return err
		}
		n := copy(room, b)
		offset, b = offset+int64(n), b[n:]
	}
	return nil
}

// flush writes what is gathered.
func (s *stream) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	if _, err := s.to.WriteAt(s.buf, s.offset); err != nil {
		return fmt.Errorf("FAT32: writing %d bytes at byte %d: %w", len(s.buf), s.offset, err)
	}
	s.offset += int64(len(s.buf))
	s.buf = s.buf[:0]
	return nil
}
