package image

import (
	"context"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// frameSize is the content of one zstd frame. Frames are independent, so that
// they are made in parallel here and can be unpacked in parallel by who
// writes the image to a disk; each records its content's size.
const frameSize = 16 << 20

// Compress writes size bytes of r to w as a sequence of zstd frames, which any
// zstd unpacks as one file. The bytes do not depend on workers; 0 means
// GOMAXPROCS. Progress, when set, is called from one goroutine with the bytes
// of r that are done.
func Compress(ctx context.Context, w io.Writer, r io.ReaderAt, size int64, workers int, progress func(done, total int64)) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(workers), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	defer encoder.Close()
	group, ctx := errgroup.WithContext(ctx)
	frames := make(chan chan []byte, workers) // in order; each gives its frame
	group.Go(func() error {
		defer close(frames)
		return startFrames(ctx, group, encoder, r, size, frames)
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

// startFrames starts the compression of each frame, as many at a time as
// frames has room for.
func startFrames(ctx context.Context, group *errgroup.Group, encoder *zstd.Encoder, r io.ReaderAt, size int64, frames chan<- chan []byte) error {
	for at := int64(0); at < size; at += frameSize {
		frame := make(chan []byte, 1)
		select {
		case frames <- frame:
		case <-ctx.Done():
			return ctx.Err()
		}
		group.Go(func() error {
			plain := make([]byte, min(frameSize, size-at))
			if _, err := io.ReadFull(io.NewSectionReader(r, at, int64(len(plain))), plain); err != nil {
				return err
			}
			frame <- encoder.EncodeAll(plain, nil)
			return nil
		})
	}
	return nil
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
