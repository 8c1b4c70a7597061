package bincache

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// text reads an answer of at most so many bytes as it was before it was compressed: a cache
// may keep what it says about objects so (narinfo-compression of nix copy), and then sends
// it to everybody with Content-Encoding, as S3 does. An archive is not decoded: its
// compression and its digest are those of what is sent.
func (r *response) text(most int64) ([]byte, error) {
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	if encoding == "" || encoding == "identity" {
		return readAll(r, r.name, most)
	}
	format := unpack.ByName(strings.TrimPrefix(encoding, "x-"))
	if format == nil || !format.Supported() {
		return nil, fault.New(fault.Input, "name another cache; its owner can fill a new one with narinfo-compression=zstd, or without", "%s: Content-Encoding %.100q, expected gzip, zstd, xz, bzip2 or none", r.name, encoding)
	}
	plain, err := format.Open(r)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", r.name, err)
	}
	defer plain.Close()
	return readAll(plain, r.name, most)
}
