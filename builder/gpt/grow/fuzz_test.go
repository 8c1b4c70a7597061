package grow

import (
	"bytes"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// headSize is what a fuzzed disk starts with: the MBR, the header and the array
// of a table for sectors of 512 bytes.
const headSize = 1024 + arraySize

// fuzzSeeds are starts of disks: a table, one whose array is in the spare
// place, and one that is refused late.
func fuzzSeeds(t testing.TB) [][]byte {
	head := func(m *imgtest.MemDisk) []byte {
		b := make([]byte, headSize)
		if _, err := m.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		return b
	}
	plain := written(t, example(512), 200*mib)
	seeds := [][]byte{head(plain)}
	crowded := plain.Clone()
	patchEntry(t, crowded, 1, func(e fields) { e.set(atEntryFirst, 65) })
	return append(seeds, head(crowded), seeds[0][:headSize-1], nil)
}

// grows puts a start on a disk, with checksums put right when seal is set, and
// grows a partition. What it demands: an error of a known class and no write,
// or a whole primary table that differs in the end of the partition alone. It
// reports whether the partition was grown.
func grows(t *testing.T, start []byte, number int, seal bool) bool {
	start = append(bytes.Clone(start), make([]byte, headSize)...)[:headSize]
	if tab := (&table{start[512:1024], start[1024:]}); seal && tab.header.get32(atSize) <= 512 && tab.header.get32(atSize) >= minHeaderSize {
		tab.seal()
	}
	m := imgtest.NewMemDisk(200 * mib)
	if _, err := m.WriteAt(start, 0); err != nil {
		t.Fatal(err)
	}
	before := m.Clone()
	p, err := Grow(Disk{m, 512, m.Size()}, number)
	if err != nil {
		if class := fault.ClassOf(err); class != fault.Input && class != fault.Target || !m.Equal(before) {
			t.Fatalf("Grow: class %d, %v; the disk was changed: %v", class, err, !m.Equal(before))
		}
		return false
	}
	got := kernelTable(t, m, 512)
	want := bytes.Clone(start[1024:])
	fields(want[(number-1)*entrySize:]).set(atEntryLast, (p.Start+p.Size)/512-1)
	if p.Start+p.Size > m.Size() || !bytes.Equal(got, want) {
		t.Fatalf("Grow = %v: the entries are others than that end says", p)
	}
	return true
}

func FuzzGrow(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed, 2, true)
		f.Add(seed, 1, false)
	}
	f.Fuzz(func(t *testing.T, start []byte, number int, seal bool) { grows(t, start, number, seal) })
}

// TestFuzzSeeds keeps the fuzz target honest: a seed gets through to the end,
// and others do not.
func TestFuzzSeeds(t *testing.T) {
	seeds := fuzzSeeds(t)
	for i, want := range []bool{true, false, true, false} {
		if got := grows(t, seeds[i], 2, true); got != want {
			t.Errorf("seed %d: grown %v; want %v", i, got, want)
		}
	}
}
