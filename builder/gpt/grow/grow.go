package grow

import (
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// AttributeGrow is the number of the attribute that asks for the file system
// to be grown to the size of its partition (Discoverable Partitions
// Specification, "grow-file-system").
const AttributeGrow = 59

// alignment is that of the end of a grown partition, in bytes, as package gpt
// has it.
const alignment = 1 << 20

// Target is the whole disk.
type Target interface {
	io.ReaderAt
	io.WriterAt
	Sync() error // returns when what was written is on the disk
}

// Disk is a disk with a partition table.
type Disk struct {
	Target
	SectorSize int64 // bytes of a logical sector, 512 or 4096
	Size       int64 // bytes, a multiple of SectorSize
}

// Partition is the place of a partition in bytes from the start of the disk.
type Partition struct {
	Start, Size int64
}

// Grow makes a partition, of this number from 1 on, reach to the last whole
// MiB of the disk, moves the backup table to the end of the disk and has the
// protective MBR cover all of it. It returns the place of the partition, which
// never gets smaller. Where everything is so already, the backup table too, it
// writes nothing.
//
// A table that is damaged is an error of class fault.Input; one that cannot be
// changed, such as one with another partition behind this one, is an error of
// class fault.Target. Then nothing was written.
func Grow(d Disk, number int) (Partition, error) {
	old, err := load(d)
	if err != nil {
		return Partition{}, err
	}
	if err := old.checkLast(number); err != nil {
		return Partition{}, err
	}
	table := old.clone()
	table.header.set(atOther, d.sectors()-1)
	table.header.set(atLast, d.sectors()-2-d.arraySectors())
	e := table.entry(number)
	end := (table.header.get(atLast) + 1) * d.SectorSize / alignment * alignment / d.SectorSize
	e.set(atEntryLast, max(e.get(atEntryLast), end-1))
	if err := replace(d, old, table); err != nil {
		return Partition{}, err
	}
	return Partition{
		Start: e.get(atEntryFirst) * d.SectorSize,
		Size:  (e.get(atEntryLast) - e.get(atEntryFirst) + 1) * d.SectorSize,
	}, nil
}

// HasAttribute reports whether a partition, of this number from 1 on, has the
// attribute of a number from 0 to 63. Errors are those of Grow.
func HasAttribute(d Disk, number int, attribute uint) (bool, error) {
	t, err := load(d)
	if err != nil {
		return false, err
	}
	if err := t.checkUsed(number); err != nil {
		return false, err
	}
	return t.entry(number).get(atEntryAttributes)&(1<<attribute) != 0, nil
}

// ClearAttribute takes an attribute away from a partition, as safely as Grow
// and with its errors. Where it is not set and both copies agree it writes
// nothing.
func ClearAttribute(d Disk, number int, attribute uint) error {
	old, err := load(d)
	if err != nil {
		return err
	}
	if err := old.checkUsed(number); err != nil {
		return err
	}
	table := old.clone()
	e := table.entry(number)
	e.set(atEntryAttributes, e.get(atEntryAttributes)&^(1<<attribute))
	return replace(d, old, table)
}

// sectors returns the sectors of the disk.
func (d Disk) sectors() int64 { return d.Size / d.SectorSize }

// arraySectors returns the sectors of an array of entries.
func (d Disk) arraySectors() int64 { return arraySize / d.SectorSize }

// read reads whole sectors from an LBA on.
func (d Disk) read(lba, count int64) ([]byte, error) {
	b := make([]byte, count*d.SectorSize)
	n, err := d.ReadAt(b, lba*d.SectorSize)
	switch {
	case n == len(b):
		return b, nil
	case err == nil || err == io.EOF:
		return nil, fault.New(fault.Input, "", "partition table: the disk ends at byte %d, expected %d bytes", lba*d.SectorSize+int64(n), d.Size)
	}
	return nil, fmt.Errorf("partition table: LBA %d: %w", lba, err)
}
