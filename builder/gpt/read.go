package gpt

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// ErrNone is in the error of Read when nothing on the disk looks like a table.
var ErrNone = errors.New("no GUID partition table")

// Part names what of a table a problem is in.
type Part string

// The parts of a table.
const (
	PartMBR     Part = "protective MBR"
	PartPrimary Part = "primary table"
	PartBackup  Part = "backup table"
)

// Problem is one thing that is wrong with a table that can be used
// nevertheless.
type Problem struct {
	Part Part
	Text string // what was found and what was expected
}

// String returns the problem in one line.
func (p Problem) String() string { return string(p.Part) + ": " + p.Text }

// sectorSizes are the sector sizes of disks. A table says nothing of its own,
// but stands in another place.
var sectorSizes = []int64{512, 4096}

// Read reads the table of a disk of diskSize bytes, with either sector size,
// and checks both copies of it. The table comes from the primary copy, or from
// the backup if that alone is whole; problems say what is wrong with the rest,
// none if all is as Write leaves it.
//
// Table.DiskSize is diskSize even where the table was made for a smaller disk,
// which is a problem of the backup: writing the table puts that right.
//
// It fails with an error of class fault.Input when no copy is whole, with
// ErrNone when there is no trace of one.
func Read(r io.ReaderAt, diskSize int64) (*Table, []Problem, error) {
	var found []*reading
	traces := []error{}
	for _, size := range sectorSizes {
		c, err := readSectors(r, diskSize, size)
		switch {
		case err == nil:
			found = append(found, c)
		case fault.ClassOf(err) != fault.Input:
			return nil, nil, err
		case !errors.Is(err, ErrNone):
			traces = append(traces, err)
		}
	}
	if len(found) == 2 {
		return choose(found[0], found[1])
	}
	switch {
	case len(found) == 1:
		return found[0].table, found[0].problems, nil
	case len(traces) > 0:
		return nil, nil, fault.New(fault.Input, "", "partition table: %w", errors.Join(traces...))
	}
	return nil, nil, fault.New(fault.Input, "", "disk of %d bytes: %w", diskSize, ErrNone)
}

// choose takes the table with a whole primary copy of two that were found with
// different sector sizes. That is what a power cut leaves behind when the size
// changes.
func choose(a, b *reading) (*Table, []Problem, error) {
	if b.primary {
		a, b = b, a
	}
	if !a.primary || b.primary {
		return nil, nil, fault.New(fault.Input, "", "there is a partition table for sectors of %d bytes and one for sectors of %d bytes, expected one",
			a.table.SectorSize, b.table.SectorSize)
	}
	a.complain(PartBackup, fmt.Errorf("there is one for sectors of %d bytes", b.table.SectorSize))
	return a.table, a.problems, nil
}

// reading is the table found with one sector size.
type reading struct {
	table    *Table
	primary  bool // the primary copy is whole
	problems []Problem
}

// readSectors reads the table for one sector size. On a disk that has grown,
// such as a stick that an image was copied to, the table ends where the disk
// once did.
func readSectors(r io.ReaderAt, diskSize, sectorSize int64) (*reading, error) {
	shape := Table{SectorSize: sectorSize, DiskSize: diskSize}
	if diskSize%sectorSize != 0 || diskSize > maxDisk || shape.firstUsable() >= shape.usableEnd() {
		return nil, fault.New(fault.Input, "", "%w", ErrNone)
	}
	size, err := formerSize(r, shape)
	if err != nil {
		return nil, err
	}
	if size < diskSize {
		shape.DiskSize = size
		if found, err := readCopies(r, shape); err == nil {
			found.table.DiskSize = diskSize
			found.complain(PartBackup, fmt.Errorf("is at the end of %d bytes, expected it at the end of the disk of %d", size, diskSize))
			return found, nil
		}
		shape.DiskSize = diskSize
	}
	return readCopies(r, shape)
}

// formerSize returns the size of the disk that the primary header is for, if it
// is whole and the disk is larger now; the size of the disk otherwise.
func formerSize(r io.ReaderAt, t Table) (int64, error) {
	raw := make([]byte, t.SectorSize)
	if err := readFull(r, raw, t.SectorSize); err != nil {
		return 0, err
	}
	h, err := decodeHeader(raw)
	if err != nil || h.other >= uint64(t.DiskSize/t.SectorSize) {
		return t.DiskSize, nil
	}
	former := Table{SectorSize: t.SectorSize, DiskSize: int64(h.other+1) * t.SectorSize}
	if former.firstUsable() >= former.usableEnd() {
		return t.DiskSize, nil
	}
	return former.DiskSize, nil
}

// readCopies reads both copies of a table.
func readCopies(r io.ReaderAt, shape Table) (*reading, error) {
	last := shape.DiskSize/shape.SectorSize - 1
	primary, primaryErr := readCopy(r, shape, 1, last)
	backup, backupErr := readCopy(r, shape, last, 1)
	for _, err := range []error{primaryErr, backupErr} {
		if err != nil && fault.ClassOf(err) != fault.Input {
			return nil, err
		}
	}
	if primary == nil && backup == nil {
		if errors.Is(primaryErr, errSignature) && errors.Is(backupErr, errSignature) {
			return nil, fault.New(fault.Input, "", "%w", ErrNone)
		}
		return nil, fault.New(fault.Input, "", "sectors of %d bytes: %s: %w; %s: %w", shape.SectorSize, PartPrimary, primaryErr, PartBackup, backupErr)
	}
	found := &reading{table: primary, primary: primary != nil}
	switch {
	case primary == nil:
		found.table = backup
		found.complain(PartPrimary, primaryErr)
	case backup == nil:
		found.complain(PartBackup, backupErr)
	case primary.GUID != backup.GUID || !slices.Equal(primary.Partitions, backup.Partitions):
		found.complain(PartBackup, fmt.Errorf("is whole, but not the same as the primary table"))
	}
	mbr := make([]byte, mbrSize)
	if err := readFull(r, mbr, 0); err != nil {
		return nil, err
	}
	if err := checkMBR(mbr, last+1); err != nil {
		found.complain(PartMBR, err)
	}
	return found, nil
}

func (r *reading) complain(part Part, err error) {
	r.problems = append(r.problems, Problem{part, err.Error()})
}

// readCopy reads one copy of the table, whose header is in one LBA and that of
// the other copy in another. All of it must be right.
func readCopy(r io.ReaderAt, t Table, self, other int64) (*Table, error) {
	raw := make([]byte, t.SectorSize)
	if err := readFull(r, raw, self*t.SectorSize); err != nil {
		return nil, err
	}
	h, err := decodeHeader(raw)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	arrayAt := 2 * t.SectorSize
	if self != 1 {
		arrayAt = t.usableEnd()
	}
	if err := h.checkPlaces(t, self, other, arrayAt); err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	array := make([]byte, arraySize)
	if err := readFull(r, array, arrayAt); err != nil {
		return nil, err
	}
	if t.Partitions, err = h.partitions(array, t.SectorSize); err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	t.GUID = h.guid
	if err := t.check(); err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	return &t, nil
}

// checkPlaces checks that a header stands where it says and leaves the room
// between the copies to partitions.
func (h *header) checkPlaces(t Table, self, other, arrayAt int64) error {
	first, last := t.firstUsable()/t.SectorSize, t.usableEnd()/t.SectorSize-1
	switch {
	case h.self != uint64(self):
		return fmt.Errorf("says that it is in LBA %d, expected %d", h.self, self)
	case h.other != uint64(other):
		return fmt.Errorf("has the other copy in LBA %d, expected %d, for a disk of %d bytes", h.other, other, t.DiskSize)
	case h.array != uint64(arrayAt/t.SectorSize):
		return fmt.Errorf("has its entries in LBA %d, expected %d", h.array, arrayAt/t.SectorSize)
	case h.first < uint64(first) || h.last > uint64(last) || h.first > h.last:
		return fmt.Errorf("gives LBA %d to %d to partitions, expected %d to %d", h.first, h.last, first, last)
	}
	return nil
}

// partitions decodes the array that belongs to the header.
func (h *header) partitions(array []byte, sectorSize int64) ([]Partition, error) {
	if sum := crc32.ChecksumIEEE(array); sum != h.arrayChecksum {
		return nil, fmt.Errorf("checksum of the entries %#08x, counted %#08x", h.arrayChecksum, sum)
	}
	partitions, err := decodeArray(array, sectorSize)
	if err != nil {
		return nil, err
	}
	for _, p := range partitions {
		if uint64(p.Start/sectorSize) < h.first || uint64(p.end()/sectorSize-1) > h.last {
			return nil, fmt.Errorf("partition %d: LBA %d to %d, expected %d to %d", p.Number, p.Start/sectorSize, p.end()/sectorSize-1, h.first, h.last)
		}
	}
	return partitions, nil
}
