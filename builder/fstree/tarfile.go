package fstree

import (
	"io"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// tarData is the archive that all contents of a tree are in.
type tarData struct {
	r    io.ReaderAt
	name string
}

// tarContent is a file without holes that starts at pos.
type tarContent struct {
	src *tarData
	pos int64
}

// sparseContent is a file of which only parts are in the archive.
type sparseContent struct {
	src   *tarData
	parts []sparsePart
}

func (c *tarContent) Open(e *Entry) (File, error) {
	return &tarFile{c.src, e.Path(), e.Size, []sparsePart{{Segment{0, e.Size}, c.pos}}}, nil
}

func (c *sparseContent) Open(e *Entry) (File, error) {
	return &tarFile{c.src, e.Path(), e.Size, c.parts}, nil
}

type tarFile struct {
	src   *tarData
	path  string // in the tree
	size  int64
	parts []sparsePart
}

func (f *tarFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	var end error
	if left := f.size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	clear(p)
	first := sort.Search(len(f.parts), func(i int) bool { return f.parts[i].Offset+f.parts[i].Length > off })
	for _, part := range f.parts[first:] {
		from, to := max(part.Offset, off), min(part.Offset+part.Length, off+int64(len(p)))
		if from >= to {
			break
		}
		if n, err := f.src.r.ReadAt(p[from-off:to-off], part.pos+from-part.Offset); int64(n) < to-from {
			return int(from-off) + n, fault.New(fault.Input, "", "%s: %s: byte %d: %w",
				f.src.name, f.path, from+int64(n), readError(err))
		}
	}
	return len(p), end
}

func (f *tarFile) Segments() ([]Segment, error) {
	segments := make([]Segment, len(f.parts))
	for i, part := range f.parts {
		segments[i] = part.Segment
	}
	return segments, nil
}

func (f *tarFile) Close() error { return nil }
