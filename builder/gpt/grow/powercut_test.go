package grow

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// recorder is a disk whose writes are kept sector by sector, by what was
// synced together.
type recorder struct {
	*imgtest.MemDisk
	sectorSize int64
	epochs     [][]write
	open       []write
}

func (r *recorder) WriteAt(b []byte, offset int64) (int, error) {
	for at := int64(0); at < int64(len(b)); at += r.sectorSize {
		r.open = append(r.open, write{(offset + at) / r.sectorSize, bytes.Clone(b[at : at+r.sectorSize])})
	}
	return r.MemDisk.WriteAt(b, offset)
}

func (r *recorder) Sync() error {
	r.epochs, r.open = append(r.epochs, r.open), nil
	return nil
}

// record returns what an operation on a disk writes, without changing it.
func record(t testing.TB, m *imgtest.MemDisk, sectorSize int64, op func(Disk) error) [][]write {
	t.Helper()
	r := &recorder{MemDisk: m.Clone(), sectorSize: sectorSize}
	if err := op(Disk{r, sectorSize, m.Size()}); err != nil {
		t.Fatal(err)
	}
	if len(r.open) > 0 {
		t.Fatalf("%d sectors are written without a sync behind", len(r.open))
	}
	return r.epochs
}

// subsets calls f with sets of the numbers 0 to n-1: all of them where that
// are few; otherwise the first and the last ones of every length, each one
// alone, all but one, and some by chance.
func subsets(n int, f func(in func(int) bool)) {
	if n <= 6 {
		for set := range 1 << n {
			f(func(i int) bool { return set>>i&1 == 1 })
		}
		return
	}
	for k := range n + 1 {
		f(func(i int) bool { return i < k })
		f(func(i int) bool { return i >= k })
		f(func(i int) bool { return i == k })
		f(func(i int) bool { return i != k })
	}
	chance := rand.New(rand.NewSource(int64(n)))
	for range 100 {
		set := chance.Uint64()
		f(func(i int) bool { return set>>(i%64)&1 == 1 })
	}
}

// cuts calls f with every state that a cut in the recorded writes can leave:
// the epochs before are on the disk, of the one that is cut any subset is. f
// owns the disk.
func cuts(t testing.TB, m *imgtest.MemDisk, sectorSize int64, epochs [][]write, f func(epoch int, cut *imgtest.MemDisk)) {
	t.Helper()
	base := m.Clone()
	put := func(d *imgtest.MemDisk, w write) {
		if _, err := d.WriteAt(w.bytes, w.lba*sectorSize); err != nil {
			t.Fatal(err)
		}
	}
	for n, epoch := range epochs {
		subsets(len(epoch), func(in func(int) bool) {
			cut := base.Clone()
			for i, w := range epoch {
				if in(i) {
					put(cut, w)
				}
			}
			f(n, cut)
		})
		for _, w := range epoch {
			put(base, w)
		}
	}
	f(len(epochs), base)
}

// kernelTable returns the entries of the primary table if Linux takes it
// (block/partitions/efi.c, is_gpt_valid), nil otherwise. It shares no code
// with the package.
func kernelTable(t testing.TB, m *imgtest.MemDisk, sectorSize int64) []byte {
	t.Helper()
	h := make(fields, sectorSize)
	if _, err := m.ReadAt(h, sectorSize); err != nil {
		t.Fatal(err)
	}
	sum := crc32.NewIEEE()
	sum.Write(h[:16])
	sum.Write(make([]byte, 4))
	sum.Write(h[20:92])
	lastLBA := m.Size()/sectorSize - 1
	if string(h[:8]) != "EFI PART" || h.get32(12) != 92 || h.get32(16) != sum.Sum32() || h.get(24) != 1 ||
		h.get(40) > lastLBA || h.get(48) > lastLBA || h.get(40) > h.get(48) || h.get32(80) != 128 || h.get32(84) != 128 {
		return nil
	}
	array := make([]byte, 128*128)
	if _, err := m.ReadAt(array, h.get(72)*sectorSize); err != nil || crc32.ChecksumIEEE(array) != h.get32(88) {
		return nil
	}
	return array
}

// operations are what is cut, with the table that it leads to.
var operations = []struct {
	name string
	run  func(Disk) error
	want func(table gpt.Table, size int64) gpt.Table
}{
	{"grow", func(d Disk) error { _, err := Grow(d, root); return err }, grown},
	{"clear attribute", func(d Disk) error {
		if _, err := Grow(d, root); err != nil {
			return err
		}
		return ClearAttribute(d, root, AttributeGrow)
	}, func(table gpt.Table, size int64) gpt.Table {
		table = grown(table, size)
		table.Partitions[1].Attributes &^= 1 << AttributeGrow
		return table
	}},
}

// TestPowerCut cuts the power at every write, loses every kind of subset of
// the sectors since the last sync, and demands that the primary table is the
// old or the new one, and that running the same again ends well.
func TestPowerCut(t *testing.T) {
	cases := 0
	for _, sectorSize := range []int64{512, 4096} {
		for _, size := range []int64{20 << 30, 100*mib + 5*sectorSize, 100 * mib} {
			table := example(sectorSize)
			m := written(t, table, size)
			for _, op := range operations {
				want := op.want(table, size)
				allowed := primaries(t, m, sectorSize, op.run)
				uncut := m.Clone()
				if err := op.run(Disk{uncut, sectorSize, size}); err != nil {
					t.Fatal(err)
				}
				clearSpare(t, uncut)
				cuts(t, m, sectorSize, record(t, m, sectorSize, op.run), func(epoch int, cut *imgtest.MemDisk) {
					cases++
					if !allowed[string(kernelTable(t, cut, sectorSize))] {
						t.Fatalf("%s, sectors of %d, disk of %d, cut in epoch %d: the primary table is neither the old nor the new one", op.name, sectorSize, size, epoch)
					}
					checkRead(t, cut, table, want)
					if err := op.run(Disk{cut, sectorSize, size}); err != nil {
						t.Fatalf("%s again after a cut in epoch %d: %v", op.name, epoch, err)
					}
					if diff := cmp.Diff(want, read(t, cut)); diff != "" {
						t.Fatalf("%s again after a cut in epoch %d (-want +got):\n%s", op.name, epoch, diff)
					}
					if clearSpare(t, cut); !cut.Equal(uncut) {
						t.Fatalf("%s again after a cut in epoch %d: the disk is not as without the cut", op.name, epoch)
					}
				})
			}
		}
	}
	if cases < 4000 {
		t.Errorf("%d cuts; want thousands", cases)
	}
}

// clearSpare clears the place of the spare array, which a cut in the last step
// leaves in use and nobody reads.
func clearSpare(t testing.TB, m *imgtest.MemDisk) {
	t.Helper()
	if _, err := m.WriteAt(make([]byte, arraySize), example(512).Partitions[0].Start-arraySize); err != nil {
		t.Fatal(err)
	}
}

// primaries returns the arrays that the primary table has before an operation,
// after it, and between its parts.
func primaries(t testing.TB, m *imgtest.MemDisk, sectorSize int64, run func(Disk) error) map[string]bool {
	t.Helper()
	allowed := map[string]bool{}
	between, after := m.Clone(), m.Clone()
	if _, err := Grow(Disk{between, sectorSize, m.Size()}, root); err != nil {
		t.Fatal(err)
	}
	if err := run(Disk{after, sectorSize, m.Size()}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*imgtest.MemDisk{m, between, after} {
		array := kernelTable(t, d, sectorSize)
		if array == nil {
			t.Fatal("no primary table")
		}
		allowed[string(array)] = true
	}
	return allowed
}

// checkRead demands that package gpt finds the ESP and the root on a disk,
// whichever copy it takes.
func checkRead(t testing.TB, cut *imgtest.MemDisk, before, after gpt.Table) {
	t.Helper()
	got, _, err := gpt.Read(cut, cut.Size())
	if err != nil {
		t.Fatalf("Read after a cut: %v", err)
	}
	esp, p := got.Partitions[0], got.Partitions[1]
	if esp != before.Partitions[0] || p.GUID != before.Partitions[1].GUID || p.Start != before.Partitions[1].Start ||
		p.Size != before.Partitions[1].Size && p.Size != after.Partitions[1].Size {
		t.Fatalf("Read after a cut: %+v; want %+v or %+v", got.Partitions, before.Partitions, after.Partitions)
	}
}

// TestPowerCutTwice cuts the power again while what the first cut left is
// finished, on the same disk and on one that has grown meanwhile.
func TestPowerCutTwice(t *testing.T) {
	const sectorSize = 4096
	table := example(sectorSize)
	m := written(t, table, 200*mib)
	run := operations[0].run
	first, cases := 0, 0
	cuts(t, m, sectorSize, record(t, m, sectorSize, run), func(_ int, cut *imgtest.MemDisk) {
		first++
		size := int64(200+first%2*100) * mib
		larger := resized(t, cut, size)
		cuts(t, larger, sectorSize, record(t, larger, sectorSize, run), func(epoch int, again *imgtest.MemDisk) {
			cases++
			if kernelTable(t, again, sectorSize) == nil {
				t.Fatalf("second cut in epoch %d: no primary table", epoch)
			}
			if err := run(Disk{again, sectorSize, size}); err != nil {
				t.Fatalf("after the second cut: %v", err)
			}
			if got := read(t, again); !cmp.Equal(grown(table, size), got) {
				t.Fatalf("after the second cut (-want +got):\n%s", cmp.Diff(grown(table, size), got))
			}
		})
	})
	if cases < 2000 {
		t.Errorf("%d cuts; want thousands", cases)
	}
}

// resized returns a disk of another size that holds the same.
func resized(t testing.TB, m *imgtest.MemDisk, size int64) *imgtest.MemDisk {
	t.Helper()
	d := imgtest.NewMemDisk(size)
	page := make([]byte, 4096)
	for _, at := range m.Written() {
		if _, err := m.ReadAt(page, at); err != nil {
			t.Fatal(err)
		}
		if _, err := d.WriteAt(page, at); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestPowerCutOracles shows what is there between the syncs to go-diskfs, and to
// libblkid, which udev asks.
func TestPowerCutOracles(t *testing.T) {
	imgtest.Need(t, "partx")
	for _, sectorSize := range []int64{512, 4096} {
		table := example(sectorSize)
		m := written(t, table, 200*mib)
		epochs := record(t, m, sectorSize, operations[0].run)
		if len(epochs) != 6 {
			t.Fatalf("%d epochs; want 6", len(epochs))
		}
		for n, epoch := range epochs {
			for _, w := range epoch {
				if _, err := m.WriteAt(w.bytes, w.lba*sectorSize); err != nil {
					t.Fatal(err)
				}
			}
			want := table
			if n >= 2 { // the header of the spare array
				want = grown(table, 200*mib)
			}
			sameAsLibrary(t, want, m.Clone().File(t))
			if sectorSize == 512 {
				out, err := exec.Command("partx", "--show", "--noheadings", "--output", "NR,START,SECTORS,UUID", m.File(t)).CombinedOutput()
				p := want.Partitions[1]
				if line := fmt.Sprintf("2 %d %d %s", p.Start/512, p.Size/512, p.GUID); err != nil || !strings.HasSuffix(strings.Join(strings.Fields(string(out)), " "), line) {
					t.Errorf("after epoch %d: partx: %v\n%s\nexpected %s", n, err, out, line)
				}
			}
		}
	}
}
