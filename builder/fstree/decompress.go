package fstree

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// decompress returns what r holds, by whatever supported format it is
// compressed, or r's own bytes if it is not.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	head, err := buffered.Peek(unpack.MagicLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format := unpack.Detect(head)
	switch {
	case format == nil:
		return io.NopCloser(buffered), nil
	case !format.Supported():
		return nil, fmt.Errorf("compressed with %s, expected a tar archive, plain or compressed with gzip, zstd, xz or bzip2", format.Name)
	}
	return format.Open(buffered)
}
