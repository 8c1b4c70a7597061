package gpt

import (
	"errors"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestRepair damages a table, repairs it with the power cut behind every sector, and
// looks that it can be read at every instant.
func TestRepair(t *testing.T) {
	tests := []struct {
		name   string
		damage func(d *imgtest.MemDisk)
		size   int64
		writes int
	}{
		{"whole", func(*imgtest.MemDisk) {}, testDisk, 0},
		{"first MiB", func(d *imgtest.MemDisk) { put(t, d, 0, make([]byte, mib)...) }, testDisk, 3},
		{"MBR", func(d *imgtest.MemDisk) { put(t, d, 510, 0) }, testDisk, 1},
		{"primary array", func(d *imgtest.MemDisk) { put(t, d, 1024+40, 1) }, testDisk, 3},
		{"backup header", func(d *imgtest.MemDisk) { put(t, d, testDisk-512, 'X') }, testDisk, 5},
		{"a larger disk", func(*imgtest.MemDisk) {}, 2 * testDisk, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := example(t, 512, testDisk)
			d := imgtest.NewMemDisk(tt.size)
			if err := Write(d, want); err != nil {
				t.Fatal(err)
			}
			tt.damage(d)
			want.DiskSize = tt.size
			table, problems, err := Read(d, tt.size)
			if err != nil {
				t.Fatal(err)
			}
			r := &recorder{}
			if err := Repair(r, *table, problems); err != nil || len(r.writes) != tt.writes {
				t.Fatalf("%d writes, %v; want %d", len(r.writes), err, tt.writes)
			}
			if states := cut(t, d, r.writes, nil, &want); strings.Contains(states, "-") || strings.Contains(states, "?") {
				t.Errorf("Read finds %q one after the other; want the table at every instant", states)
			}
			if _, problems, err := Read(d, tt.size); err != nil || len(problems) > 0 {
				t.Errorf("afterwards: %v, %v", problems, err)
			}
		})
	}
}

func TestRepairErrors(t *testing.T) {
	table := example(t, 512, testDisk)
	primary := []Problem{{Part: PartPrimary}}
	for n := 1; n <= 6; n++ {
		if err := Repair(&recorder{failAt: n}, table, primary); !errors.Is(err, errCut) {
			t.Errorf("call %d fails: %v; want the cause", n, err)
		}
	}
	r := &recorder{}
	if err := Repair(r, table, append(primary, Problem{Part: PartBackup})); fault.ClassOf(err) != fault.Input || r.calls > 0 {
		t.Errorf("both copies damaged: %d calls, %v; want none and an error", r.calls, err)
	}
	table.Partitions[0].Start = 512
	if err := Repair(r, table, primary); fault.ClassOf(err) != fault.Config || r.calls > 0 {
		t.Errorf("a partition over the table: %d calls, %v; want none and an error", r.calls, err)
	}
}
