package fstree

import (
	"bytes"
	"io"
)

// Bytes is the content of a file that is made in memory. Inode.Size must be its
// length.
type Bytes []byte

// Open implements Content.
func (b Bytes) Open(*Entry) (File, error) { return bytesFile{bytes.NewReader(b)}, nil }

type bytesFile struct{ io.ReaderAt }

// Segments implements File: all of it is data.
func (f bytesFile) Segments() ([]Segment, error) {
	return []Segment{{Length: f.ReaderAt.(*bytes.Reader).Size()}}, nil
}

// Close implements File.
func (bytesFile) Close() error { return nil }
