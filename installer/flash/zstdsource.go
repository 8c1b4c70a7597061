package flash

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// openZstd opens a compressed image. One whose frames can be unpacked by
// themselves is unpacked in parallel and read anywhere, any other as a stream.
func openZstd(ctx context.Context, f *os.File, size int64) (Source, error) {
	frames, err := zstdFrames(f, size)
	if err != nil {
		return nil, err
	}
	end, whole := int64(0), true
	for i, frame := range frames {
		whole = whole && frame.size >= 0 && frame.size <= maxFrame && (i == 0 || frame.offset%chunkSize == 0)
		end = frame.offset + max(0, frame.size)
		if frame.size < 0 {
			end = -1
			break
		}
	}
	if !whole {
		return openStream(ctx, f, end)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderMaxWindow(maxFrame))
	if err != nil {
		return nil, err
	}
	frames = slices.DeleteFunc(frames, func(f zstdFrame) bool { return f.size == 0 })
	return &framedSource{File: f, frames: frames, size: end, decoder: decoder}, nil
}

// framedSource is an image in independent frames.
type framedSource struct {
	*os.File
	frames  []zstdFrame // none is empty
	size    int64
	decoder *zstd.Decoder

	mu     sync.Mutex
	cached []cachedFrame // those read last, the latest at the end
}

type cachedFrame struct {
	index int
	data  []byte
}

// maxCached is how many unpacked frames are kept for reading anywhere.
const maxCached = 4

func (s *framedSource) Size() int64              { return s.size }
func (s *framedSource) Format() string           { return "raw.zst" }
func (s *framedSource) Zero(int64) (bool, error) { return false, nil }
func (s *framedSource) Random() io.ReaderAt      { return (*frameReader)(s) }
func (s *framedSource) Head() ([]byte, error)    { return readHead(s.Random(), s.size) }

func (s *framedSource) Close() error {
	s.decoder.Close()
	return s.File.Close()
}

// unpack returns the content of a frame, in buf where it has the room.
func (s *framedSource) unpack(index int, buf, packed []byte) (data, room []byte, err error) {
	f := s.frames[index]
	packed = slices.Grow(packed[:0], int(f.length))[:f.length]
	if err := readChunk(s.File, packed, f.at); err != nil {
		return nil, packed, fault.New(fault.Input, "", "image: %w", err)
	}
	data, err = s.decoder.DecodeAll(packed, slices.Grow(buf[:0], int(f.size)))
	if err == nil && int64(len(data)) != f.size {
		err = fmt.Errorf("unpacks to %d bytes, expected %d", len(data), f.size)
	}
	if err != nil {
		return nil, packed, fault.New(fault.Input, "", "image: zstd frame at byte %d: %w", f.at, err)
	}
	return data, packed, nil
}

func (s *framedSource) Each(ctx context.Context, workers int, want func(int64) bool, do func(int64, []byte) error) error {
	var next atomic.Int64
	return parallel(ctx, workers, func(ctx context.Context) error {
		var buf, packed []byte
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= len(s.frames) {
				return nil
			}
			f := s.frames[i]
			wanted := chunksWanted(f, want)
			if len(wanted) == 0 {
				continue
			}
			data, room, err := s.unpack(i, buf, packed)
			if err != nil {
				return err
			}
			buf, packed = data, room
			for _, offset := range wanted {
				if err := ctx.Err(); err != nil {
					return err
				}
				at := offset - f.offset
				if err := do(offset, data[at:min(at+chunkSize, f.size)]); err != nil {
					return err
				}
			}
		}
		return ctx.Err()
	})
}

// chunksWanted returns the offsets of those chunks of a frame. Every frame
// begins with a chunk; only the last one may end within one.
func chunksWanted(f zstdFrame, want func(int64) bool) (offsets []int64) {
	for at := f.offset; at < f.offset+f.size; at += chunkSize {
		if want(at) {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

// frameReader reads a framedSource anywhere.
type frameReader framedSource

// ReadAt implements io.ReaderAt.
func (r *frameReader) ReadAt(p []byte, off int64) (int, error) {
	s := (*framedSource)(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(p) {
		at := off + int64(n)
		i, found := slices.BinarySearchFunc(s.frames, at, func(f zstdFrame, at int64) int {
			switch {
			case f.offset+f.size <= at:
				return -1
			case f.offset > at:
				return 1
			}
			return 0
		})
		if !found {
			return n, io.EOF
		}
		data, err := s.cachedFrame(i)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data[at-s.frames[i].offset:])
	}
	return n, nil
}

func (s *framedSource) cachedFrame(index int) ([]byte, error) {
	if i := slices.IndexFunc(s.cached, func(c cachedFrame) bool { return c.index == index }); i >= 0 {
		c := s.cached[i]
		s.cached = append(slices.Delete(s.cached, i, i+1), c)
		return c.data, nil
	}
	data, _, err := s.unpack(index, nil, nil)
	if err != nil {
		return nil, err
	}
	if len(s.cached) == maxCached {
		s.cached = slices.Delete(s.cached, 0, 1)
	}
	s.cached = append(s.cached, cachedFrame{index, data})
	return data, nil
}

// streamSource is a compressed image that can only be unpacked from its start.
type streamSource struct {
	*os.File
	size int64
	head []byte
}

// openStream opens an image of a size, -1 when only unpacking it can tell.
func openStream(ctx context.Context, f *os.File, size int64) (Source, error) {
	s := &streamSource{File: f, size: size}
	d, err := s.decoder()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s.head = make([]byte, chunkSize)
	n, err := io.ReadFull(d, s.head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	s.head = s.head[:n]
	if size >= 0 {
		return s, nil
	}
	rest, err := io.Copy(io.Discard, contextReader{ctx, d})
	s.size = int64(n) + rest
	return s, err
}

// maxWindow is what zstd --ultra --long=27 asks for, the most that its unpacker
// takes without being told.
const maxWindow = 128 << 20

func (s *streamSource) decoder() (*zstd.Decoder, error) {
	return zstd.NewReader(io.NewSectionReader(s.File, 0, 1<<62), zstd.WithDecoderConcurrency(min(4, runtime.GOMAXPROCS(0))), zstd.WithDecoderMaxWindow(maxWindow))
}

func (s *streamSource) Size() int64              { return s.size }
func (s *streamSource) Format() string           { return "raw.zst" }
func (s *streamSource) Zero(int64) (bool, error) { return false, nil }
func (s *streamSource) Random() io.ReaderAt      { return nil }
func (s *streamSource) Head() ([]byte, error)    { return s.head, nil }

// piece is a chunk on its way from the unpacker to a writer.
type piece struct {
	offset int64
	data   []byte
}

func (s *streamSource) Each(ctx context.Context, workers int, want func(int64) bool, do func(int64, []byte) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	d, err := s.decoder()
	if err != nil {
		return err
	}
	defer d.Close()
	pieces, free := make(chan piece), make(chan []byte, 2*workers)
	for range cap(free) {
		free <- make([]byte, chunkSize)
	}
	var first atomic.Bool
	// One more: the first to come unpacks, the others write.
	return parallel(ctx, workers+1, func(ctx context.Context) error {
		if first.CompareAndSwap(false, true) {
			defer close(pieces)
			return s.unpack(ctx, d, want, pieces, free)
		}
		for p := range pieces {
			if err := do(p.offset, p.data); err != nil {
				return err
			}
			free <- p.data[:chunkSize]
		}
		return nil
	})
}

// unpack sends all chunks that are wanted, in order.
func (s *streamSource) unpack(ctx context.Context, r io.Reader, want func(int64) bool, pieces chan<- piece, free <-chan []byte) error {
	skipped := make([]byte, chunkSize)
	for at := int64(0); at < s.size; at += chunkSize {
		buf, wanted := skipped, want(at)
		if wanted {
			select {
			case buf = <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		data := buf[:min(chunkSize, s.size-at)]
		if n, err := io.ReadFull(r, data); err != nil {
			return fault.New(fault.Input, "", "image: offset %d: unpacked %d bytes of %d: %w", at, n, len(data), err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !wanted {
			continue
		}
		select {
		case pieces <- piece{at, data}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if n, err := r.Read(skipped[:1]); n > 0 || err != io.EOF { // its checksum, too
		return fault.New(fault.Input, "", "image: does not end at %d bytes: %v", s.size, err)
	}
	return nil
}

// contextReader reads until a context is cancelled.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
