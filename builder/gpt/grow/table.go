package grow

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Figures of the specification, as everybody uses them.
const (
	entries       = 128 // of an array
	entrySize     = 128 // bytes
	arraySize     = entries * entrySize
	revision      = 0x00010000
	minHeaderSize = 92
	usualArray    = 2 // LBA of the primary array, behind the protective MBR and the header
	maxSize       = 1 << 60
)

// Offsets of the fields of a header that are looked at or changed.
const (
	atRevision  = 8
	atSize      = 12
	atCRC       = 16
	atSelf      = 24 // LBA of this header
	atOther     = 32 // LBA of that of the other copy
	atFirst     = 40 // LBAs that partitions can have
	atLast      = 48
	atArray     = 72 // LBA of the array
	atEntries   = 80
	atEntrySize = 84
	atArrayCRC  = 88
)

// Offsets of the fields of an entry.
const (
	atEntryFirst      = 32 // LBA
	atEntryLast       = 40 // LBA, the last one of the partition
	atEntryAttributes = 48
)

// fields is a header or an entry as it is on the disk.
type fields []byte

func (f fields) get(at int) int64        { return int64(binary.LittleEndian.Uint64(f[at:])) }
func (f fields) set(at int, value int64) { binary.LittleEndian.PutUint64(f[at:], uint64(value)) }
func (f fields) get32(at int) uint32     { return binary.LittleEndian.Uint32(f[at:]) }

// checksum returns what the checksum of a header must be.
func (f fields) checksum() uint32 {
	covered := bytes.Clone(f[:f.get32(atSize)])
	clear(covered[atCRC : atCRC+4])
	return crc32.ChecksumIEEE(covered)
}

// table is one copy of a table.
type table struct {
	header fields // its sector
	array  []byte
}

func (t *table) clone() *table { return &table{bytes.Clone(t.header), bytes.Clone(t.array)} }

// entry returns the entry of a partition, whose number counts from 1.
func (t *table) entry(number int) fields {
	return t.array[(number-1)*entrySize : number*entrySize]
}

// used reports whether there is a partition of this number.
func (t *table) used(number int) bool {
	return !bytes.Equal(t.entry(number)[:16], make([]byte, 16)) // the type
}

// seal fills in the checksums.
func (t *table) seal() {
	le := binary.LittleEndian
	le.PutUint32(t.header[atArrayCRC:], crc32.ChecksumIEEE(t.array))
	le.PutUint32(t.header[atCRC:], t.header.checksum())
}

// load reads the primary table. Its header can have its array in any LBA. A
// disk that ends before its size is found here, before anything is written.
func load(d Disk) (*table, error) {
	switch {
	case d.SectorSize != 512 && d.SectorSize != 4096:
		return nil, fault.New(fault.Target, "", "partition table: sectors of %d bytes, expected 512 or 4096", d.SectorSize)
	case d.Size%d.SectorSize != 0 || d.Size < alignment || d.Size > maxSize:
		return nil, fault.New(fault.Target, "", "partition table: disk of %d bytes, expected a multiple of %d from %d to %d", d.Size, d.SectorSize, alignment, int64(maxSize))
	}
	if _, err := d.read(d.sectors()-1, 1); err != nil {
		return nil, err
	}
	header, err := d.read(1, 1)
	if err != nil {
		return nil, err
	}
	t := &table{header: header}
	if err := t.checkHeader(d); err != nil {
		return nil, err
	}
	if t.array, err = d.read(t.header.get(atArray), d.arraySectors()); err != nil {
		return nil, err
	}
	if got, want := t.header.get32(atArrayCRC), crc32.ChecksumIEEE(t.array); got != want {
		return nil, fault.New(fault.Input, "", "partition table: checksum of the entries %#08x, counted %#08x", got, want)
	}
	return t, t.checkEntries()
}

// checkHeader checks all that is in the header, so that sums of its LBAs fit
// an int64.
func (t *table) checkHeader(d Disk) error {
	h := t.header
	if string(h[:8]) != "EFI PART" {
		return fault.New(fault.Input, "", "partition table: no primary header: signature %q, expected %q", h[:8], "EFI PART")
	}
	if size := h.get32(atSize); size < minHeaderSize || int64(size) > d.SectorSize {
		return fault.New(fault.Input, "", "partition table: size of the header %d, expected %d to %d", size, minHeaderSize, d.SectorSize)
	}
	if got, want := h.get32(atCRC), h.checksum(); got != want {
		return fault.New(fault.Input, "", "partition table: checksum of the header %#08x, counted %#08x", got, want)
	}
	if h.get32(atRevision) != revision || h.get32(atEntries) != entries || h.get32(atEntrySize) != entrySize || h.get(atSelf) != 1 {
		return fault.New(fault.Input, "", "partition table: revision %#x, %d entries of %d bytes, header in LBA %d; expected %#x, %d of %d, LBA 1",
			h.get32(atRevision), h.get32(atEntries), h.get32(atEntrySize), h.get(atSelf), revision, entries, entrySize)
	}
	return t.checkPlaces(d)
}

// checkPlaces checks that the header leaves what is between the copies to
// partitions, and that both copies are on the disk.
func (t *table) checkPlaces(d Disk) error {
	h, end := t.header, d.sectors()
	first, last, other, array := h.get(atFirst), h.get(atLast), h.get(atOther), h.get(atArray)
	switch {
	case other >= end:
		return fault.New(fault.Target, "", "partition table: made for a disk of %d sectors, this one has %d", other+1, end)
	case first < usualArray+d.arraySectors() || first > last || other <= d.arraySectors() || last >= other-d.arraySectors():
		return fault.New(fault.Input, "", "partition table: gives LBA %d to %d to partitions, expected %d to %d", first, last, usualArray+d.arraySectors(), other-d.arraySectors()-1)
	case array < usualArray || array > first-d.arraySectors():
		return fault.New(fault.Input, "", "partition table: has its entries in LBA %d, expected %d to %d", array, usualArray, first-d.arraySectors())
	}
	return nil
}

// checkEntries checks that every partition lies where the header lets them.
func (t *table) checkEntries() error {
	for n := 1; n <= entries; n++ {
		first, last := t.entry(n).get(atEntryFirst), t.entry(n).get(atEntryLast)
		if t.used(n) && (first < t.header.get(atFirst) || first > last || last > t.header.get(atLast)) {
			return fault.New(fault.Input, "", "partition %d: LBA %d to %d, expected it between %d and %d", n, first, last, t.header.get(atFirst), t.header.get(atLast))
		}
	}
	return nil
}

// checkUsed refuses a number that no partition has.
func (t *table) checkUsed(number int) error {
	if number < 1 || number > entries || !t.used(number) {
		return fault.New(fault.Target, "", "partition %d: not in the table", number)
	}
	return nil
}

// checkLast refuses a partition that others stand behind, or overlap.
func (t *table) checkLast(number int) error {
	if err := t.checkUsed(number); err != nil {
		return err
	}
	for n := 1; n <= entries; n++ {
		if n != number && t.used(n) && t.entry(n).get(atEntryLast) >= t.entry(number).get(atEntryFirst) {
			return fault.New(fault.Target, "", "partition %d: cannot be grown, partition %d stands behind it", number, n)
		}
	}
	return nil
}

// firstPartition returns the LBA in which the first partition starts.
func (t *table) firstPartition() int64 {
	first := t.header.get(atLast) + 1
	for n := 1; n <= entries; n++ {
		if t.used(n) {
			first = min(first, t.entry(n).get(atEntryFirst))
		}
	}
	return first
}
