package gpt

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/diskfs/go-diskfs/backend"
)

// collector is the disk that go-diskfs writes a table to: it keeps what is
// written by its offset.
type collector map[int64][]byte

var _ backend.WritableFile = collector(nil)

// errWriteOnly is the answer to everything but writing, which go-diskfs does
// not ask for.
var errWriteOnly = errors.New("a collector of writes cannot be read")

// WriteAt implements io.WriterAt.
func (c collector) WriteAt(b []byte, offset int64) (int, error) {
	c[offset] = bytes.Clone(b)
	return len(b), nil
}

// Close implements io.Closer.
func (c collector) Close() error { return nil }

// Read implements io.Reader.
func (c collector) Read([]byte) (int, error) { return 0, errWriteOnly }

// ReadAt implements io.ReaderAt.
func (c collector) ReadAt([]byte, int64) (int, error) { return 0, errWriteOnly }

// Seek implements io.Seeker.
func (c collector) Seek(int64, int) (int64, error) { return 0, errWriteOnly }

// Stat implements fs.File.
func (c collector) Stat() (fs.FileInfo, error) { return nil, errWriteOnly }
