package gpt

import (
	"fmt"
	"io"
	"slices"
	"strings"

	diskfs "github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Target is what a table is written to.
type Target interface {
	io.WriterAt
	Sync() error // returns when what was written is on the disk
}

// Write writes a table: the protective MBR, then the backup array and header,
// then the primary array and header, each synced before the next. Whatever
// stops it, Read then finds the table that was there before, or the new one:
// the backup copy is whole before the primary one is touched. On a disk that
// had no table, had one for another sector size, or had no whole primary copy,
// Read may also find none.
//
// The first sector is written as a whole: boot code that was in it is gone. A
// table that does not fit the disk is refused before the first write, with an
// error of class fault.Config.
func Write(w Target, t Table) error {
	t.Partitions = slices.Clone(t.Partitions)
	t.number()
	if err := t.check(); err != nil {
		return fault.New(fault.Config, "", "partition table: %w", err)
	}
	parts, err := t.encode()
	if err != nil {
		return err
	}
	return writeParts(w, parts)
}

// part is what one step writes.
type part struct {
	name   string
	offset int64
	bytes  []byte
}

// The names of the parts, in the order in which Write writes them.
const (
	nameMBR           = "protective MBR"
	nameBackupArray   = "backup array"
	nameBackupHeader  = "backup header"
	namePrimaryArray  = "primary array"
	namePrimaryHeader = "primary header"
)

// encode returns the steps of Write in order.
func (t *Table) encode() ([]part, error) {
	table := &diskfs.Table{LogicalSectorSize: int(t.SectorSize), PhysicalSectorSize: int(t.SectorSize), GUID: strings.ToUpper(t.GUID.String())}
	for _, p := range t.Partitions {
		table.Partitions = append(table.Partitions, &diskfs.Partition{
			Index: p.Number, Type: diskfs.Type(upper(p.Type)), GUID: upper(p.GUID), Name: p.Label, Attributes: p.Attributes,
			Start: uint64(p.Start / t.SectorSize), End: uint64(p.end()/t.SectorSize - 1), Size: uint64(p.Size),
		})
	}
	collected := collector{}
	if err := table.Write(collected, t.DiskSize); err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	parts := []part{
		{nameMBR, 0, t.mbr()},
		{nameBackupArray, t.usableEnd(), nil},
		{nameBackupHeader, t.DiskSize - t.SectorSize, nil},
		{namePrimaryArray, 2 * t.SectorSize, nil},
		{namePrimaryHeader, t.SectorSize, nil},
	}
	for i := range parts[1:] {
		p := &parts[i+1]
		if p.bytes = collected[p.offset]; p.bytes == nil {
			return nil, fmt.Errorf("partition table: go-diskfs wrote no %s at byte %d", p.name, p.offset)
		}
	}
	if len(collected) != len(parts)-1 {
		return nil, fmt.Errorf("partition table: go-diskfs wrote %d parts, expected %d", len(collected), len(parts)-1)
	}
	return parts, nil
}

func upper(u ids.UUID) string { return strings.ToUpper(u.String()) }
