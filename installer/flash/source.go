package flash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/sparse"
)

// chunkSize is the unit of all that is written and compared, in bytes: the grid
// of the manifest. The last chunk of an image may be shorter.
const chunkSize = manifest.ChunkSize

// zeros is a chunk of them.
var zeros [chunkSize]byte

// isZero reports whether a chunk, or a part of one, holds zeros alone.
func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

// Source is an image in some format.
type Source interface {
	// Size returns the bytes of the image, unpacked.
	Size() int64
	// Format returns its name: "raw", "raw.zst" or "qcow2".
	Format() string
	// Zero reports, for the chunk at an offset, whether it is known without
	// reading it that all of it is zeros. It is called in ascending order.
	Zero(offset int64) (bool, error)
	// Each unpacks the chunks that want asks for and hands them to do, from up to
	// so many goroutines and in nearly ascending order. A chunk is do's until it
	// returns. The first error ends it.
	Each(ctx context.Context, workers int, want func(offset int64) bool, do func(offset int64, data []byte) error) error
	// Random returns the image for reading anywhere, nil where its format has no
	// way to do that.
	Random() io.ReaderAt
	// Head returns the first bytes of the image, up to a chunk.
	Head() ([]byte, error)
	Close() error
}

// Open opens an image in any of the formats, which it tells by their first
// bytes. Errors have class fault.Input.
func Open(ctx context.Context, name string) (Source, error) {
	f, err := os.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	s, err := openFile(ctx, f)
	if err == nil && s.Size() == 0 {
		err = errors.New("is empty")
	}
	if err != nil {
		if ctx.Err() == nil {
			err = fault.New(fault.Input, fault.HintOf(err), "%s: %w", name, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// Magic numbers that begin a qcow2 image and a zstd frame (QEMU docs/interop;
// RFC 8878, 3.1.1).
const (
	qcow2Magic = "QFI\xfb"
	zstdMagic  = "\x28\xb5\x2f\xfd"
)

func openFile(ctx context.Context, f *os.File) (Source, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeCharDevice) != 0 {
		return nil, errors.New("is not a file, expected an image")
	}
	size, err := f.Seek(0, io.SeekEnd) // of block devices too
	if err != nil {
		return nil, err
	}
	var magic [4]byte
	if n, err := f.ReadAt(magic[:], 0); err != nil && err != io.EOF {
		return nil, err
	} else if n == len(magic) {
		switch string(magic[:]) {
		case qcow2Magic:
			return openQcow2(f, size)
		case zstdMagic:
			return openZstd(ctx, f, size)
		}
	}
	return &rawSource{File: f, size: size, holes: sparse.Of(f, size)}, nil
}

// rawSource is a raw image, whose holes are not read.
type rawSource struct {
	*os.File
	size  int64
	holes *sparse.Holes
	at    int64 // up to where holes were asked for
}

func (s *rawSource) Size() int64           { return s.size }
func (s *rawSource) Format() string        { return "raw" }
func (s *rawSource) Random() io.ReaderAt   { return s.File }
func (s *rawSource) Head() ([]byte, error) { return readHead(s.File, s.size) }

func (s *rawSource) Zero(offset int64) (bool, error) {
	if offset < s.at { // a pass from the start
		s.holes = sparse.Of(s.File, s.size)
	}
	s.at = offset
	return s.holes.Covers(offset, min(chunkSize, s.size-offset))
}

func (s *rawSource) Each(ctx context.Context, workers int, want func(int64) bool, do func(int64, []byte) error) error {
	return eachChunk(ctx, s.File, s.size, workers, want, do)
}

// eachChunk is Each for what can be read anywhere.
func eachChunk(ctx context.Context, r io.ReaderAt, size int64, workers int, want func(int64) bool, do func(int64, []byte) error) error {
	var next atomic.Int64
	return parallel(ctx, workers, func(ctx context.Context) error {
		buf := make([]byte, chunkSize)
		for ctx.Err() == nil {
			offset := (next.Add(1) - 1) * chunkSize
			if offset >= size {
				return nil
			}
			if !want(offset) {
				continue
			}
			data := buf[:min(chunkSize, size-offset)]
			if err := readChunk(r, data, offset); err != nil {
				return fault.New(fault.Input, "", "image: %w", err)
			}
			if err := do(offset, data); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// parallel runs work in some goroutines, 0 meaning one for each processor, until
// one fails.
func parallel(ctx context.Context, workers int, work func(context.Context) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error { return work(ctx) })
	}
	return group.Wait()
}

// readChunk fills data from an offset.
func readChunk(r io.ReaderAt, data []byte, offset int64) error {
	n, err := r.ReadAt(data, offset)
	if n == len(data) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("offset %d: read %d bytes of %d: %w", offset, n, len(data), err)
}

func readHead(r io.ReaderAt, size int64) ([]byte, error) {
	head := make([]byte, min(chunkSize, size))
	return head, readChunk(r, head, 0)
}
