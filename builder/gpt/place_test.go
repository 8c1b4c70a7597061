package gpt

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// TestPlace gives partitions by start and size.
func TestPlace(t *testing.T) {
	const behind = 33 * 512 // the backup table
	tests := []struct {
		name       string
		sectorSize int64
		disk       int64
		in         [][2]int64
		want       [][2]int64 // nil: an error
		wantDisk   int64
		err        string
	}{
		{"two, smallest", 512, 0, [][2]int64{{0, 64 * mib}, {0, 100}}, [][2]int64{{mib, 64 * mib}, {65 * mib, 512}}, 66 * mib, ""},
		{"ends at an alignment", 512, 0, [][2]int64{{0, 2 * mib}}, [][2]int64{{mib, 2 * mib}}, 4 * mib, ""},
		{"backup just fits", 512, 0, [][2]int64{{0, 2*mib - behind}}, [][2]int64{{mib, 2*mib - behind}}, 3 * mib, ""},
		{"backup just not", 512, 0, [][2]int64{{0, 2*mib - behind + 1}}, [][2]int64{{mib, 2*mib - behind + 512}}, 4 * mib, ""},
		{"rest", 512, 100 * mib, [][2]int64{{0, 10 * mib}, {0, 0}}, [][2]int64{{mib, 10 * mib}, {11 * mib, 88 * mib}}, 100 * mib, ""},
		{"rest, odd disk", 512, 100*mib + behind, [][2]int64{{0, 0}}, [][2]int64{{mib, 99 * mib}}, 100*mib + behind, ""},
		{"rest of one MiB", 512, 2*mib + behind, [][2]int64{{0, 0}}, [][2]int64{{mib, mib}}, 2*mib + behind, ""},
		{"rest of less", 512, 2*mib + behind - 512, [][2]int64{{0, 0}}, nil, 0, "needs 2114048 bytes, the disk has 2113536"},
		{"just fits", 512, 9*mib + behind, [][2]int64{{0, 8 * mib}}, [][2]int64{{mib, 8 * mib}}, 9*mib + behind, ""},
		{"just not", 512, 9*mib + behind - 512, [][2]int64{{0, 8 * mib}}, nil, 0, "needs 9454080 bytes, the disk has 9453568"},
		{"given starts", 512, 0, [][2]int64{{34 * 512, 512}, {3 * mib, mib}}, [][2]int64{{34 * 512, 512}, {3 * mib, mib}}, 5 * mib, ""},
		{"start in the table", 512, 0, [][2]int64{{33 * 512, 512}}, nil, 0, "starts at byte 16896, expected it at byte 17408 or later"},
		{"start before the end", 512, 0, [][2]int64{{mib, mib}, {2*mib - 512, mib}}, nil, 0, "expected it at byte 2097152"},
		{"start odd", 512, 0, [][2]int64{{mib + 1, mib}}, nil, 0, "expected a multiple of 512"},
		{"4096", 4096, 0, [][2]int64{{0, 1}}, [][2]int64{{mib, 4096}}, 2 * mib, ""},
		{"4096 odd start", 4096, 0, [][2]int64{{mib + 512, 1}}, nil, 0, "expected a multiple of 4096"},
		{"no size, not last", 512, 100 * mib, [][2]int64{{0, 0}, {0, mib}}, nil, 0, "has no size"},
		{"no size, no disk", 512, 0, [][2]int64{{0, 0}}, nil, 0, "has no size"},
		{"negative", 512, 0, [][2]int64{{0, -1}}, nil, 0, "-1 bytes at byte 0"},
		{"huge", 512, 0, [][2]int64{{0, 1 << 60}, {0, 1 << 60}}, nil, 0, "expected it to end before byte"},
		{"sector size", 1024, 0, nil, nil, 0, "sectors of 1024 bytes"},
		{"odd disk", 512, 100*mib + 1, [][2]int64{{0, mib}}, nil, 0, "expected a multiple of 512"},
		{"none", 512, 0, nil, [][2]int64{}, mib, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := Table{GUID: seed.UUID("d"), SectorSize: test.sectorSize, DiskSize: test.disk}
			for i, p := range test.in {
				in.Partitions = append(in.Partitions, Partition{Type: rootType, GUID: seed.UUID(strings.Repeat("x", i)), Start: p[0], Size: p[1]})
			}
			got, err := Place(in)
			if test.want == nil {
				if err == nil || !strings.Contains(err.Error(), test.err) || fault.ClassOf(err) == fault.Internal {
					t.Errorf("Place: %v; want %q", err, test.err)
				}
				return
			}
			if err != nil || got.DiskSize != test.wantDisk {
				t.Fatalf("Place: disk of %d bytes, %v; want %d", got.DiskSize, err, test.wantDisk)
			}
			for i, p := range got.Partitions {
				if [2]int64{p.Start, p.Size} != test.want[i] || p.Number != i+1 {
					t.Errorf("partition %d: %d bytes at byte %d; want %v", p.Number, p.Size, p.Start, test.want[i])
				}
			}
			if len(in.Partitions) > 0 && in.Partitions[0].Number != 0 {
				t.Errorf("Place changed its argument")
			}
		})
	}
}

// TestWriteRefuses breaks a good table: nothing is written.
func TestWriteRefuses(t *testing.T) {
	tests := []struct {
		name string
		do   func(*Table)
		want string
	}{
		{"disk GUID", func(t *Table) { t.GUID = ids.UUID{} }, "GUID of the disk is zero"},
		{"type", func(t *Table) { t.Partitions[0].Type = ids.UUID{} }, "partition 1: type 00000000"},
		{"GUID", func(t *Table) { t.Partitions[1].GUID = ids.UUID{} }, "partition 2: type"},
		{"same GUID", func(t *Table) { t.Partitions[1].GUID = t.Partitions[0].GUID }, "partitions 1 and 2 have the same GUID"},
		{"same number", func(t *Table) { t.Partitions[1].Number = 1 }, "there are two partitions 1"},
		{"number", func(t *Table) { t.Partitions[1].Number = 129 }, "partition 129: expected a number"},
		{"overlap", func(t *Table) { t.Partitions[1].Start -= 512 }, "partitions 1 and 2 overlap"},
		{"past the end", func(t *Table) { t.Partitions[1].Size += mib }, "up to byte"},
		{"in the table", func(t *Table) { t.Partitions[0].Start = 33 * 512 }, "expected it from byte 17408"},
		{"far away", func(t *Table) { t.Partitions[0].Start = 1<<63 - 512 }, "up to byte"},
		{"empty", func(t *Table) { t.Partitions[0].Size = 0 }, "partition 1: 0 bytes"},
		{"half a sector", func(t *Table) { t.Partitions[0].Size -= 256 }, "expected multiples of 512"},
		{"label of 37", func(t *Table) { t.Partitions[0].Label = strings.Repeat("\U0001f600", 18) + "x" }, "37 UTF-16 units, expected at most 36"},
		{"label no text", func(t *Table) { t.Partitions[0].Label = "\xff" }, "expected UTF-8"},
		{"label with NUL", func(t *Table) { t.Partitions[0].Label = "a\x00" }, "expected UTF-8 without NUL"},
		{"small disk", func(t *Table) { t.DiskSize = 67 * 512 }, "needs at least 34816"},
		{"negative disk", func(t *Table) { t.DiskSize = -512 }, "needs at least"},
		{"no sector size", func(t *Table) { t.SectorSize = 0 }, "sectors of 0 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := example(t, 512, 100*mib)
			test.do(&table)
			d := &recorder{}
			err := Write(d, table)
			if fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), test.want) || len(d.writes) > 0 {
				t.Errorf("Write: %v, %d writes; want %q and none", err, len(d.writes), test.want)
			}
		})
	}
	table := example(t, 512, 100*mib)
	table.Partitions[0].Label = strings.Repeat("\U0001f600", 18)
	if got, problems, err := Read(write(t, table), table.DiskSize); err != nil || len(problems) > 0 || got.Partitions[0].Label != table.Partitions[0].Label {
		t.Errorf("a label of 36 units: %v, %v", problems, err)
	}
	smallest := Table{GUID: seed.UUID("d"), SectorSize: 512, DiskSize: 68 * 512}
	if _, problems, err := Read(write(t, smallest), smallest.DiskSize); err != nil || len(problems) > 0 {
		t.Errorf("the smallest disk: %v, %v", problems, err)
	}
}
