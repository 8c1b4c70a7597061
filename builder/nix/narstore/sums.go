package narstore

import (
	"crypto/sha256"
	"hash"
)

// Sums makes the digests of the frames of an archive that is written to it.
type Sums struct {
	sums  []Hash
	frame hash.Hash // of what is there of the one that is not full yet
	in    int       // bytes of it
}

// NewSums returns the digests of nothing.
func NewSums() *Sums { return &Sums{frame: sha256.New()} }

// Write implements io.Writer.
func (s *Sums) Write(p []byte) (n int, err error) {
	for n < len(p) {
		some := min(len(p)-n, frameSize-s.in)
		s.frame.Write(p[n : n+some])
		s.in += some
		n += some
		if s.in == frameSize {
			s.end()
		}
	}
	return n, nil
}

func (s *Sums) end() {
	s.sums = append(s.sums, Hash(s.frame.Sum(nil)))
	s.frame.Reset()
	s.in = 0
}

// all returns the digests, when all is written.
func (s *Sums) all() []Hash {
	if s.in > 0 {
		s.end()
	}
	return s.sums
}

// sumOf returns the digest of a frame.
func sumOf(frame []byte) Hash { return sha256.Sum256(frame) }
