package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"unicode/utf16"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// signature starts a header.
var signature = []byte("EFI PART")

const (
	revision      = 0x00010000
	minHeaderSize = 92
	headerCRC     = 16 // offset of the checksum in the header
)

// header is a decoded header. LBAs count sectors.
type header struct {
	self, other   uint64 // LBA of this header and of that of the other copy
	first, last   uint64 // LBAs that partitions can have
	guid          ids.UUID
	array         uint64 // LBA of the array
	arrayChecksum uint32
}

// errSignature is in the error of a header that is not there.
var errSignature = errors.New("there is no header")

// decodeHeader decodes a header of one sector and checks its checksum.
func decodeHeader(raw []byte) (*header, error) {
	le := binary.LittleEndian
	if !bytes.HasPrefix(raw, signature) {
		return nil, fmt.Errorf("signature %q, expected %q: %w", raw[:len(signature)], signature, errSignature)
	}
	size := le.Uint32(raw[12:])
	if size < minHeaderSize || int64(size) > int64(len(raw)) {
		return nil, fmt.Errorf("size of the header %d, expected %d to %d", size, minHeaderSize, len(raw))
	}
	covered := bytes.Clone(raw[:size])
	clear(covered[headerCRC : headerCRC+4])
	if got, want := le.Uint32(raw[headerCRC:]), crc32.ChecksumIEEE(covered); got != want {
		return nil, fmt.Errorf("checksum %#08x, counted %#08x", got, want)
	}
	switch {
	case le.Uint32(raw[8:]) != revision:
		return nil, fmt.Errorf("revision %#08x, expected %#08x", le.Uint32(raw[8:]), revision)
	case le.Uint32(raw[20:]) != 0:
		return nil, fmt.Errorf("reserved field %#x, expected 0", le.Uint32(raw[20:]))
	case le.Uint32(raw[80:]) != maxPartitions || le.Uint32(raw[84:]) != entrySize:
		return nil, fmt.Errorf("%d entries of %d bytes, expected %d of %d", le.Uint32(raw[80:]), le.Uint32(raw[84:]), maxPartitions, entrySize)
	}
	return &header{
		self: le.Uint64(raw[24:]), other: le.Uint64(raw[32:]), first: le.Uint64(raw[40:]), last: le.Uint64(raw[48:]),
		guid: decodeGUID(raw[56:72]), array: le.Uint64(raw[72:]), arrayChecksum: le.Uint32(raw[88:]),
	}, nil
}

// decodeGUID returns a GUID, whose first three fields are little-endian on
// disk.
func decodeGUID(b []byte) (u ids.UUID) {
	le, be := binary.LittleEndian, binary.BigEndian
	be.PutUint32(u[0:], le.Uint32(b[0:]))
	be.PutUint16(u[4:], le.Uint16(b[4:]))
	be.PutUint16(u[6:], le.Uint16(b[6:]))
	copy(u[8:], b[8:16])
	return u
}

// decodeArray decodes the entries that are used.
func decodeArray(raw []byte, sectorSize int64) ([]Partition, error) {
	le := binary.LittleEndian
	var partitions []Partition
	for i := range maxPartitions {
		e := raw[i*entrySize:][:entrySize]
		p := Partition{Number: i + 1, Type: decodeGUID(e[0:16]), GUID: decodeGUID(e[16:32]), Attributes: le.Uint64(e[48:])}
		if p.Type.IsZero() {
			continue
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first > last || last >= maxDisk/uint64(sectorSize) {
			return nil, fmt.Errorf("partition %d: LBA %d to %d, expected a first and a last one", p.Number, first, last)
		}
		p.Start, p.Size = int64(first)*sectorSize, int64(last-first+1)*sectorSize
		var err error
		if p.Label, err = decodeLabel(e[56:]); err != nil {
			return nil, fmt.Errorf("partition %d: %w", p.Number, err)
		}
		partitions = append(partitions, p)
	}
	return partitions, nil
}

// decodeLabel decodes a name of UTF-16 units that ends at its first zero.
func decodeLabel(raw []byte) (string, error) {
	var units []uint16
	for ; len(raw) > 0 && binary.LittleEndian.Uint16(raw) != 0; raw = raw[2:] {
		units = append(units, binary.LittleEndian.Uint16(raw))
	}
	runes := utf16.Decode(units)
	if !slices.Equal(utf16.Encode(runes), units) { // half of a surrogate pair
		return "", fmt.Errorf("the label is not UTF-16")
	}
	return string(runes), nil
}

// readFull reads all of buf.
func readFull(r io.ReaderAt, buf []byte, offset int64) error {
	n, err := r.ReadAt(buf, offset)
	switch {
	case n == len(buf):
		return nil
	case err == nil || err == io.EOF:
		return fault.New(fault.Input, "", "the disk ends at byte %d, expected %d bytes at byte %d", offset+int64(n), len(buf), offset)
	default:
		return err
	}
}
