package manifest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/6FaNcY9/mkimage/builder/sparse"
)

// Options says what part of an image is read, and how.
type Options struct {
	Only     *Range                  // only chunks that touch it
	Skip     *Range                  // no chunk that touches it
	Workers  int                     // goroutines that read and hash; 0 means GOMAXPROCS
	Progress func(done, total int64) // bytes of the image; called from one goroutine
}

// batch is how many chunks are in work before results are handed on: enough
// that waiting for the last one costs nothing, few enough for any image.
const batch = 256

// zeros is what an unused chunk reads as.
var zeros [ChunkSize]byte

// Digest returns the chunks of the size bytes behind r that are not all zeros.
// Where r is an *os.File its holes are not read.
func Digest(ctx context.Context, r io.ReaderAt, size int64, o Options) ([]Chunk, error) {
	var chunks []Chunk
	err := scan(ctx, r, size, o, func(s sum) {
		if s.used {
			chunks = append(chunks, Chunk{s.Offset, s.Length, s.digest})
		}
	})
	if err != nil {
		return nil, err
	}
	return chunks, nil
}

// sum is what was found in one chunk.
type sum struct {
	Range
	hole   bool // not read: the host's file system says that it is all hole
	used   bool // something is not zero
	at     int64
	digest SHA256
	err    error
}

// scan reads the chunks that o asks for and yields them in ascending order.
func scan(ctx context.Context, r io.ReaderAt, size int64, o Options, yield func(sum)) error {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	buffers := make([][]byte, workers)
	for i := range buffers {
		buffers[i] = make([]byte, ChunkSize)
	}
	holes := sparse.Of(r, size)
	sums := make([]sum, 0, batch)
	for at := int64(0); at < size; {
		sums = sums[:0]
		for ; at < size && len(sums) < batch; at += ChunkSize {
			c := Range{at, min(ChunkSize, size-at)}
			if o.Only != nil && !o.Only.touches(c) || o.Skip != nil && o.Skip.touches(c) {
				continue
			}
			hole, err := holes.Covers(c.Offset, c.Length)
			if err != nil {
				return fmt.Errorf("offset %d: %w", at, err)
			}
			sums = append(sums, sum{Range: c, hole: hole})
		}
		read(ctx, r, sums, buffers)
		for _, s := range sums {
			if s.err != nil {
				return s.err
			}
			yield(s)
		}
		if o.Progress != nil {
			o.Progress(min(at, size), size)
		}
	}
	return ctx.Err()
}

// read fills in the sums, one goroutine for each buffer.
func read(ctx context.Context, r io.ReaderAt, sums []sum, buffers [][]byte) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, buf := range buffers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(sums) {
					return
				}
				if s := &sums[i]; !s.hole {
					s.err = s.read(ctx, r, buf)
				}
			}
		})
	}
	wg.Wait()
}

func (s *sum) read(ctx context.Context, r io.ReaderAt, buf []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	buf = buf[:s.Length]
	if n, err := r.ReadAt(buf, s.Offset); n < len(buf) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("offset %d: read %d bytes of %d: %w", s.Offset, n, len(buf), err)
	}
	if bytes.Equal(buf, zeros[:len(buf)]) {
		return nil
	}
	s.used = true
	s.at = s.Offset + int64(len(buf)-len(bytes.TrimLeft(buf, "\x00")))
	s.digest = sha256.Sum256(buf)
	return nil
}
