package reader

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/anchore/go-lzo"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// lzoLength is the size of the lengths in an lzo extent.
const lzoLength = 4

// decompressLZO fills out from an lzo extent. The format, as the comment at
// the head of the kernel's fs/btrfs/lzo.c has it: the length of the whole,
// itself included; then for every sector of data a length and an LZO1X stream.
// A length never crosses a sector boundary of the extent: where less than four
// bytes are left before one, they are padding.
func decompressLZO(out, src []byte) error {
	if len(src) < lzoLength {
		return fmt.Errorf("lzo: %w", io.ErrUnexpectedEOF)
	}
	total := binary.LittleEndian.Uint32(src)
	if total < lzoLength || uint64(total) > uint64(len(src)) {
		return fmt.Errorf("lzo: length of %d bytes in an extent of %d", total, len(src))
	}
	src = src[:total]
	var sector [ondisk.SectorSize]byte
	for pos, got := lzoLength, 0; got < len(out); {
		if left := ondisk.SectorSize - pos%ondisk.SectorSize; left < lzoLength {
			pos += left
		}
		if pos == len(src) {
			return nil
		}
		if pos+lzoLength > len(src) {
			return fmt.Errorf("lzo: %w", io.ErrUnexpectedEOF)
		}
		length := binary.LittleEndian.Uint32(src[pos:])
		pos += lzoLength
		if uint64(length) > uint64(len(src)-pos) {
			return fmt.Errorf("lzo: segment of %d bytes, %d left", length, len(src)-pos)
		}
		n, err := lzo.Decompress(src[pos:pos+int(length)], sector[:])
		if err != nil {
			return fmt.Errorf("lzo: segment at %d: %w", pos, err)
		}
		got += copy(out[got:], sector[:n])
		if n < len(sector) { // only the last one is short
			return nil
		}
		pos += int(length)
	}
	return nil
}
