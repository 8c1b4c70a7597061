package gpt

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// recorder keeps what is written, with a step for each sync.
type recorder struct {
	writes []part
	failAt int // number of the call from 1 on that fails; 0 for none
	calls  int
}

var errCut = errors.New("the power is cut")

func (r *recorder) call() error {
	if r.calls++; r.calls == r.failAt {
		return errCut
	}
	return nil
}

func (r *recorder) WriteAt(b []byte, offset int64) (int, error) {
	if err := r.call(); err != nil {
		return 0, err
	}
	r.writes = append(r.writes, part{offset: offset, bytes: slices.Clone(b)})
	return len(b), nil
}

func (r *recorder) Sync() error { return r.call() }

// TestWriteErrors checks that every failure is handed on.
func TestWriteErrors(t *testing.T) {
	for n := 1; n <= 10; n++ {
		if err := Write(&recorder{failAt: n}, example(t, 512, 100*mib)); !errors.Is(err, errCut) {
			t.Errorf("call %d fails: Write: %v; want the cause", n, err)
		}
	}
	if r := (&recorder{}); Write(r, example(t, 512, 100*mib)) != nil || r.calls != 10 {
		t.Errorf("%d calls; want 10", r.calls)
	}
}

// TestPowerCut stops Write behind every sector that it writes, over disks that
// had a table or none, and looks at what Read finds one after the other: o the
// old table, n the new one, - none.
func TestPowerCut(t *testing.T) {
	const size = 100 * mib
	tests := []struct {
		name         string
		oldSector    int64
		oldSize      int64
		newSector    int64
		brokenBackup bool
		want         string
	}{
		{"blank", 0, size, 512, false, "-n"},
		{"blank, 4096", 0, size, 4096, false, "-n"},
		{"old", 512, size, 512, false, "on"},
		{"old, 4096", 4096, size, 4096, false, "on"},
		{"old of a smaller disk", 512, size / 2, 512, false, "on"},
		{"old without backup", 512, size, 512, true, "on"},
		{"old of a smaller disk without backup", 512, size / 2, 512, true, "on"},
		{"512 to 4096", 512, size, 4096, false, "o-n"},
		{"4096 to 512", 4096, size, 512, false, "on"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := imgtest.NewMemDisk(size)
			var before *Table
			if test.oldSector > 0 {
				table := Table{GUID: seed.UUID("old disk"), SectorSize: test.oldSector, DiskSize: test.oldSize,
					Partitions: []Partition{{Number: 1, Type: rootType, GUID: seed.UUID("old"), Start: mib, Size: mib}}}
				r := &recorder{}
				if err := Write(r, table); err != nil {
					t.Fatal(err)
				}
				replay(t, d, r.writes)
				table.DiskSize = size
				before = &table
				if test.brokenBackup {
					put(t, d, test.oldSize-test.oldSector, 'X')
				}
			}
			after := example(t, test.newSector, size)
			r := &recorder{}
			if err := Write(r, after); err != nil {
				t.Fatal(err)
			}
			if got := cut(t, d, r.writes, before, &after); got != test.want {
				t.Errorf("Read finds %q one after the other; want %q", got, test.want)
			}
		})
	}
}

func replay(t *testing.T, d *imgtest.MemDisk, writes []part) {
	t.Helper()
	for _, w := range writes {
		put(t, d, w.offset, w.bytes...)
	}
}

// cut replays writes sector by sector and reads the table after each.
func cut(t *testing.T, d *imgtest.MemDisk, writes []part, before, after *Table) (states string) {
	t.Helper()
	for _, w := range writes {
		for at := int64(0); at < int64(len(w.bytes)); at += after.SectorSize {
			put(t, d, w.offset+at, w.bytes[at:at+after.SectorSize]...)
			got, _, err := Read(d, d.Size())
			state := "?"
			switch {
			case err != nil:
				state = "-"
			case cmp.Equal(got, before):
				state = "o"
			case cmp.Equal(got, after):
				state = "n"
			}
			if !strings.HasSuffix(states, state) {
				states += state
			}
		}
	}
	return states
}
