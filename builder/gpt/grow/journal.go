package grow

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// write is bytes for whole sectors.
type write struct {
	lba   int64
	bytes []byte
}

// step is what is written before the next sync.
type step struct {
	name   string
	writes []write
	stays  bool // it is part of the table, not on the way to it
}

// replace brings the disk from a table to another, unless it is there already.
// Both have their partitions and the array of the old one where they are.
func replace(d Disk, old, next *table) error {
	steps, err := journal(d, old, next)
	if err != nil {
		return err
	}
	done, err := holds(d, steps)
	if err != nil || done {
		return err
	}
	for _, s := range steps {
		for _, w := range s.writes {
			if _, err := d.WriteAt(w.bytes, w.lba*d.SectorSize); err != nil {
				return fmt.Errorf("partition table: %s: %w", s.name, err)
			}
		}
		if err := d.Sync(); err != nil {
			return fmt.Errorf("partition table: %s: %w", s.name, err)
		}
	}
	return nil
}

// journal returns the steps from a table to another. After a cut in one of
// them the primary header still points to the array of the step before, which
// no step up to the next header writes to.
func journal(d Disk, old, next *table) ([]step, error) {
	spare := next.firstPartition() - d.arraySectors()
	if spare < usualArray+d.arraySectors() {
		return nil, fault.New(fault.Target, "", "partition table: the first partition starts in LBA %d; %d sectors before it are needed to change the table safely, from LBA %d on",
			spare+d.arraySectors(), d.arraySectors(), usualArray+d.arraySectors())
	}
	at := old.header.get(atArray)
	if at != usualArray && at != spare {
		return nil, fault.New(fault.Target, "", "partition table: has its entries in LBA %d, expected %d", at, usualArray)
	}
	final := next.clone()
	if at == spare {
		// The step that wrote this header has moved the limit out of the way.
		final.header.set(atFirst, usualArray+d.arraySectors())
	}
	final.header.set(atArray, usualArray)
	final.seal()
	steps := []step{backup(d, final)}
	mbr, err := protect(d, final)
	if err != nil {
		return nil, err
	}
	steps[0].writes = append(steps[0].writes, mbr...)
	if at == usualArray {
		staged := next.clone()
		staged.header.set(atArray, spare)
		staged.header.set(atFirst, max(staged.header.get(atFirst), spare+d.arraySectors()))
		staged.seal()
		steps = append(steps,
			step{"spare array", []write{{spare, staged.array}}, false},
			step{"header of the spare array", []write{{1, staged.header}}, false})
	}
	return append(steps,
		step{"primary array", []write{{usualArray, final.array}}, true},
		step{"primary header", []write{{1, final.header}}, true},
		step{"clearing the spare array", []write{{spare, make([]byte, arraySize)}}, false}), nil
}

// backup returns the step that writes the backup of a primary table.
func backup(d Disk, t *table) step {
	other, at := t.clone(), t.header.get(atOther)
	other.header.set(atSelf, at)
	other.header.set(atOther, 1)
	other.header.set(atArray, at-d.arraySectors())
	other.seal()
	return step{"backup table", []write{{at - d.arraySectors(), other.array}, {at, other.header}}, true}
}

// The protective MBR: its only partition, over the whole disk.
const (
	mbrSize       = 512
	mbrEntries    = 446
	mbrEntrySize  = 16
	mbrProtective = 0xee
)

// protect returns the write that makes the protective MBR cover the disk up to
// the backup table. One that is anything else than protective is left alone.
func protect(d Disk, t *table) ([]write, error) {
	sector, err := d.read(0, 1)
	if err != nil {
		return nil, err
	}
	var found fields
	for at := mbrEntries; at < mbrSize-2; at += mbrEntrySize {
		e := fields(sector[at : at+mbrEntrySize])
		switch {
		case bytes.Equal(e, make([]byte, mbrEntrySize)):
		case found == nil && e[4] == mbrProtective && e.get32(8) == 1:
			found = e
		default:
			return nil, nil
		}
	}
	if found == nil {
		return nil, nil
	}
	binary.LittleEndian.PutUint32(found[12:], uint32(min(t.header.get(atOther), 1<<32-1)))
	return []write{{0, sector}}, nil
}

// holds reports whether the disk has both copies of the table that steps lead
// to, and the protective MBR.
func holds(d Disk, steps []step) (bool, error) {
	for _, s := range steps {
		if !s.stays {
			continue
		}
		for _, w := range s.writes {
			got, err := d.read(w.lba, int64(len(w.bytes))/d.SectorSize)
			if err != nil || !bytes.Equal(got, w.bytes) {
				return false, err
			}
		}
	}
	return true, nil
}
