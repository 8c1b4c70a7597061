package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// edge is how many bytes at the beginning and at the end of a disk say what is
// on it: partition tables, and the first superblocks and labels of file
// systems, LUKS, LVM, RAID and ZFS are all there.
const edge = 1 << 20

// mediumDevice is a whole disk that nobody else uses while it is open.
type mediumDevice struct{ *writeTarget }

// openDevice opens a disk to be written. It must be a whole one, unused, and
// removable and empty unless erase names it.
func openDevice(ctx context.Context, name, erase string) (mediumTarget, error) {
	t, err := openWriteTarget(ctx, name, 0, false)
	if err != nil {
		return nil, err
	}
	if found := append(refuseMedium(t.about, erase), t.found...); len(found) > 0 {
		t.close()
		return nil, refusal(t.about, found)
	}
	return mediumDevice{t}, nil
}

// refuseMedium returns all reasons not to make a key medium of a disk. One word
// is enough here: a key medium is small, and a disk that is no stick is seldom
// meant.
func refuseMedium(d disks.Disk, erase string) []flash.Finding {
	consent := flash.Consent{Erase: erase}
	if erase == flash.Word(d) {
		consent.Serial = erase
	}
	found := flash.Refuse(d, consent)
	flagged := false
	for i := range found {
		if found[i].Flag != "" && flagged {
			found[i].Flag = ""
		} else if found[i].Flag != "" {
			found[i].Flag, flagged = "--erase", true
		}
	}
	if erase != "" && consent.Serial == "" { // what is said of it already
		found = slices.DeleteFunc(found, func(f flash.Finding) bool { return f.Flag != "" })
	}
	return found
}

func (d mediumDevice) discard() { d.close() }

// write empties the edges of the disk first, then the partition: a power cut
// leaves an empty disk, the old table, or the medium.
func (d mediumDevice) write(ctx context.Context, m *medium) (int64, error) {
	size, sector := d.disk.Size, d.disk.SectorSize
	if sector != 512 && sector != 4096 {
		return 0, fault.New(fault.Target, "", "%s: sectors of %d bytes, expected 512 or 4096", d.name, sector)
	}
	table, params, tree, err := m.plan(size/sector*sector, sector)
	if err != nil {
		return 0, err
	}
	end := params.Start + table.Partitions[0].Size
	for _, part := range [][2]int64{{0, min(end+edge, size)}, {max(0, size-edge), size}} {
		if err := d.zero(ctx, part[0], part[1]); err != nil {
			return 0, err
		}
	}
	if err := d.disk.Sync(); err != nil {
		return 0, err
	}
	if _, err := esp.Write(ctx, io.NewOffsetWriter(d.disk, params.Start), tree, params); err != nil {
		return 0, err
	}
	if err := d.disk.Sync(); err != nil {
		return 0, err
	}
	if err := gpt.Write(d.disk, table); err != nil {
		return 0, err
	}
	if err := errors.Join(d.disk.DropCache(), m.readBack(d.disk, size)); err != nil {
		return 0, err
	}
	d.finish()
	return size, nil
}

// zero writes zeros from a byte up to another, in steps between which it can be
// stopped.
func (d mediumDevice) zero(ctx context.Context, from, to int64) error {
	const step = 16 << 20
	for at := from; at < to; at += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.disk.Zero(at, min(step, to-at)); err != nil {
			return err
		}
	}
	return nil
}
