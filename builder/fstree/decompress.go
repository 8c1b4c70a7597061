package fstree

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// maxWindow bounds the memory that a compressed file can demand. It is what
// the zstd program allows unasked; xz -9 needs half of it.
const maxWindow = 128 << 20

// compression is a format that is known by the first bytes of a file.
type compression struct {
	name  string
	magic []byte
	open  func(io.Reader) (io.ReadCloser, error) // nil if not supported
}

// Sources of the magic numbers: RFC 1952, RFC 8878, The .xz File Format 1.2.1;
// the rest from the file(1) program's collection.
var compressions = []compression{
	{"gzip", []byte{0x1f, 0x8b}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}, openZstd},
	{"xz", []byte{0xfd, '7', 'z', 'X', 'Z', 0}, openXZ},
	{"bzip2", []byte("BZh"), nil},
	{"lzip", []byte("LZIP"), nil},
	{"lz4", []byte{0x04, 0x22, 0x4d, 0x18}, nil},
	{"zip", []byte("PK\x03\x04"), nil},
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// openXZ uses a port of the kernel's decoder: a third faster than the
// alternative in pure Go, and it takes a limit for the dictionary.
func openXZ(r io.Reader) (io.ReadCloser, error) {
	d, err := xz.NewReader(r, maxWindow)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(d), nil
}

// detect returns the compression of a file that begins with head, nil if it
// is none that is known.
func detect(head []byte) *compression {
	for i := range compressions {
		if bytes.HasPrefix(head, compressions[i].magic) {
			return &compressions[i]
		}
	}
	return nil
}

// magicLength is what detect needs to see.
const magicLength = 6

// decompress returns what r holds, by whatever supported format it is
// compressed, or r's own bytes if it is not.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	head, err := buffered.Peek(magicLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	c := detect(head)
	switch {
	case c == nil:
		return io.NopCloser(buffered), nil
	case c.open == nil:
		return nil, fmt.Errorf("compressed with %s, expected a tar archive, plain or compressed with gzip, zstd or xz", c.name)
	}
	d, err := c.open(buffered)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return &decompressor{d, c.name}, nil
}

// decompressor adds the format's name to errors.
type decompressor struct {
	io.ReadCloser
	name string
}

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", d.name, err)
	}
	return n, err
}
