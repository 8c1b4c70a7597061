package grow

import (
	"errors"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// patchHeader changes the primary header and puts its checksum right.
func patchHeader(t testing.TB, m *imgtest.MemDisk, change func(fields)) {
	t.Helper()
	h, err := Disk{m, 512, m.Size()}.read(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	change(h)
	tab := table{header: h, array: make([]byte, arraySize)}
	if _, err := m.ReadAt(tab.array, 2*512); err != nil {
		t.Fatal(err)
	}
	if size := fields(h).get32(atSize); size >= minHeaderSize && size <= 512 {
		tab.seal()
	}
	if _, err := m.WriteAt(h, 512); err != nil {
		t.Fatal(err)
	}
}

// patchEntry changes an entry of the primary array.
func patchEntry(t testing.TB, m *imgtest.MemDisk, number int, change func(fields)) {
	t.Helper()
	e, at := make(fields, entrySize), int64(1024+(number-1)*entrySize)
	if _, err := m.ReadAt(e, at); err != nil {
		t.Fatal(err)
	}
	change(e)
	if _, err := m.WriteAt(e, at); err != nil {
		t.Fatal(err)
	}
	patchHeader(t, m, func(fields) {})
}

// TestRefusals demands an error of the right class, and not one write, where a
// table cannot be changed.
func TestRefusals(t *testing.T) {
	const size = 200 * mib
	header := func(at int, value int64) func(testing.TB, *imgtest.MemDisk) {
		return func(t testing.TB, m *imgtest.MemDisk) { patchHeader(t, m, func(h fields) { h.set(at, value) }) }
	}
	entry := func(number, at int, value int64) func(testing.TB, *imgtest.MemDisk) {
		return func(t testing.TB, m *imgtest.MemDisk) {
			patchEntry(t, m, number, func(e fields) { e.set(at, value) })
		}
	}
	raw := func(at int64) func(testing.TB, *imgtest.MemDisk) {
		return func(t testing.TB, m *imgtest.MemDisk) {
			if _, err := m.WriteAt([]byte{0xff}, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		change func(testing.TB, *imgtest.MemDisk)
		number int
		sector int64
		size   int64
		class  fault.Class
		want   string
	}{
		{"sector size", nil, root, 1024, size, fault.Target, "sectors of 1024 bytes"},
		{"odd size", nil, root, 512, size + 1, fault.Target, "disk of 209715201 bytes"},
		{"tiny", nil, root, 512, mib - 512, fault.Target, "disk of 1048064 bytes"},
		{"huge", nil, root, 512, maxSize + 512, fault.Target, "expected a multiple of 512"},
		{"smaller disk", nil, root, 512, 100*mib - 512, fault.Target, "made for a disk of 204800 sectors, this one has 204799"},
		{"shorter than it says", nil, root, 512, size + 512, fault.Input, "the disk ends at byte 209715200"},
		{"other sector size", nil, root, 4096, size, fault.Input, "no primary header"},
		{"no signature", raw(512), root, 512, size, fault.Input, "no primary header"},
		{"header checksum", raw(512 + 60), root, 512, size, fault.Input, "checksum of the header"},
		{"entries checksum", raw(1024 + 500), root, 512, size, fault.Input, "checksum of the entries"},
		{"header size", raw(512 + 13), root, 512, size, fault.Input, "size of the header 65372"},
		{"revision", header(atRevision, 2|92<<32), root, 512, size, fault.Input, "revision 0x2,"},
		{"self", header(atSelf, 2), root, 512, size, fault.Input, "header in LBA 2"},
		{"entry count", header(atEntries, 127|128<<32), root, 512, size, fault.Input, "127 entries of 128 bytes"},
		{"entry size", header(atEntries, 128|256<<32), root, 512, size, fault.Input, "128 entries of 256 bytes"},
		{"other copy inside", header(atOther, 204798), root, 512, size, fault.Input, "gives LBA 34 to 204766 to partitions, expected 34 to 204765"},
		{"other copy negative", header(atOther, -1), root, 512, size, fault.Input, "gives LBA"},
		{"other copy far", header(atOther, 1<<62), root, 512, size, fault.Target, "made for a disk of"},
		{"first", header(atFirst, 33), root, 512, size, fault.Input, "gives LBA 33 to"},
		{"first negative", header(atFirst, -34), root, 512, size, fault.Input, "gives LBA -34 to"},
		{"first behind last", header(atFirst, 204767), root, 512, size, fault.Input, "gives LBA 204767 to"},
		{"last", header(atLast, 1<<63-1), root, 512, size, fault.Input, "gives LBA 34 to 9223372036854775807"},
		{"array", header(atArray, 1), root, 512, size, fault.Input, "entries in LBA 1,"},
		{"array behind", header(atArray, 3), root, 512, size, fault.Input, "entries in LBA 3, expected 2 to 2"},
		{"partition outside", entry(2, atEntryLast, 204767), root, 512, size, fault.Input, "partition 2: LBA 133120 to 204767"},
		{"partition before", entry(1, atEntryFirst, 33), root, 512, size, fault.Input, "partition 1: LBA 33 to"},
		{"partition backwards", entry(2, atEntryLast, 133119), root, 512, size, fault.Input, "partition 2: LBA 133120 to 133119"},
		{"number 0", nil, 0, 512, size, fault.Target, "partition 0: not in the table"},
		{"number 3", nil, 3, 512, size, fault.Target, "partition 3: not in the table"},
		{"number 129", nil, 129, 512, size, fault.Target, "partition 129: not in the table"},
		{"not the last", nil, 1, 512, size, fault.Target, "partition 2 stands behind it"},
		{"overlap", entry(1, atEntryLast, 133120), root, 512, size, fault.Target, "partition 1 stands behind it"},
		{"no room", entry(1, atEntryFirst, 65), root, 512, size, fault.Target, "32 sectors before it are needed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := written(t, example(512), size)
			if test.change != nil {
				test.change(t, m)
			}
			before := m.Clone()
			_, err := Grow(Disk{m, test.sector, test.size}, test.number)
			if err == nil || fault.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Grow: class %d, %v; want class %d, %q", fault.ClassOf(err), err, test.class, test.want)
			}
			if !m.Equal(before) {
				t.Errorf("the disk was written to")
			}
		})
	}
}

// TestRoomOfOneArray grows with just the room that is needed before the first
// partition.
func TestRoomOfOneArray(t *testing.T) {
	m := written(t, example(512), 200*mib)
	patchEntry(t, m, 1, func(e fields) { e.set(atEntryFirst, 66) })
	if _, err := Grow(Disk{m, 512, 200 * mib}, root); err != nil {
		t.Fatal(err)
	}
	if p := read(t, m).Partitions[0]; p.Start != 66*512 {
		t.Errorf("the ESP starts at byte %d; want %d", p.Start, 66*512)
	}
}

// broken fails one of its calls.
type broken struct {
	*imgtest.MemDisk
	failAt, calls int
}

var errBroken = errors.New("the disk does not answer")

func (b *broken) call() error {
	if b.calls++; b.calls == b.failAt {
		return errBroken
	}
	return nil
}

func (b *broken) ReadAt(p []byte, off int64) (int, error) {
	if err := b.call(); err != nil {
		return 0, err
	}
	return b.MemDisk.ReadAt(p, off)
}

func (b *broken) WriteAt(p []byte, off int64) (int, error) {
	if err := b.call(); err != nil {
		return 0, err
	}
	return b.MemDisk.WriteAt(p, off)
}

func (b *broken) Sync() error { return b.call() }

// TestErrors checks that every failure of the disk is handed on, as one that
// is nobody's decision.
func TestErrors(t *testing.T) {
	n := 1
	for ; ; n++ {
		b := &broken{MemDisk: written(t, example(512), 200*mib), failAt: n}
		_, err := Grow(Disk{b, 512, 200 * mib}, root)
		if b.calls < n {
			break
		}
		if !errors.Is(err, errBroken) || fault.ClassOf(err) != fault.Internal {
			t.Errorf("call %d fails: Grow: %v; want the cause", n, err)
		}
	}
	if n < 18 {
		t.Errorf("%d calls could fail; want more", n-1)
	}
}
