package bootrepair

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// TableState says what is left of a table of partitions.
type TableState string

// The states.
const (
	TableWhole   TableState = "whole"
	TableDamaged TableState = "damaged" // one copy is whole, the rest comes from it
	TableLost    TableState = "lost"    // both copies: it was made again of what is on the disk
)

// TableFound is what InspectTable has found: the table that is or will be on the disk.
type TableFound struct {
	State    TableState
	Table    gpt.Table
	Problems []gpt.Problem // of a table that is damaged
	Found    []FileSystem  // that a table that was lost was made of
	Lost     string        // why no copy could be read
	Notes    []string      // what whoever decides should know
}

// The size of an ESP, in bytes, as layouts have it.
const (
	minESP = 64 << 20
	maxESP = 4 << 30
)

// InspectTable reads the table of a disk. Of one that is damaged it takes the copy that is
// whole; where none is, it looks for the file systems of an installed system on all of the
// disk, and places partitions around them: the identities are those that the system knows,
// and what it does not say comes from seed, which is of this repair alone. Nothing is
// written.
//
// A disk on which there is not just the ESP and the btrfs of one system is refused with an
// error of class fault.Target that names what is there.
func InspectTable(ctx context.Context, d Disk, seed ids.Seed, progress Progress) (*TableFound, error) {
	table, problems, err := gpt.Read(d, usable(d))
	switch {
	case err == nil && len(problems) > 0:
		return &TableFound{State: TableDamaged, Table: *table, Problems: problems}, nil
	case err == nil:
		return &TableFound{State: TableWhole, Table: *table}, nil
	case fault.ClassOf(err) != fault.Input:
		return nil, err
	}
	if err := checkMBR(d); err != nil {
		return nil, err
	}
	found, unread, scanErr := scan(ctx, d, usable(d), progress)
	if scanErr != nil {
		return nil, scanErr
	}
	t := &TableFound{State: TableLost, Found: found, Lost: err.Error()}
	if unread > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("%d places of the disk could not be read: it fails", unread))
	}
	return t, t.rebuild(d, seed)
}

// RepairTable writes the table that InspectTable has found, unless it is whole.
func RepairTable(d Disk, t *TableFound) error {
	switch t.State {
	case TableDamaged:
		return gpt.Repair(d, t.Table, t.Problems)
	case TableLost:
		return gpt.Write(d, t.Table)
	}
	return nil
}

// checkMBR refuses a disk with partitions in an MBR: its owner uses it in another way.
func checkMBR(d Disk) error {
	const entries, entrySize, protective = 446, 16, 0xee
	raw := make([]byte, 512)
	if whole, err := readFull(d, raw, 0); err != nil || !whole {
		return err
	}
	if raw[510] != 0x55 || raw[511] != 0xaa {
		return nil
	}
	for i := range 4 {
		e := raw[entries+i*entrySize:][:entrySize]
		if kind := e[4]; kind != 0 && kind != protective && binary.LittleEndian.Uint32(e[12:]) != 0 {
			return fault.New(fault.Target, "name the disk of the system", "partition table: there is an MBR with a partition of type %#02x, expected a lost GPT", kind)
		}
	}
	return nil
}

// rebuild places partitions around what was found.
func (t *TableFound) rebuild(d Disk, seed ids.Seed) error {
	esp, root, err := t.pick()
	if err != nil {
		return err
	}
	fsys, err := reader.Open(section(d, root.Start, root.Size), root.Size)
	if err != nil {
		return fault.New(fault.Target, "", "%s: %w", root, err)
	}
	s, err := openSystem(fsys)
	if err != nil {
		return fault.New(fault.Target, fault.HintOf(err), "%s: %w", root, err)
	}
	var files *espreader.FS
	first := gpt.Partition{Start: gpt.Alignment, Size: root.Start - gpt.Alignment}
	if esp != nil {
		first.Start, first.Size = esp.Start, min(alignUp(esp.Size), root.Start-esp.Start)
		if files, err = espreader.Open(section(d, esp.Start, esp.Size), esp.Size); err != nil {
			return err
		}
	} else {
		t.Notes = append(t.Notes, "there is no FAT32 before the root: the ESP gets all of that room, and its file system has to be made")
	}
	n := namesOf(s, files, root, seed)
	t.Notes = append(t.Notes, n.notes...)
	first.Type, first.GUID, first.Label = plan.TypeESP, n.esp, n.espLabel
	size := alignUp(root.Size)
	if root.Start+size > usable(d)-gpt.Alignment { // somebody else's, which ends in the last MiB
		size = root.Size
	}
	t.Table = gpt.Table{GUID: seed.UUID(nameDisk), SectorSize: d.SectorSize(), DiskSize: usable(d), Partitions: []gpt.Partition{
		first, {Type: plan.TypeRootX86_64, GUID: n.root, Label: n.rootLabel, Start: root.Start, Size: size},
	}}
	if t.Table, err = gpt.Place(t.Table); err != nil {
		return fault.New(fault.Target, "", "%w", err)
	}
	if rest := usable(d) - root.end(); rest >= maxESP {
		t.Notes = append(t.Notes, fmt.Sprintf("%d bytes behind the file system are free: its partition may have been larger", rest))
	}
	return nil
}

// pick returns the ESP, nil where there is none, and the root of the only system that can
// have been on the disk.
func (t *TableFound) pick() (esp *FileSystem, root FileSystem, err error) {
	var fats, roots []FileSystem
	for _, f := range t.Found {
		if f.Kind == kindFAT {
			fats = append(fats, f)
		} else {
			roots = append(roots, f)
		}
	}
	refuse := func(expected string) error {
		var list []string
		for _, f := range t.Found {
			list = append(list, f.String())
		}
		if list == nil {
			list = []string{"no FAT32 and no btrfs"}
		}
		return fault.New(fault.Target, "name the disk of the system; another one's table is for its own tools",
			"partition table: %s; on the disk: %s; expected %s", t.Lost, strings.Join(list, "; "), expected)
	}
	if len(roots) != 1 {
		return nil, root, refuse("one btrfs file system, of an installed system")
	}
	root = roots[0]
	if len(fats) > 1 {
		return nil, root, refuse("one ESP")
	}
	room := root.Start - gpt.Alignment
	if len(fats) == 1 {
		esp = &fats[0]
		room = root.Start - esp.Start
		if esp.Start > root.Start || esp.end() > root.Start {
			return nil, root, refuse("the ESP before the btrfs file system")
		}
	}
	if room < minESP || room > maxESP {
		return nil, root, refuse(fmt.Sprintf("%d to %d bytes for the ESP before the btrfs file system", minESP, int64(maxESP)))
	}
	return esp, root, nil
}

// errNoPartition is in the errors of a table that lacks a partition.
var errNoPartition = errors.New("no such partition")

// partitions returns the ESP and the partition of the root of a table: that of the type of
// a root, or the only one with btrfs.
func (t *TableFound) partitions(d Disk) (esp, root *gpt.Partition, err error) {
	var typed, others []*gpt.Partition
	for i := range t.Table.Partitions {
		p := &t.Table.Partitions[i]
		switch {
		case p.Type == plan.TypeESP:
			if esp != nil {
				return nil, nil, fault.New(fault.Target, "", "partitions %d and %d are both ESPs, expected one", esp.Number, p.Number)
			}
			esp = p
		case p.Type == plan.TypeRootX86_64:
			typed = append(typed, p)
		default:
			if _, err := reader.Open(section(d, p.Start, p.Size), p.Size); err == nil {
				others = append(others, p)
			}
		}
	}
	if len(typed) == 0 {
		typed = others
	}
	switch {
	case len(typed) == 0:
		return esp, nil, fault.New(fault.Target, "name the disk of the system", "root partition: %w among %d", errNoPartition, len(t.Table.Partitions))
	case len(typed) > 1:
		return esp, nil, fault.New(fault.Target, "", "partitions %d and %d may both have the system, expected one", typed[0].Number, typed[1].Number)
	}
	return esp, typed[0], nil
}
