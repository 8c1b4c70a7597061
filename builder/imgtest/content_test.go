package imgtest

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

func openPieces(t *testing.T, size int64, p Pieces) fstree.File {
	t.Helper()
	e, err := fstree.New().Root().Add("f", &fstree.Inode{Mode: fstree.TypeRegular, Size: size, Content: p})
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPiecesReadAt reads files in pieces of odd sizes and expects the bytes of
// one read: content must not depend on how it is read.
func TestPiecesReadAt(t *testing.T) {
	const size = 100_003
	for k := range Kind(len(kindNames)) {
		t.Run(k.String(), func(t *testing.T) {
			f := openPieces(t, size, Pieces{{7, 50_000, k, 3}, {60_001, 30_000, k, 4}})
			whole := make([]byte, size)
			if n, err := f.ReadAt(whole, 0); n != size || err != nil {
				t.Fatalf("ReadAt(0) = %d, %v; want %d", n, err, size)
			}
			parts, err := io.ReadAll(io.NewSectionReader(f, 0, size+10))
			if err != nil || !bytes.Equal(parts, whole) {
				t.Errorf("reading on: %v, %d bytes that differ from one read", err, len(parts))
			}
			odd := make([]byte, 777)
			for off := int64(0); off+777 <= size; off += 501 {
				if _, err := f.ReadAt(odd, off); err != nil || !bytes.Equal(odd, whole[off:off+777]) {
					t.Fatalf("ReadAt(%d): %v, or bytes differ", off, err)
				}
			}
			if hole := whole[50_007:60_001]; !bytes.Equal(hole, make([]byte, len(hole))) {
				t.Error("the hole does not read as zeros")
			}
		})
	}
}

// TestKindsCompress holds every kind to what its name promises.
func TestKindsCompress(t *testing.T) {
	tests := []struct {
		kind     Kind
		min, max float64 // compressed size, of the plain size
	}{
		{Zeros, 0, 0.01}, {Text, 0.15, 0.45}, {Random, 0.99, 1.01}, {Mixed, 0.5, 0.75}, {ELF, 0.05, 0.6},
	}
	for _, tt := range tests {
		t.Run(tt.kind.String(), func(t *testing.T) {
			const size = 1 << 20
			f := openPieces(t, size, Fill(size, tt.kind, 9))
			var out bytes.Buffer
			w, err := flate.NewWriter(&out, flate.DefaultCompression)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(w, io.NewSectionReader(f, 0, size)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if r := float64(out.Len()) / size; r < tt.min || r > tt.max {
				t.Errorf("compresses to %.3f; want %.2f to %.2f", r, tt.min, tt.max)
			}
		})
	}
}

func TestPiecesSegments(t *testing.T) {
	tests := []struct {
		name string
		in   Pieces
		want []fstree.Segment
	}{
		{"none", nil, nil},
		{"empty piece", Pieces{{5, 0, Text, 1}}, nil},
		{"touching", Pieces{{0, 10, Text, 1}, {10, 5, Random, 1}}, []fstree.Segment{{Offset: 0, Length: 15}}},
		{"apart", Pieces{{1, 9, Text, 1}, {11, 5, Random, 1}}, []fstree.Segment{{Offset: 1, Length: 9}, {Offset: 11, Length: 5}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := openPieces(t, 20, tt.in).Segments()
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("Segments (-want +got), %v:\n%s", err, diff)
			}
		})
	}
}

func TestPiecesRefuses(t *testing.T) {
	tests := []struct {
		name string
		in   Pieces
	}{
		{"behind the end", Pieces{{15, 6, Text, 1}}},
		{"overlap", Pieces{{0, 10, Text, 1}, {9, 2, Text, 1}}},
		{"negative length", Pieces{{3, -1, Text, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &fstree.Entry{Name: "f", Inode: &fstree.Inode{Mode: fstree.TypeRegular, Size: 20}}
			if _, err := tt.in.Open(e); err == nil || !strings.Contains(err.Error(), "piece") {
				t.Errorf("Open gave %v; want a refusal", err)
			}
		})
	}
}

// TestColliding checks the names against the format's own hash.
func TestColliding(t *testing.T) {
	names := Colliding("user.x-", 500)
	seen := map[string]bool{}
	want := ondisk.NameHash(names[0])
	for _, n := range names {
		switch {
		case seen[n]:
			t.Errorf("%q twice", n)
		case ondisk.NameHash(n) != want:
			t.Errorf("%q has hash %#x; want %#x", n, ondisk.NameHash(n), want)
		case !fstree.ValidName(n) || !strings.HasPrefix(n, "user.x-"):
			t.Errorf("%q cannot stand in a directory or lost its prefix", n)
		}
		seen[n] = true
	}
	if len(seen) != 500 {
		t.Errorf("%d names; want 500", len(seen))
	}
}
