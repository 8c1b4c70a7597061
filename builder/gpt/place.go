package gpt

import (
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Alignment is where partitions start, in bytes: a multiple of every sector,
// erase block and stripe that disks have.
const Alignment = 1 << 20

// maxDisk keeps every sum of sizes within an int64.
const maxDisk = 1 << 60

// Place returns the table with every partition in its place and numbered. A
// Start of 0 puts a partition behind the one before, aligned; any other must
// not lie before the end of the one before. Sizes are rounded up to sectors.
// The Size of the last partition may be 0: it gets the rest of the disk, in
// whole MiB. A DiskSize of 0 means the smallest disk, in whole MiB; then every
// partition needs a size.
//
// It is pure: it decides and touches nothing. A disk that is too small is an
// error of class fault.Target that says how much it needs; anything else that
// cannot be is one of class fault.Config.
func Place(t Table) (Table, error) {
	t.Partitions = slices.Clone(t.Partitions)
	t.number()
	if t.SectorSize != 512 && t.SectorSize != 4096 {
		return t, fault.New(fault.Config, "", "partition table: sectors of %d bytes, expected 512 or 4096", t.SectorSize)
	}
	at := t.firstUsable()
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if err := t.placeOne(p, at, i == len(t.Partitions)-1); err != nil {
			return t, fault.New(fault.Config, "", "partition %d (%s): %w", p.Number, p.Label, err)
		}
		at = p.end()
	}
	if err := t.fit(at); err != nil {
		return t, err
	}
	if err := t.check(); err != nil {
		return t, fault.New(fault.Config, "", "partition table: %w", err)
	}
	return t, nil
}

// placeOne gives a partition its start, at or behind a byte, and whole sectors.
func (t *Table) placeOne(p *Partition, at int64, last bool) error {
	switch {
	case p.Start < 0 || p.Size < 0 || p.Start > maxDisk || p.Size > maxDisk:
		return fmt.Errorf("%d bytes at byte %d, expected 0 to %d", p.Size, p.Start, int64(maxDisk))
	case p.Start == 0:
		p.Start = roundUp(at, Alignment)
	case p.Start < at:
		return fmt.Errorf("starts at byte %d, expected it at byte %d or later", p.Start, at)
	case p.Start%t.SectorSize != 0:
		return fmt.Errorf("starts at byte %d, expected a multiple of %d", p.Start, t.SectorSize)
	}
	if p.Size == 0 && (!last || t.DiskSize == 0) {
		return fmt.Errorf("has no size; only the last partition can be the rest of the disk, when that has one")
	}
	if p.Size = roundUp(p.Size, t.SectorSize); p.Size > maxDisk-p.Start {
		return fmt.Errorf("%d bytes at byte %d, expected it to end before byte %d", p.Size, p.Start, int64(maxDisk))
	}
	return nil
}

// fit makes the disk large enough or the last partition as large as it can be.
// The partitions end at a byte; one that is the rest of the disk has no size
// yet.
func (t *Table) fit(end int64) error {
	behind := t.DiskSize - t.usableEnd()
	if t.DiskSize == 0 {
		t.DiskSize = roundUp(max(end, t.firstUsable()+t.SectorSize)+behind, Alignment)
		return nil
	}
	need := end + behind
	last := len(t.Partitions) - 1
	rest := last >= 0 && t.Partitions[last].Size == 0
	if rest {
		need += Alignment
	}
	if t.DiskSize < need {
		return fault.New(fault.Target, "use a larger disk, or make partitions smaller",
			"partition table: needs %d bytes, the disk has %d", need, t.DiskSize)
	}
	if rest {
		t.Partitions[last].Size = (t.usableEnd() - end) / Alignment * Alignment
	}
	return nil
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
