package nar

import (
	"bufio"
	"crypto/sha256"
	"hash"
)

// Sum is a SHA-256.
type Sum = [sha256.Size]byte

// FileSum computes the digest of the archive that has nothing but one regular file, by
// which Nix knows equal files of a store (hashPath in libstore/optimise-store.cc). It
// counts whether the file is executable.
type FileSum struct {
	hash hash.Hash
	head Encoder // which writes to hash what is not content
	size int64
}

// headSize is enough for all that an archive of one file has before its content, so
// that few buffers are made of many files.
const headSize = 256

// NewFileSum returns one for a file of some size. All its content must be written to
// it before Sum is called.
func NewFileSum(runnable bool, size int64) *FileSum {
	s := &FileSum{hash: sha256.New(), size: size}
	s.head.w = bufio.NewWriterSize(s.hash, headSize)
	s.head.words(magic, open, typeWord, regular)
	if runnable {
		s.head.words(executable, "")
	}
	s.head.words(contents)
	s.head.number(uint64(size))
	_ = s.head.w.Flush() // no hash fails
	return s
}

// Write implements io.Writer.
func (s *FileSum) Write(p []byte) (int, error) { return s.hash.Write(p) }

// Sum returns the digest, once.
func (s *FileSum) Sum() (sum Sum) {
	s.head.pad(s.size)
	s.head.words(end)
	_ = s.head.w.Flush()
	s.hash.Sum(sum[:0])
	return sum
}

// SymlinkSum returns the digest of the archive that has nothing but a symlink.
func SymlinkSum(to string) (sum Sum) {
	h := sha256.New()
	e := Encoder{w: bufio.NewWriterSize(h, headSize)}
	e.words(magic, open, typeWord, symlink, target, to, end)
	_ = e.w.Flush()
	h.Sum(sum[:0])
	return sum
}
