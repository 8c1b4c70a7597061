package installer

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Target is the disk that is installed to, or a file that stands for it. It may
// be called concurrently.
type Target interface {
	io.WriterAt
	io.ReaderAt        // what the medium has, not what a cache has
	Size() int64       // bytes
	SectorSize() int64 // bytes, logical: 512 or 4096
	Sync() error       // returns when all that was written is on the medium
}

// edge is how much of both ends of a disk is emptied: tables of partitions, and
// the signatures of what can be on a whole disk, from LVM's at its beginning to
// those of ZFS and md at its end, are all in it.
const edge = 1 << 20

// mirrors are where a btrfs has its superblocks, in bytes from where it begins
// (BTRFS_SUPER_MIRROR of Linux). Those within the first MiB are left out: it is
// written in any case.
var mirrors = []int64{64 << 20, 256 << 30}

// zeros is what is written to empty a place.
var zeros [edge]byte

// erase makes a disk empty: first what says that there is something on it, then
// a table without partitions, which tells every system that meets the disk that
// nothing on it counts. Starts are where file systems will begin, in which old
// superblocks must not be found.
func erase(t Target, guid ids.UUID, starts ...int64) error {
	places := []int64{0, max(0, t.Size()-edge)}
	for _, start := range append([]int64{0}, starts...) {
		for _, m := range mirrors {
			places = append(places, start+m)
		}
	}
	for i, at := range places {
		size := int64(superblock)
		if i < 2 {
			size = edge
		}
		if err := zero(t, at, size); err != nil {
			return err
		}
	}
	if err := synced(t); err != nil {
		return err
	}
	return writeTable(t, gpt.Table{GUID: guid, SectorSize: t.SectorSize(), DiskSize: usable(t)})
}

func writeTable(t Target, table gpt.Table) error {
	if err := gpt.Write(t, table); err != nil {
		return failed("%w", err)
	}
	return nil
}

// superblock is the size of a superblock of btrfs in bytes, and a multiple of
// every sector.
const superblock = 4096

// usable is the size of a target in whole sectors, in bytes: a file may have more.
func usable(t Target) int64 { return t.Size() / t.SectorSize() * t.SectorSize() }

// zero empties a place, as far as it is on the disk.
func zero(t Target, at, size int64) error {
	size = min(size, t.Size()-at)
	if size <= 0 {
		return nil
	}
	if _, err := t.WriteAt(zeros[:size], at); err != nil {
		return unwritten(at, err)
	}
	return nil
}

// unwritten is the error of a write to the target.
func unwritten(at int64, err error) error { return failed("byte %d: %w", at, err) }

// synced brings to the disk what was written.
func synced(t Target) error {
	if err := t.Sync(); err != nil {
		return failed("sync: %w", err)
	}
	return nil
}

// failed is the error of a target that does not take what is written. An error
// that has a class keeps it.
func failed(format string, args ...any) error {
	err := fmt.Errorf("target: "+format, args...)
	switch {
	case fault.ClassOf(err) != fault.Internal:
		return err
	case errors.Is(err, syscall.ENOSPC):
		return fault.New(fault.Internal, "free space where the file is", "%w", err)
	}
	return fault.New(fault.Internal, "the disk fails: use another one; smartctl -a tells more", "%w", err)
}
