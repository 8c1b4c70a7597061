package nar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	oracle "github.com/nix-community/go-nix/pkg/nar"
)

// golden returns the archives of a binary cache that Nix made.
func golden(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../testdata/golden/cache-zstd/nar/*.zst")
	if err != nil || len(names) != 13 {
		t.Fatalf("%d archives, %v; expected 13", len(names), err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if out[filepath.Base(name)], err = d.DecodeAll(data, nil); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// theirs lists an archive by another reader.
func theirs(in []byte) (lines []string, err error) {
	r, err := oracle.NewReader(bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		path := h.Path[1:]
		switch h.Type {
		case oracle.TypeDirectory:
			lines = append(lines, fmt.Sprintf("dir %q", path))
		case oracle.TypeSymlink:
			lines = append(lines, fmt.Sprintf("link %q %q", path, h.LinkTarget))
		default:
			data, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			lines = append(lines, fmt.Sprintf("file %q %t %d %q", path, h.Executable, h.Size, data))
		}
	}
}

// TestGolden: archives of Nix hold for us what they hold for another reader, and
// are written again.
func TestGolden(t *testing.T) {
	for name, in := range golden(t) {
		var got listing
		if err := Read(bytes.NewReader(in), &got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := theirs(in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.lines); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		again(t, in)
	}
}
