package flash

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

// maxFrame is the most that is unpacked at once, in bytes. Package image makes
// frames of 16 MiB; larger ones are unpacked as a stream.
const maxFrame = 64 << 20

// zstdFrame is one frame of a file.
type zstdFrame struct {
	at, length int64 // in the file
	offset     int64 // of its content, in the image
	size       int64 // of its content; -1 when it does not say
}

// zstdFrames finds the frames of a file by their headers and those of their
// blocks (RFC 8878, 3.1.1); nothing is unpacked. Frames to skip are left out.
func zstdFrames(r io.ReaderAt, size int64) ([]zstdFrame, error) {
	var frames []zstdFrame
	offset := int64(0)
	for at := int64(0); at < size; {
		f, skip, err := readFrame(r, at, size)
		if err != nil {
			return nil, fmt.Errorf("zstd frame at byte %d: %w", at, err)
		}
		at += f.length
		if skip {
			continue
		}
		if f.offset = offset; f.size > 0 {
			if f.size > math.MaxInt64-offset {
				return nil, fmt.Errorf("zstd frame at byte %d: content of %d bytes", f.at, f.size)
			}
			offset += f.size
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// readFrame measures the frame at a byte of a file.
func readFrame(r io.ReaderAt, at, size int64) (f zstdFrame, skip bool, err error) {
	var raw [zstd.HeaderMaxSize]byte
	n, err := r.ReadAt(raw[:min(int64(len(raw)), size-at)], at)
	if err != nil && err != io.EOF {
		return f, false, err
	}
	var h zstd.Header
	if err := h.Decode(raw[:n]); err != nil {
		return f, false, err
	}
	f = zstdFrame{at: at, size: -1}
	if h.Skippable {
		f.length = int64(h.HeaderSize) + int64(h.SkippableSize)
		return f, true, endsWithin(at+f.length, size)
	}
	if h.DictionaryID != 0 {
		return f, false, fmt.Errorf("needs the dictionary %d, expected none", h.DictionaryID)
	}
	if h.HasFCS {
		if h.FrameContentSize > math.MaxInt64 {
			return f, false, fmt.Errorf("content of %d bytes", h.FrameContentSize)
		}
		f.size = int64(h.FrameContentSize)
	}
	end, err := blocksEnd(r, at+int64(h.HeaderSize), size)
	if err != nil {
		return f, false, err
	}
	if h.HasCheckSum {
		end += 4
	}
	f.length = end - at
	return f, false, endsWithin(end, size)
}

// blocksEnd follows the headers of blocks to the end of the last one.
func blocksEnd(r io.ReaderAt, at, size int64) (int64, error) {
	for {
		if err := endsWithin(at+3, size); err != nil {
			return 0, err
		}
		var raw [3]byte
		if n, err := r.ReadAt(raw[:], at); n < len(raw) {
			return 0, err
		}
		header := int64(raw[0]) | int64(raw[1])<<8 | int64(raw[2])<<16
		at += 3
		switch kind, length := header>>1&3, header>>3; kind {
		case 1: // one byte, repeated
			at++
		case 0, 2:
			at += length
		default:
			return 0, fmt.Errorf("block at byte %d: reserved type", at-3)
		}
		if header&1 != 0 {
			return at, nil
		}
	}
}

var errCutOff = errors.New("is cut off")

func endsWithin(end, size int64) error {
	if end > size {
		return fmt.Errorf("%w: goes on to byte %d, the file has %d", errCutOff, end, size)
	}
	return nil
}
