package bootrepair

import (
	"errors"
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Disk is a disk, or a file that stands for it. It may be read concurrently.
type Disk interface {
	io.ReaderAt // what the disk has, not what a cache has
	io.WriterAt
	Size() int64       // bytes
	SectorSize() int64 // bytes, logical: 512 or 4096
	Sync() error       // returns when all that was written is on the disk
}

// Progress is told how far a step is, in bytes. It may be nil.
type Progress func(done, total int64)

func (p Progress) report(done, total int64) {
	if p != nil {
		p(done, total)
	}
}

const mib = 1 << 20

// usable is the size of a disk in whole sectors, in bytes: a file may have more.
func usable(d Disk) int64 { return d.Size() / d.SectorSize() * d.SectorSize() }

// section is a part of a disk.
func section(d io.ReaderAt, start, size int64) *io.SectionReader {
	return io.NewSectionReader(d, start, size)
}

// readFull reads all of p, and is false where the disk ends before.
func readFull(r io.ReaderAt, p []byte, at int64) (bool, error) {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return true, nil
	case err == nil || errors.Is(err, io.EOF):
		return false, nil
	}
	return false, fmt.Errorf("byte %d: %w", at, err)
}

// written puts bytes on the disk before anything that comes later.
func written(d Disk, p []byte, at int64) error {
	if _, err := d.WriteAt(p, at); err != nil {
		return unwritten(at, err)
	}
	return synced(d)
}

func unwritten(at int64, err error) error {
	return fault.New(fault.Internal, hintFails, "byte %d: %w", at, err)
}

func synced(d Disk) error {
	if err := d.Sync(); err != nil {
		return fault.New(fault.Internal, hintFails, "sync: %w", err)
	}
	return nil
}

// hintFails is what to do about a disk that does not take what is written.
const hintFails = "the disk fails: save what it has first; smartctl -a tells more"
