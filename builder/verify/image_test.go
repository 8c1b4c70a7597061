package verify_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/verify"
)

// testImage is an assembled image and the manifest beside it. Changes are made
// over the file, which stays as it is.
type testImage struct {
	file     *os.File
	size     int64
	manifest *manifest.Manifest
	patches  []patch
}

type patch struct {
	at    int64
	bytes []byte
}

func (m *testImage) ReadAt(p []byte, at int64) (int, error) {
	n, err := m.file.ReadAt(p, at)
	for _, c := range m.patches {
		if from, to := max(at, c.at), min(at+int64(len(p)), c.at+int64(len(c.bytes))); from < to {
			copy(p[from-at:to-at], c.bytes[from-c.at:to-c.at])
		}
	}
	return n, err
}

// flip inverts a byte.
func (m *testImage) flip(t testing.TB, at int64) {
	t.Helper()
	var b [1]byte
	if _, err := m.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	m.patches = append(m.patches, patch{at, []byte{^b[0]}})
}

// verify verifies the image as it is now.
func (m *testImage) verify(t testing.TB, o verify.Options) *verify.Report {
	t.Helper()
	var in io.ReaderAt = m
	if len(m.patches) == 0 {
		in = m.file // whose holes need not be read
	}
	r, err := verify.Image(t.Context(), in, m.size, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// makeParts returns the parts of an image that is as it should be.
func makeParts(t testing.TB, loader string) *smalldisk.Parts {
	t.Helper()
	s, err := smalldisk.New(loader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// assemble writes an image.
func assemble(t testing.TB, s *smalldisk.Parts) *testImage {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk.img")
	m, err := s.Assemble(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &testImage{file: f, size: m.Image.Size, manifest: m}
}
