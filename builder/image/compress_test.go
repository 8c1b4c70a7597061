package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
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
	if err := Compress(t.Context(), io.Discard, zeros, size+1, 2, nil); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("reader that ends early: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Compress(ctx, io.Discard, zeros, size, 2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
