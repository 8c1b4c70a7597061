package sparse

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

const block = 1 << 20 // more than file systems store at a time

// write makes a file of a size with one byte of data at each place.
func write(t *testing.T, size int64, places ...int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, at := range places {
		if _, err := f.WriteAt([]byte{1}, at); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// covered asks for all blocks of a file in order.
func covered(t *testing.T, h *Holes, size int64) string {
	t.Helper()
	blocks := ""
	for at := int64(0); at < size; at += block {
		hole, err := h.Covers(at, min(block, size-at))
		if err != nil {
			t.Fatal(err)
		}
		if hole {
			blocks += "H"
		} else {
			blocks += "-"
		}
	}
	return blocks
}

func TestCovers(t *testing.T) {
	if h := covered(t, Of(write(t, block), block), block); h != "H" {
		t.Skip("the file system of the temporary directory tells of no holes")
	}
	tests := []struct {
		name   string
		size   int64
		places []int64
		want   string
	}{
		{"empty", 0, nil, ""},
		{"all hole", 3*block + 1, nil, "HHHH"},
		{"all data", 2 * block, []int64{0, block - 1, block, 2*block - 1}, "--"},
		{"first byte", 3 * block, []int64{0}, "-HH"},
		{"last byte", 3*block + 1, []int64{3 * block}, "HHH-"},
		{"last byte of a block", 3 * block, []int64{2*block - 1}, "H-H"},
		{"first byte of a block", 3 * block, []int64{block}, "H-H"},
		{"holes between", 6 * block, []int64{block, 4 * block}, "H-HH-H"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := covered(t, Of(write(t, test.size, test.places...), test.size), test.size); got != test.want {
				t.Errorf("blocks %q; want %q", got, test.want)
			}
		})
	}
}

// TestCoversNothing knows no holes of what is no file, or one too short.
func TestCoversNothing(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	closed := write(t, block)
	closed.Close()
	for name, from := range map[string]io.ReaderAt{
		"memory": bytes.NewReader(make([]byte, block)), "pipe": r, "closed": closed, "one byte short": write(t, block-1),
	} {
		if got := covered(t, Of(from, block), block); got != "-" {
			t.Errorf("%s: blocks %q; want none to be a hole", name, got)
		}
	}
}

// TestCoversZeros asks for ranges of any length, with gaps between them: what
// is said to be a hole reads as zeros.
func TestCoversZeros(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const size = 8*block + 123
	found := 0
	for range 20 {
		var places []int64
		for range rng.IntN(5) {
			places = append(places, rng.Int64N(size))
		}
		f := write(t, size, places...)
		h := Of(f, size)
		for at := rng.Int64N(block); at < size; at += rng.Int64N(block) {
			b := make([]byte, min(rng.Int64N(2*block)+1, size-at))
			hole, err := h.Covers(at, int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.ReadAt(b, at); err != nil {
				t.Fatal(err)
			}
			if hole {
				found++
				if len(bytes.Trim(b, "\x00")) > 0 {
					t.Fatalf("data at %v: %d bytes at %d are no hole", places, len(b), at)
				}
			}
		}
	}
	t.Logf("%d holes", found)
}
