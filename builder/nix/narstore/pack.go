package narstore

import (
	"io"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
)

// packer writes an archive in frames, all but the last of frameSize.
type packer struct {
	w      io.Writer
	frames *seekable.Encoder
	frame  []byte // that is filled
}

// pack writes what fill writes in frames to w, and the table of them.
func (s *Store) pack(w io.Writer, fill func(io.Writer) error) error {
	frames, err := seekable.NewEncoder(s.encoder)
	if err != nil {
		return err
	}
	frame := s.buffer()
	defer s.free(frame)
	p := &packer{w: w, frames: frames, frame: frame[:0]}
	if err := fill(p); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	table, err := frames.EndStream()
	if err != nil {
		return err
	}
	_, err = w.Write(table)
	return err
}

// Write implements io.Writer.
func (p *packer) Write(b []byte) (n int, err error) {
	for n < len(b) {
		some := min(len(b)-n, frameSize-len(p.frame))
		p.frame = append(p.frame, b[n:n+some]...)
		n += some
		if len(p.frame) == frameSize {
			if err := p.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (p *packer) flush() error {
	packed, err := p.frames.Encode(p.frame)
	if err != nil {
		return err
	}
	p.frame = p.frame[:0]
	_, err = p.w.Write(packed)
	return err
}
