package gpt

import (
	"errors"
	"fmt"
	"slices"
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

// TestPowerCut stops Write behind every sector that it writes, over a disk that
// had another table, of either sector size, or none. Read finds the old table,
// the new one, or none only if there was none or the sector size changes.
func TestPowerCut(t *testing.T) {
	const size = 100 * mib
	for _, oldSector := range []int64{0, 512, 4096} {
		for _, newSector := range []int64{512, 4096} {
			t.Run(fmt.Sprintf("%d to %d", oldSector, newSector), func(t *testing.T) {
				old := imgtest.NewMemDisk(size)
				var before *Table
				if oldSector > 0 {
					table := example(t, oldSector, size)
					table.GUID, table.Partitions = seed.UUID("old disk"), table.Partitions[:1]
					before, old = &table, write(t, table)
				}
				after := example(t, newSector, size)
				r := &recorder{}
				if err := Write(r, after); err != nil {
					t.Fatal(err)
				}
				cut(t, old, r.writes, before, &after, newSector)
			})
		}
	}
}

// cut replays writes sector by sector, and each of them in part, and reads the
// table after each.
func cut(t *testing.T, d *imgtest.MemDisk, writes []part, before, after *Table, sector int64) {
	states := ""
	for _, w := range writes {
		for at := int64(0); at < int64(len(w.bytes)); at += sector {
			if _, err := d.WriteAt(w.bytes[at:at+sector], w.offset+at); err != nil {
				t.Fatal(err)
			}
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
			if len(states) == 0 || states[len(states)-1:] != state {
				states += state
			}
		}
	}
	allowed := []string{"on"}
	switch {
	case before == nil:
		allowed = []string{"-n"}
	case before.SectorSize != after.SectorSize:
		allowed = []string{"on", "o-n"}
	}
	if !slices.Contains(allowed, states) {
		t.Errorf("Read finds %q one after the other (o old, n new, - none); want one of %q", states, allowed)
	}
}
