package narstore

import "crypto/sha256"

// Sums makes the digests of the frames of an archive that is written to it.
type Sums struct {
	sums  []Hash
	frame []byte // that is not full yet
}

// NewSums returns the digests of nothing.
func NewSums() *Sums { return &Sums{frame: make([]byte, 0, frameSize)} }

// Write implements io.Writer.
func (s *Sums) Write(p []byte) (n int, err error) {
	for n < len(p) {
		some := min(len(p)-n, frameSize-len(s.frame))
		s.frame = append(s.frame, p[n:n+some]...)
		n += some
		if len(s.frame) == frameSize {
			s.end()
		}
	}
	return n, nil
}

func (s *Sums) end() {
	s.sums = append(s.sums, sumOf(s.frame))
	s.frame = s.frame[:0]
}

// all returns the digests, when all is written.
func (s *Sums) all() []Hash {
	if len(s.frame) > 0 {
		s.end()
	}
	s.frame = nil
	return s.sums
}

func sumOf(frame []byte) Hash { return sha256.Sum256(frame) }
