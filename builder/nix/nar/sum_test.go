package nar

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
)

// archiveSum returns the digest of an archive of one node.
func archiveSum(t *testing.T, node func(e *Encoder) error) Sum {
	t.Helper()
	var b bytes.Buffer
	e := NewEncoder(&b)
	if err := node(e); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b.Bytes())
}

func TestFileSum(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 9, headSize, 100_001} {
		for _, executable := range []bool{false, true} {
			t.Run(fmt.Sprint(size, executable), func(t *testing.T) {
				text := strings.Repeat("x", size)
				want := archiveSum(t, func(e *Encoder) error {
					return e.File(File{Executable: executable, Size: int64(size)}, strings.NewReader(text))
				})
				s := NewFileSum(executable, int64(size))
				for _, part := range []string{text[:size/3], text[size/3:]} {
					if _, err := io.WriteString(s, part); err != nil {
						t.Fatal(err)
					}
				}
				if got := s.Sum(); got != want {
					t.Errorf("FileSum %x; want %x", got, want)
				}
			})
		}
	}
}

func TestSymlinkSum(t *testing.T) {
	for _, target := range []string{"a", "/nix/store", strings.Repeat("x", maxTarget)} {
		want := archiveSum(t, func(e *Encoder) error { return e.Symlink("", target) })
		if got := SymlinkSum(target); got != want {
			t.Errorf("%.20s: SymlinkSum %x; want %x", target, got, want)
		}
	}
}
