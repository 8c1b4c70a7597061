package installer

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// after is what a disk holds after a power cut: all that was synced, and some of
// the writes that were not.
type after struct {
	synced *imgtest.MemDisk
	some   []op
}

// ReadAt implements io.ReaderAt.
func (a after) ReadAt(p []byte, off int64) (int, error) {
	n, err := a.synced.ReadAt(p, off)
	for _, o := range a.some {
		from, to := max(o.off, off), min(o.off+int64(len(o.data)), off+int64(n))
		if from < to {
			copy(p[from-off:to-off], o.data[from-o.off:])
		}
	}
	return n, err
}

// eachCut calls visit for every state in which a power cut can leave a disk: at
// each write, with none, with all, with any one and with all but any one of the
// writes since the last sync. started says whether one was synced at all.
func eachCut(base *imgtest.MemDisk, ops []op, visit func(a after, started bool)) (cuts int) {
	synced, started := base.Clone(), false
	var open []op
	look := func(some ...op) {
		cuts++
		visit(after{synced, some}, started)
	}
	for _, o := range ops {
		if o.data == nil {
			for _, w := range open {
				synced.WriteAt(w.data, w.off)
			}
			open, started = nil, true
			look()
			continue
		}
		open = append(open, o)
		look(open...)
		look(o)
		for i := range open[:len(open)-1] {
			look(slices.Delete(slices.Clone(open), i, i+1)...)
		}
	}
	return cuts
}

// TestFreshCut cuts an installation after every write, onto a disk that had a
// system: there is never a system that is not whole.
func TestFreshCut(t *testing.T) {
	m := makeMedium(t).open(t, nil)
	d := newDisk(4 << 30)
	old, err := install(t, m, d, ids.Seed{7})
	if err != nil {
		t.Fatal(err)
	}
	base := d.mem.Clone()
	d.ops = nil
	f, err := install(t, m, d, ids.Seed{8})
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	cuts := eachCut(base, d.ops, func(a after, started bool) {
		table, _, err := gpt.Read(a, d.Size())
		switch {
		case err != nil || len(table.Partitions) == 0:
		case table.GUID == f.Table.GUID:
			whole++
			if err := f.whole(t.Context(), a); err != nil {
				t.Errorf("the new table is there, but not all of the system: %v", err)
			}
		case started || table.GUID != old.Table.GUID:
			t.Errorf("after the first sync there is a table %s with %d partitions", table.GUID, len(table.Partitions))
		}
	})
	t.Logf("%d cuts, %d of them with the whole system", cuts, whole)
	if whole == 0 || whole == cuts {
		t.Errorf("%d of %d cuts leave the whole system", whole, cuts)
	}
}

// whole returns what is missing of an installation.
func (f *Fresh) whole(ctx context.Context, r io.ReaderAt) error {
	return readBack(ctx, r, f.written, nil)
}
