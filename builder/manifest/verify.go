package manifest

import (
	"context"
	"fmt"
	"io"
)

// Mismatch is a chunk that does not read as the manifest says.
type Mismatch struct {
	Range
	Place string // "partition root", "partition table" or "no partition"
	What  string // what is there, and what the manifest says
}

// String returns place and finding on one line.
func (m Mismatch) String() string {
	return fmt.Sprintf("bytes %d to %d (%s): %s", m.Offset, m.Offset+m.Length, m.Place, m.What)
}

// Verify compares the image behind r, of m.Image.Size bytes, with its
// manifest. Options may leave out parts; those that the manifest omits are
// left out in any case. The error is one of reading.
func Verify(ctx context.Context, r io.ReaderAt, m *Manifest, o Options) ([]Mismatch, error) {
	var bad []Mismatch
	listed := m.Chunks
	err := scan(ctx, r, m.Image.Size, o, func(s sum) {
		for len(listed) > 0 && listed[0].Offset < s.Offset { // not asked for
			listed = listed[1:]
		}
		var want *Chunk
		if len(listed) > 0 && listed[0].Offset == s.Offset {
			want = &listed[0]
		}
		if m.Omits != nil && m.Omits.touches(s.Range) {
			return
		}
		if what := s.differs(want); what != "" {
			bad = append(bad, Mismatch{s.Range, m.place(s.Range), what})
		}
	})
	return bad, err
}

// differs says how a chunk differs from what the manifest lists, where nil
// stands for zeros.
func (s sum) differs(want *Chunk) string {
	switch {
	case want == nil && s.used:
		return fmt.Sprintf("not zero at %d, the manifest says that all of it is", s.at)
	case want != nil && !s.used:
		return fmt.Sprintf("all zeros, the manifest says SHA-256 %.8x", want.SHA256[:])
	case want != nil && s.digest != want.SHA256:
		return fmt.Sprintf("SHA-256 %.8x, the manifest says %.8x", s.digest[:], want.SHA256[:])
	}
	return ""
}

// place says in which part of the disk a chunk is.
func (m *Manifest) place(r Range) string {
	for _, p := range m.Partitions {
		if p.Range().touches(r) {
			return "partition " + p.Role
		}
	}
	if r.Offset == 0 || r.Offset+r.Length == m.Image.Size {
		return "partition table"
	}
	return "no partition"
}
