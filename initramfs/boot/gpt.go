package boot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// Limits of what is read of a partition table (UEFI 2.10, 5.3). The kernel
// numbers at most 256 partitions of a disk.
const (
	gptHeaderSize   = 92
	gptEntrySize    = 128
	maxGPTEntrySize = 4096
	maxGPTEntries   = 1024
)

// gptEntry is what identifies a partition, and where it is.
type gptEntry struct {
	kind, uuid, label string // kind is the GUID of its type
	first, last       int64  // sectors of the disk's logical size
}

// errNoGPT says that a disk has no GUID partition table.
var errNoGPT = errors.New("no GUID partition table")

// readGPT returns the partitions in the primary table of a disk by their
// number, from 1. Both checksums must hold. The backup is not looked at: the
// kernel makes no partitions of a disk whose primary table is damaged.
func readGPT(r io.ReaderAt, sector int64) (map[int]gptEntry, error) {
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("sector of %d bytes: expected 512 to 4096", sector)
	}
	head := make([]byte, sector)
	if _, err := r.ReadAt(head, sector); err != nil {
		return nil, fmt.Errorf("GPT header: %w", err)
	}
	h, err := decodeGPTHeader(head)
	if err != nil {
		return nil, err
	}
	table := make([]byte, h.count*h.entrySize)
	if _, err := r.ReadAt(table, h.entries*sector); err != nil {
		return nil, fmt.Errorf("GPT entries: %w", err)
	}
	if got := crc32.ChecksumIEEE(table); got != h.entriesCRC {
		return nil, fmt.Errorf("GPT entries: checksum %08x, expected %08x", got, h.entriesCRC)
	}
	partitions := map[int]gptEntry{}
	for i := range h.count {
		if e, used := decodeGPTEntry(table[i*h.entrySize:][:gptEntrySize]); used {
			partitions[i+1] = e
		}
	}
	return partitions, nil
}

type gptHeader struct {
	entries          int64 // LBA of the table
	count, entrySize int
	entriesCRC       uint32
}

func decodeGPTHeader(b []byte) (gptHeader, error) {
	le := binary.LittleEndian
	if len(b) < gptHeaderSize || string(b[:8]) != "EFI PART" {
		return gptHeader{}, errNoGPT
	}
	size := le.Uint32(b[12:])
	if size < gptHeaderSize || int64(size) > int64(len(b)) {
		return gptHeader{}, fmt.Errorf("GPT header: %d bytes, expected %d to %d", size, gptHeaderSize, len(b))
	}
	sum := crc32.NewIEEE()
	sum.Write(b[:16])
	sum.Write(make([]byte, 4))
	sum.Write(b[20:size])
	if want := le.Uint32(b[16:]); sum.Sum32() != want {
		return gptHeader{}, fmt.Errorf("GPT header: checksum %08x, expected %08x", sum.Sum32(), want)
	}
	entries, count, entrySize := le.Uint64(b[72:]), le.Uint32(b[80:]), le.Uint32(b[84:])
	switch {
	case entries < 2 || entries > 1<<40:
		return gptHeader{}, fmt.Errorf("GPT header: entries at LBA %d", entries)
	case count > maxGPTEntries:
		return gptHeader{}, fmt.Errorf("GPT header: %d entries, expected at most %d", count, maxGPTEntries)
	case entrySize < gptEntrySize || entrySize > maxGPTEntrySize || entrySize&(entrySize-1) != 0:
		return gptHeader{}, fmt.Errorf("GPT header: entries of %d bytes, expected %d to %d", entrySize, gptEntrySize, maxGPTEntrySize)
	}
	return gptHeader{int64(entries), int(count), int(entrySize), le.Uint32(b[88:])}, nil
}

func decodeGPTEntry(b []byte) (e gptEntry, used bool) {
	if [16]byte(b) == [16]byte{} {
		return e, false
	}
	first, last := binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:])
	if first > 1<<53 {
		return e, false
	}
	// No partition is lost by a wrong end: the kernel knows the size.
	return gptEntry{
		kind: gptGUID([16]byte(b)), uuid: gptGUID([16]byte(b[16:])), label: gptName(b[56:gptEntrySize]),
		first: int64(first), last: int64(min(last, 1<<53)),
	}, true
}

// gptGUID writes a GUID whose first three fields are little-endian.
func gptGUID(g [16]byte) string {
	g[0], g[1], g[2], g[3] = g[3], g[2], g[1], g[0]
	g[4], g[5] = g[5], g[4]
	g[6], g[7] = g[7], g[6]
	return formatUUID(g)
}

func gptName(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
