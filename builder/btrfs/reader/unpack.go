package reader

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// unpacker decompresses extents; it keeps decoders for reuse and may be used
// by several goroutines at once.
type unpacker struct {
	zstd    *zstd.Decoder
	zstdErr error
	zlib    sync.Pool // of io.ReadCloser that are zlib.Resetter
}

func newUnpacker() *unpacker {
	u := &unpacker{}
	// The window is the kernel's limit. Without a reader the decoder starts no
	// goroutine and needs no Close.
	u.zstd, u.zstdErr = zstd.NewReader(nil, zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(ondisk.MaxCompress), zstd.WithDecoderMaxMemory(ondisk.MaxCompress))
	return u
}

// decompress returns the n bytes that src holds. What src holds less is zeros,
// what it holds more is dropped, as in the kernel. n is bounded here, so it
// may come from the device.
func (u *unpacker) decompress(algorithm ondisk.Compression, src []byte, n uint64) ([]byte, error) {
	if n > ondisk.MaxCompress {
		return nil, fmt.Errorf("compressed extent of %d bytes, expected at most %d", n, ondisk.MaxCompress)
	}
	out := make([]byte, n)
	var err error
	switch algorithm {
	case ondisk.CompressZlib:
		err = u.decompressZlib(out, src)
	case ondisk.CompressLZO:
		err = decompressLZO(out, src)
	case ondisk.CompressZstd:
		err = u.decompressZstd(out, src)
	default:
		err = fmt.Errorf("unknown compression %d", algorithm)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (u *unpacker) decompressZlib(out, src []byte) error {
	var r io.ReadCloser
	if pooled := u.zlib.Get(); pooled != nil {
		r = pooled.(io.ReadCloser)
		if err := r.(zlib.Resetter).Reset(bytes.NewReader(src), nil); err != nil {
			return fmt.Errorf("zlib: %w", err)
		}
	} else {
		var err error
		if r, err = zlib.NewReader(bytes.NewReader(src)); err != nil {
			return fmt.Errorf("zlib: %w", err)
		}
	}
	defer u.zlib.Put(r)
	if _, err := io.ReadFull(r, out); err != nil && !endedEarly(r, err) {
		return fmt.Errorf("zlib: %w", err)
	}
	return nil
}

// endedEarly tells a stream that is complete but short from one that was cut:
// io.ReadFull gives both the same error.
func endedEarly(r io.Reader, err error) bool {
	if err == io.EOF {
		return true
	}
	if err != io.ErrUnexpectedEOF {
		return false
	}
	_, again := r.Read(make([]byte, 1))
	return again == io.EOF
}

func (u *unpacker) decompressZstd(out, src []byte) error {
	if u.zstdErr != nil {
		return fmt.Errorf("zstd: %w", u.zstdErr)
	}
	frame, err := zstdFrame(src)
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	data, err := u.zstd.DecodeAll(frame, make([]byte, 0, len(out)))
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	copy(out, data)
	return nil
}

// zstdFrame cuts the first frame off src: behind it comes the padding of the
// last sector, which is no frame. The layout is that of RFC 8878, 3.1.1.
func zstdFrame(src []byte) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(src); err != nil {
		return nil, err
	}
	if header.Skippable {
		return nil, errors.New("skippable frame, expected data")
	}
	for pos := header.HeaderSize; pos+3 <= len(src); {
		block := uint32(src[pos]) | uint32(src[pos+1])<<8 | uint32(src[pos+2])<<16
		last, kind, size := block&1 != 0, block>>1&3, int(block>>3)
		if kind == 1 { // a repeated byte
			size = 1
		}
		pos += 3 + size
		if !last {
			continue
		}
		if header.HasCheckSum {
			pos += 4
		}
		if pos > len(src) {
			break
		}
		return src[:pos], nil
	}
	return nil, io.ErrUnexpectedEOF
}
