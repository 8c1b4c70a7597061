package manifest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/manifest"
)

const chunk = manifest.ChunkSize

// sparse writes pieces into a new file of a size.
func sparse(t testing.TB, size int64, pieces map[int64][]byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at, b := range pieces {
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// plainly is Digest in its simplest form.
func plainly(b []byte) (chunks []manifest.Chunk) {
	for at := int64(0); at < int64(len(b)); at += chunk {
		part := b[at:min(at+chunk, int64(len(b)))]
		if len(bytes.Trim(part, "\x00")) > 0 {
			chunks = append(chunks, manifest.Chunk{Offset: at, Length: int64(len(part)), SHA256: sha256.Sum256(part)})
		}
	}
	return chunks
}

func TestDigest(t *testing.T) {
	one := []byte{1}
	for _, tt := range []struct {
		name   string
		size   int64
		pieces map[int64][]byte
		want   int
	}{
		{"empty", 0, nil, 0},
		{"one hole", 3*chunk + 5, nil, 0},
		{"one byte", 1, map[int64][]byte{0: one}, 1},
		{"one below a chunk", chunk - 1, map[int64][]byte{chunk - 2: one}, 1},
		{"a chunk", chunk, map[int64][]byte{chunk - 1: one}, 1},
		{"one above a chunk", chunk + 1, map[int64][]byte{chunk: one}, 1},
		{"both sides of a border", 2 * chunk, map[int64][]byte{chunk - 1: {1, 1}}, 2},
		{"written zeros", 2 * chunk, map[int64][]byte{0: make([]byte, chunk)}, 0},
		{"hole between, data at the end", 9 * chunk, map[int64][]byte{7: one, 4*chunk + 5: one, 8*chunk + 9: one}, 3},
		{"more than a batch", 258 * chunk, map[int64][]byte{255 * chunk: one, 256 * chunk: one, 257 * chunk: one}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sparse(t, tt.size, tt.pieces)
			var last, total int64
			got, err := manifest.Digest(t.Context(), f, tt.size, manifest.Options{Workers: 3, Progress: func(d, n int64) { last, total = d, n }})
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plainly(b), got); diff != "" || len(got) != tt.want {
				t.Errorf("%d chunks; want %d\n%s", len(got), tt.want, diff)
			}
			if last != tt.size || total != tt.size {
				t.Errorf("progress ended at %d of %d; want %d", last, total, tt.size)
			}
			// What is no file of the host has no holes.
			again, err := manifest.Digest(t.Context(), bytes.NewReader(b), tt.size, manifest.Options{})
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("from memory: %v\n%s", err, diff)
			}
		})
	}
}

// TestDigestRandomHoles writes at random places, so that data and holes begin
// and end anywhere on the grid.
func TestDigestRandomHoles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		size := rng.Int64N(12*chunk) + 1
		pieces := map[int64][]byte{}
		for range rng.IntN(6) {
			at := rng.Int64N(size)
			b := bytes.Repeat([]byte{byte(rng.IntN(2))}, int(min(rng.Int64N(chunk), size-at)))
			pieces[at] = b
		}
		f := sparse(t, size, pieces)
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.Digest(t.Context(), f, size, manifest.Options{})
		if diff := cmp.Diff(plainly(b), got); err != nil || diff != "" {
			t.Errorf("size %d: %v\n%s", size, err, diff)
		}
	}
}

// TestDigestParts checks that Only and Skip of one range divide the image.
func TestDigestParts(t *testing.T) {
	b := bytes.Repeat([]byte{1}, int(5*chunk+100))
	r, size := bytes.NewReader(b), int64(len(b))
	for _, tt := range []struct {
		name string
		part manifest.Range
		want []int64 // chunks in it
	}{
		{"on the grid", manifest.Range{Offset: chunk, Length: 2 * chunk}, []int64{1, 2}},
		{"one byte more in front", manifest.Range{Offset: chunk - 1, Length: 2*chunk + 1}, []int64{0, 1, 2}},
		{"one byte more behind", manifest.Range{Offset: chunk, Length: 2*chunk + 1}, []int64{1, 2, 3}},
		{"one byte", manifest.Range{Offset: 5 * chunk, Length: 1}, []int64{5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			only, err := manifest.Digest(t.Context(), r, size, manifest.Options{Only: &tt.part})
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, c := range only {
				got = append(got, c.Offset/chunk)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Only:\n%s", diff)
			}
			rest, err := manifest.Digest(t.Context(), r, size, manifest.Options{Skip: &tt.part})
			if err != nil {
				t.Fatal(err)
			}
			var m manifest.Manifest
			m.AddChunks(rest)
			m.AddChunks(only)
			if diff := cmp.Diff(plainly(b), m.Chunks); diff != "" {
				t.Errorf("both together:\n%s", diff)
			}
		})
	}
}

func TestDigestErrors(t *testing.T) {
	_, err := manifest.Digest(t.Context(), bytes.NewReader(make([]byte, chunk+3)), chunk+4, manifest.Options{})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "offset 1048576: read 3 bytes of 4") {
		t.Errorf("short image: %v", err)
	}
	f := sparse(t, chunk, nil)
	if _, err := manifest.Digest(t.Context(), f, chunk+1, manifest.Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short file of holes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := manifest.Digest(ctx, f, chunk, manifest.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func BenchmarkDigest(b *testing.B) {
	noise := make([]byte, 64*chunk)
	rand.NewChaCha8([32]byte{}).Read(noise)
	f := sparse(b, 4096*chunk, map[int64][]byte{0: noise})
	b.SetBytes(int64(len(noise)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Digest(b.Context(), f, 4096*chunk, manifest.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
