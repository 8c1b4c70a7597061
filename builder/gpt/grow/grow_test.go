package grow

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	diskfs "github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/go-cmp/cmp"

	"github.com/diskfs/go-diskfs/backend/file"

	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const mib = 1 << 20

var (
	espType  = ids.UUID{0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
	rootType = ids.UUID{0x4f, 0x68, 0xbc, 0xe3, 0xe8, 0xcd, 0x4d, 0xb1, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09}
	seed     = ids.Seed{7}
)

// root is the number of the partition that grows in example.
const root = 2

// example is the table of an image of 100 MiB with an ESP and a root that asks
// to be grown.
func example(sectorSize int64) gpt.Table {
	return gpt.Table{GUID: seed.UUID("disk"), SectorSize: sectorSize, DiskSize: 100 * mib, Partitions: []gpt.Partition{
		{Number: 1, Type: espType, GUID: seed.UUID("esp"), Label: "ESP", Start: mib, Size: 64 * mib},
		{Number: root, Type: rootType, GUID: seed.UUID("root"), Label: "nixos", Start: 65 * mib, Size: 34 * mib, Attributes: 1<<AttributeGrow | 1<<63 | 1},
	}}
}

// written returns a disk of a size with a table that was made for a smaller
// one, as when an image is copied to it. It holds other bytes than zero where
// the table is not.
func written(t testing.TB, table gpt.Table, size int64) *imgtest.MemDisk {
	t.Helper()
	d := imgtest.NewMemDisk(size)
	spare := table.Partitions[0].Start - arraySize
	for _, at := range []int64{spare, size - arraySize - table.SectorSize, size - arraySize} {
		if _, err := d.WriteAt(bytes.Repeat([]byte("junk"), arraySize/4), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := gpt.Write(d, table); err != nil {
		t.Fatal(err)
	}
	return d
}

// grown returns a table as Grow must leave it on a disk of another size.
func grown(table gpt.Table, size int64) gpt.Table {
	table.DiskSize = size
	table.Partitions = append([]gpt.Partition{}, table.Partitions...)
	p := &table.Partitions[len(table.Partitions)-1]
	p.Size = max(p.Size, (size-arraySize-table.SectorSize)/mib*mib-p.Start)
	return table
}

// read returns the table of a disk, which must be without fault.
func read(t testing.TB, d *imgtest.MemDisk) gpt.Table {
	t.Helper()
	got, problems, err := gpt.Read(d, d.Size())
	if err != nil || len(problems) > 0 {
		t.Fatalf("Read: %v, %v", problems, err)
	}
	return *got
}

// TestGrow grows the root to the end of disks of many sizes.
func TestGrow(t *testing.T) {
	for _, sectorSize := range []int64{512, 4096} {
		for _, size := range []int64{100 * mib, 100*mib + sectorSize, 101*mib - sectorSize, 101 * mib, 20 << 30, 3 << 40, 1 << 59} {
			table := example(sectorSize)
			m := written(t, table, size)
			d := Disk{m, sectorSize, size}
			want := grown(table, size)
			place, err := Grow(d, root)
			if p := want.Partitions[1]; err != nil || place != (Partition{p.Start, p.Size}) {
				t.Fatalf("sectors of %d, disk of %d: Grow = %v, %v; want %d bytes at %d", sectorSize, size, place, err, p.Size, p.Start)
			}
			if diff := cmp.Diff(want, read(t, m)); diff != "" {
				t.Errorf("sectors of %d, disk of %d (-want +got):\n%s", sectorSize, size, diff)
			}
			calls := m.Calls
			if again, err := Grow(d, root); err != nil || again != place || m.Calls != calls {
				t.Errorf("a second Grow = %v, %v, with %d writes; want %v without any", again, err, m.Calls-calls, place)
			}
		}
	}
}

// TestGrowNeverShrinks grows a root that already takes more than whole MiB.
func TestGrowNeverShrinks(t *testing.T) {
	table := example(512)
	table.Partitions[1].Size += mib - 33*512
	m := written(t, table, table.DiskSize+512)
	place, err := Grow(Disk{m, 512, m.Size()}, root)
	if want := table.Partitions[1].Size; err != nil || place.Size != want || read(t, m).Partitions[1].Size != want {
		t.Errorf("Grow = %v, %v; want %d bytes as before", place, err, want)
	}
}

// TestGrowKeeps demands that a disk on which everything is in place is not
// written to, and that a backup that is damaged alone is put right.
func TestGrowKeeps(t *testing.T) {
	table := example(512)
	m := imgtest.NewMemDisk(table.DiskSize)
	if err := gpt.Write(m, table); err != nil {
		t.Fatal(err)
	}
	before := m.Clone()
	if _, err := Grow(Disk{m, 512, table.DiskSize}, root); err != nil || !m.Equal(before) || m.Calls != 5 {
		t.Errorf("Grow: %v, %d writes; want none", err, m.Calls-5)
	}
	if _, err := m.WriteAt([]byte("X"), table.DiskSize-512); err != nil {
		t.Fatal(err)
	}
	if _, err := Grow(Disk{m, 512, table.DiskSize}, root); err != nil || !m.Equal(before) {
		t.Errorf("Grow of a disk with a damaged backup: %v; want the disk as it was before the damage", err)
	}
}

// TestAttribute clears attributes, on disks where the table fits and where it
// was made for a smaller one.
func TestAttribute(t *testing.T) {
	for _, size := range []int64{100 * mib, 200 * mib} {
		for _, attribute := range []uint{0, 1, AttributeGrow, 63, 64} {
			table := example(512)
			m := written(t, table, size)
			d := Disk{m, 512, size}
			has := attribute != 1 && attribute != 64
			if got, err := HasAttribute(d, root, attribute); err != nil || got != has {
				t.Errorf("HasAttribute(%d) = %v, %v; want %v", attribute, got, err, has)
			}
			calls := m.Calls
			if err := ClearAttribute(d, root, attribute); err != nil || (m.Calls > calls) != has {
				t.Errorf("ClearAttribute(%d): %v, %d writes", attribute, err, m.Calls-calls)
			}
			want := table
			want.DiskSize = size
			want.Partitions = append([]gpt.Partition{}, table.Partitions...)
			if want.Partitions[1].Attributes &^= 1 << attribute; attribute == 64 {
				want.Partitions[1].Attributes = table.Partitions[1].Attributes
			}
			got, _, err := gpt.Read(m, size)
			if err != nil || !cmp.Equal(want, *got) {
				t.Errorf("attribute %d (-want +got):\n%s\n%v", attribute, cmp.Diff(want, *got), err)
			}
		}
	}
}

// TestKeepsTheRest demands that only the table's own sectors are written, the
// boot code stays, and so does a first LBA that others have chosen.
func TestKeepsTheRest(t *testing.T) {
	table, size := example(512), int64(300*mib)
	m := written(t, table, size)
	if _, err := m.WriteAt(bytes.Repeat([]byte{0x90}, 440), 0); err != nil {
		t.Fatal(err)
	}
	patchHeader(t, m, func(h fields) { h.set(atFirst, 2048) })
	marks := []int64{64 * 512, mib, 65 * mib, 99*mib - 1, 100 * mib, size - 33*512 - 1}
	for _, at := range marks {
		if _, err := m.WriteAt([]byte("M"), at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Grow(Disk{m, 512, size}, root); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 440)
	if _, err := m.ReadAt(b, 0); err != nil || !bytes.Equal(b, bytes.Repeat([]byte{0x90}, 440)) {
		t.Errorf("the boot code is gone (%v)", err)
	}
	for _, at := range marks {
		if _, err := m.ReadAt(b[:1], at); err != nil || b[0] != 'M' {
			t.Errorf("byte %d was changed to %q (%v)", at, b[0], err)
		}
	}
	if got, err := load(Disk{m, 512, size}); err != nil || got.header.get(atFirst) != 2048 {
		t.Errorf("first LBA %d, %v; want 2048 as before", got.header.get(atFirst), err)
	}
}

// TestHybrid leaves an MBR alone that has partitions of its own.
func TestHybrid(t *testing.T) {
	for name, change := range map[string][]byte{"another partition": {16 + 4: 0x0c}, "other type": {4: 0x0c}, "two": append(make([]byte, 16), 0, 0, 2, 0, 0xee, 0, 0, 0, 1, 0, 0, 0, 9)} {
		m := written(t, example(512), 200*mib)
		entry := make([]byte, 64)
		if _, err := m.ReadAt(entry, mbrEntries); err != nil {
			t.Fatal(err)
		}
		for i, b := range change {
			if b != 0 {
				entry[i] = b
			}
		}
		if _, err := m.WriteAt(entry, mbrEntries); err != nil {
			t.Fatal(err)
		}
		_, err := Grow(Disk{m, 512, 200 * mib}, root)
		got := make([]byte, 64)
		if _, rerr := m.ReadAt(got, mbrEntries); err != nil || rerr != nil || !bytes.Equal(got, entry) {
			t.Errorf("%s: Grow: %v; MBR %x, want %x", name, err, got, entry)
		}
	}
}

// TestOracles shows grown disks to sgdisk, sfdisk and go-diskfs.
func TestOracles(t *testing.T) {
	imgtest.Need(t, "sgdisk", "sfdisk")
	m := written(t, example(512), 300*mib)
	if _, err := Grow(Disk{m, 512, 300 * mib}, root); err != nil {
		t.Fatal(err)
	}
	image := m.File(t)
	for _, cmd := range [][]string{{"sgdisk", "-v", image}, {"sfdisk", "--verify", image}} {
		out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
		if text := string(out); err != nil || !strings.Contains(text, "No problems found") && !strings.Contains(text, "No errors detected") || strings.Contains(strings.ToLower(text), "warning") {
			t.Errorf("%v: %v\n%s", cmd, err, out)
		}
	}
	for _, sectorSize := range []int64{512, 4096} {
		m := written(t, example(sectorSize), 300*mib)
		if _, err := Grow(Disk{m, sectorSize, 300 * mib}, root); err != nil {
			t.Fatal(err)
		}
		sameAsLibrary(t, grown(example(sectorSize), 300*mib), m.File(t))
	}
}

// TestOracle4096 shows sgdisk a grown disk with sectors of 4096 bytes.
func TestOracle4096(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup", "sgdisk")
	m := written(t, example(4096), 300*mib)
	if _, err := Grow(Disk{m, 4096, 300 * mib}, root); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", "--sector-size", "4096", m.File(t)).Output()
	if err != nil {
		t.Fatalf("losetup: %v", err)
	}
	device := strings.TrimSpace(string(out))
	defer func() { _ = exec.Command("losetup", "--detach", device).Run() }()
	verify, err := exec.Command("sgdisk", "-v", device).CombinedOutput()
	if err != nil || !strings.Contains(string(verify), "No problems found") {
		t.Errorf("sgdisk: %v\n%s", err, verify)
	}
}

// sameAsLibrary compares what go-diskfs reads from the primary table.
func sameAsLibrary(t testing.TB, want gpt.Table, image string) {
	t.Helper()
	defer os.Remove(image)
	f, err := file.OpenFromPath(image, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := diskfs.Read(f, int(want.SectorSize), int(want.SectorSize))
	if err != nil || got.RecoveredFromBackup || len(got.Partitions) != len(want.Partitions) {
		t.Fatalf("go-diskfs: %v, %+v; want the primary table with %d partitions", err, got, len(want.Partitions))
	}
	for i, p := range want.Partitions {
		if o := got.Partitions[i]; o.Index != p.Number || o.GUID != strings.ToUpper(p.GUID.String()) || o.GetStart() != p.Start || o.GetSize() != p.Size || o.Attributes != p.Attributes {
			t.Errorf("go-diskfs: partition %+v; want %+v", o, p)
		}
	}
}
