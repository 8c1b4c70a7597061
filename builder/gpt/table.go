package gpt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Figures of the specification, as everybody uses them.
const (
	maxPartitions = 128 // entries of the array
	entrySize     = 128 // bytes of one
	arraySize     = maxPartitions * entrySize
	maxLabel      = 36 // UTF-16 units
)

// Table is a partition table.
type Table struct {
	GUID       ids.UUID // of the disk
	SectorSize int64    // bytes: 512 or 4096
	DiskSize   int64    // bytes, a multiple of SectorSize
	Partitions []Partition
}

// Partition is one partition. Bytes count from the start of the disk.
type Partition struct {
	Number     int      // 1 to 128; in what Write and Place take, 0 stands for the place in Partitions
	Type       ids.UUID // of the Discoverable Partitions Specification, for ours
	GUID       ids.UUID // PARTUUID
	Label      string   // PARTLABEL, up to 36 UTF-16 units
	Start      int64    // bytes, a multiple of the sector size
	Size       int64    // bytes, a multiple of the sector size
	Attributes uint64   // bits as the specification numbers them
}

// end returns the byte behind a partition.
func (p *Partition) end() int64 { return p.Start + p.Size }

// arraySectors returns the sectors of the array of entries.
func (t *Table) arraySectors() int64 { return arraySize / t.SectorSize }

// firstUsable returns the byte from which on partitions can stand: behind the
// protective MBR, the header and the array.
func (t *Table) firstUsable() int64 { return (2 + t.arraySectors()) * t.SectorSize }

// usableEnd returns the byte behind the last one that a partition can have.
func (t *Table) usableEnd() int64 { return t.DiskSize - (1+t.arraySectors())*t.SectorSize }

// number fills in the numbers that are 0.
func (t *Table) number() {
	for i := range t.Partitions {
		if t.Partitions[i].Number == 0 {
			t.Partitions[i].Number = i + 1
		}
	}
}

// check returns what is wrong with the shape of the table and its partitions.
// They have their numbers.
func (t *Table) check() error {
	if t.SectorSize != 512 && t.SectorSize != 4096 {
		return fmt.Errorf("sectors of %d bytes, expected 512 or 4096", t.SectorSize)
	}
	switch least := t.firstUsable() + t.SectorSize + (1+t.arraySectors())*t.SectorSize; {
	case t.DiskSize%t.SectorSize != 0:
		return fmt.Errorf("disk of %d bytes, expected a multiple of %d", t.DiskSize, t.SectorSize)
	case t.DiskSize < least:
		return fmt.Errorf("disk of %d bytes, a partition table needs at least %d", t.DiskSize, least)
	case t.GUID.IsZero():
		return fmt.Errorf("the GUID of the disk is zero")
	}
	for i := range t.Partitions {
		if err := t.checkPartition(&t.Partitions[i]); err != nil {
			return fmt.Errorf("partition %d: %w", t.Partitions[i].Number, err)
		}
	}
	return t.checkPairs()
}

// checkPartition checks a partition by itself.
func (t *Table) checkPartition(p *Partition) error {
	switch {
	case p.Number < 1 || p.Number > maxPartitions:
		return fmt.Errorf("expected a number from 1 to %d", maxPartitions)
	case p.Type.IsZero() || p.GUID.IsZero():
		return fmt.Errorf("type %s, GUID %s, expected neither to be zero", p.Type, p.GUID)
	case p.Start%t.SectorSize != 0 || p.Size%t.SectorSize != 0:
		return fmt.Errorf("%d bytes at byte %d, expected multiples of %d", p.Size, p.Start, t.SectorSize)
	case p.Start < t.firstUsable() || p.Size <= 0 || p.Start >= t.usableEnd() || p.Size > t.usableEnd()-p.Start:
		return fmt.Errorf("%d bytes at byte %d, expected it from byte %d up to byte %d", p.Size, p.Start, t.firstUsable(), t.usableEnd())
	}
	return checkLabel(p.Label)
}

func checkLabel(label string) error {
	if !utf8.ValidString(label) || strings.ContainsRune(label, 0) {
		return fmt.Errorf("label %q: expected UTF-8 without NUL", label)
	}
	if n := len(utf16.Encode([]rune(label))); n > maxLabel {
		return fmt.Errorf("label %q: %d UTF-16 units, expected at most %d", label, n, maxLabel)
	}
	return nil
}

// checkPairs checks that no partitions overlap or share a number or GUID.
func (t *Table) checkPairs() error {
	byGUID, byNumber := map[ids.UUID]int{}, map[int]bool{}
	for _, p := range t.Partitions {
		if other, taken := byGUID[p.GUID]; taken {
			return fmt.Errorf("partitions %d and %d have the same GUID %s", other, p.Number, p.GUID)
		}
		if byNumber[p.Number] {
			return fmt.Errorf("there are two partitions %d", p.Number)
		}
		byGUID[p.GUID], byNumber[p.Number] = p.Number, true
	}
	sorted := slices.SortedFunc(slices.Values(t.Partitions), func(a, b Partition) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(sorted); i++ {
		if a, b := &sorted[i-1], &sorted[i]; a.end() > b.Start {
			return fmt.Errorf("partitions %d and %d overlap: one ends before byte %d, the other starts at byte %d", a.Number, b.Number, a.end(), b.Start)
		}
	}
	return nil
}
