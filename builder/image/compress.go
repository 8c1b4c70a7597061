package image

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/6FaNcY9/mkimage/builder/sparse"
)

// frameSize is the content of one zstd frame. Frames are independent, so that
// they are made in parallel here and can be unpacked in parallel by who
// writes the image to a disk; each records its content's size.
const frameSize = 16 << 20

// compressor makes the frames of one image.
type compressor struct {
	from    io.ReaderAt
	size    int64
	encoder *zstd.Encoder
	empty   func() []byte // the frame of frameSize zeros
	plain   sync.Pool     // of *[frameSize]byte
}

// Compress writes size bytes of r to w as a sequence of zstd frames, which any
// zstd unpacks as one file. The bytes do not depend on workers; 0 means
// GOMAXPROCS. Where r is an *os.File its holes are not read. Progress, when set,
// is called from one goroutine with the bytes of r that are done. What w holds
// after an error, or when ctx was cancelled, is of no use.
func Compress(ctx context.Context, w io.Writer, r io.ReaderAt, size int64, workers int, progress func(done, total int64)) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(workers), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	defer encoder.Close()
	c := &compressor{from: r, size: size, encoder: encoder}
	c.empty = sync.OnceValue(func() []byte { return encoder.EncodeAll(make([]byte, frameSize), nil) })
	c.plain.New = func() any { return new([frameSize]byte) }
	group, ctx := errgroup.WithContext(ctx)
	frames := make(chan chan []byte, workers) // in order; each gives its frame
	group.Go(func() error {
		defer close(frames)
		return c.start(ctx, group, frames)
	})
	group.Go(func() error {
		return writeFrames(ctx, w, frames, func(n int64) {
			if progress != nil {
				progress(min(n*frameSize, size), size)
			}
		})
	})
	return group.Wait()
}

// start starts the compression of each frame, as many at a time as frames has
// room for.
func (c *compressor) start(ctx context.Context, group *errgroup.Group, frames chan<- chan []byte) error {
	holes := sparse.Of(c.from, c.size)
	for at := int64(0); at < c.size; at += frameSize {
		length := min(frameSize, c.size-at)
		hole, err := holes.Covers(at, length)
		if err != nil {
			return fmt.Errorf("image: offset %d: %w", at, err)
		}
		frame := make(chan []byte, 1)
		select {
		case frames <- frame:
		case <-ctx.Done():
			return ctx.Err()
		}
		if hole && length == frameSize {
			frame <- c.empty()
			continue
		}
		group.Go(func() error {
			b, err := c.compress(at, length)
			if err == nil {
				frame <- b
			}
			return err
		})
	}
	return ctx.Err()
}

// compress returns the frame of length bytes at an offset of the image.
func (c *compressor) compress(at, length int64) ([]byte, error) {
	buf := c.plain.Get().(*[frameSize]byte)
	defer c.plain.Put(buf)
	plain := buf[:length]
	if n, err := io.ReadFull(io.NewSectionReader(c.from, at, length), plain); err != nil {
		return nil, fmt.Errorf("image: offset %d: read %d bytes of %d: %w", at, n, length, err)
	}
	return c.encoder.EncodeAll(plain, nil), nil
}

// writeFrames writes the frames in order and counts them.
func writeFrames(ctx context.Context, w io.Writer, frames <-chan chan []byte, written func(n int64)) error {
	n := int64(0)
	for frame := range frames {
		select {
		case b := <-frame:
			if _, err := w.Write(b); err != nil {
				return err
			}
			n++
			written(n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
