package main

import (
	"bytes"
	"slices"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"
)

// shell is the command that sh means.
const shell = "gosh"

// window is what the kernel's zstd decoder accepts at most (its
// ZSTD_WINDOWSIZE_MAX in lib/decompress_unzstd.c).
const window = 8 << 20

// pack returns the compressed archive: the program and a symlink for each
// name, in the order of their paths, without times.
func pack(program []byte, names []string) ([]byte, error) {
	links := map[string]string{"sh": "bb"}
	for _, n := range names {
		links[n] = "bb"
	}
	sorted := []string{"bb"}
	for n := range links {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)

	var raw bytes.Buffer
	w := cpio.NewWriter(&raw)
	inode := int64(0)
	add := func(h cpio.Header, data []byte) error {
		inode++
		h.Inode, h.Size = inode, int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	if err := add(cpio.Header{Name: "bin", Mode: cpio.TypeDir | 0o755, Links: 2}, nil); err != nil {
		return nil, err
	}
	for _, n := range sorted {
		h, data := cpio.Header{Name: "bin/" + n, Mode: cpio.TypeSymlink | 0o777, Links: 1, Linkname: links[n]}, []byte(links[n])
		if n == "bb" {
			h, data = cpio.Header{Name: "bin/bb", Mode: cpio.TypeReg | 0o755, Links: 1}, program
		}
		if err := add(h, data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	return e.EncodeAll(raw.Bytes(), nil), nil
}
