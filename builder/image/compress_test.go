package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// halfRandom returns n bytes of which every second run of 64 KiB is zeros.
func halfRandom(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	for at := 0; at < n; at += 128 << 10 {
		r.Read(b[at:min(at+64<<10, n)])
	}
	return b
}

// sparseFile makes a file of holes with one byte of data at each place.
func sparseFile(t testing.TB, size int64, places ...int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
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

// TestCompressHoles gives a file with holes the bytes that its content has from
// memory.
func TestCompressHoles(t *testing.T) {
	for _, test := range []struct {
		name   string
		size   int64
		places []int64
	}{
		{"all hole", 3 * frameSize, nil},
		{"hole of a part of a frame", frameSize + 5, nil},
		{"hole at the end", 3 * frameSize, []int64{frameSize - 1}},
		{"hole between", 4*frameSize + 1, []int64{0, 3 * frameSize, 4 * frameSize}},
		{"no whole frame", 2 * frameSize, []int64{frameSize - 1, frameSize}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := sparseFile(t, test.size, test.places...)
			content, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			var fromFile, fromMemory bytes.Buffer
			if err := Compress(t.Context(), &fromFile, f, test.size, 2, nil); err != nil {
				t.Fatal(err)
			}
			if err := Compress(t.Context(), &fromMemory, bytes.NewReader(content), test.size, 2, nil); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(fromFile.Bytes(), fromMemory.Bytes()) {
				t.Errorf("%d bytes of the file, %d of memory: want the same", fromFile.Len(), fromMemory.Len())
			}
		})
	}
}

// TestCompress unpacks with the reference implementation, at the limits of a
// frame, and compares the bytes of different numbers of workers.
func TestCompress(t *testing.T) {
	imgtest.Need(t, "zstd")
	for _, n := range []int{0, 1, frameSize - 1, frameSize, frameSize + 1, 2*frameSize + 5} {
		content := halfRandom(n)
		var first []byte
		for _, workers := range []int{1, 2, 7} {
			var out bytes.Buffer
			var done int64
			progress := func(d, total int64) {
				if d <= done || total != int64(n) {
					t.Errorf("progress %d of %d after %d", d, total, done)
				}
				done = d
			}
			if err := Compress(t.Context(), &out, bytes.NewReader(content), int64(n), workers, progress); err != nil {
				t.Fatal(err)
			}
			if done != int64(n) {
				t.Errorf("%d bytes: progress ended at %d", n, done)
			}
			if first == nil {
				first = out.Bytes()
			} else if !bytes.Equal(first, out.Bytes()) {
				t.Errorf("%d bytes: %d workers give other bytes than one", n, workers)
			}
		}
		if n == 0 {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "zstd", "-dc")
		cmd.Stdin = bytes.NewReader(first)
		if plain, err := cmd.Output(); err != nil || !bytes.Equal(plain, content) {
			t.Errorf("%d bytes: zstd gives %d other bytes: %v", n, len(plain), err)
		}
	}
}

// BenchmarkCompressHoles compresses an image of 2 GiB that is empty but for its
// ends.
func BenchmarkCompressHoles(b *testing.B) {
	const size = 2 << 30
	f := sparseFile(b, size, 0, size-1)
	b.ReportAllocs()
	for b.Loop() {
		if err := Compress(b.Context(), io.Discard, f, size, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// failing fails at its n-th use.
type failing struct{ n int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestCompressFails ends with the error of the writer, of the reader or of the
// context, and never hangs.
func TestCompressFails(t *testing.T) {
	const size = 8 * frameSize
	zeros := bytes.NewReader(make([]byte, size))
	for n := range 3 {
		if err := Compress(t.Context(), &failing{n}, zeros, size, 2, nil); !errors.Is(err, errFull) {
			t.Errorf("writer that fails at write %d: %v", n, err)
		}
	}
	err := Compress(t.Context(), io.Discard, zeros, size+3, 2, nil)
	if want := "image: offset 134217728: read 0 bytes of 3: EOF"; !errors.Is(err, io.EOF) || err.Error() != want {
		t.Errorf("reader that ends early: %v; want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, n := range []int64{1, size} {
		if err := Compress(ctx, io.Discard, zeros, n, 2, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled, %d bytes: %v", n, err)
		}
	}
	ctx, cancel = context.WithCancel(t.Context())
	err = Compress(ctx, io.Discard, sparseFile(t, size), size, 1, func(int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after the first frame of a file of holes: %v", err)
	}
}
