package gpt

import (
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"

	diskfs "github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/go-cmp/cmp"

	"github.com/diskfs/go-diskfs/backend/file"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const mib = 1 << 20

var (
	espType  = ids.UUID{0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
	rootType = ids.UUID{0x4f, 0x68, 0xbc, 0xe3, 0xe8, 0xcd, 0x4d, 0xb1, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09}
	seed     = ids.Seed{7}
)

// example is a placed table.
func example(t testing.TB, sectorSize, diskSize int64) Table {
	t.Helper()
	table, err := Place(Table{GUID: seed.UUID("disk"), SectorSize: sectorSize, DiskSize: diskSize, Partitions: []Partition{
		{Type: espType, GUID: seed.UUID("esp"), Label: "ESP", Size: 64 * mib},
		{Type: rootType, GUID: seed.UUID("root"), Label: "Grüße 世界 \U0001f600", Attributes: 1<<59 | 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func write(t testing.TB, table Table) *imgtest.MemDisk {
	t.Helper()
	d := imgtest.NewMemDisk(table.DiskSize)
	if err := Write(d, table); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRoundTrip writes a table and reads it back, on disks of many sizes.
func TestRoundTrip(t *testing.T) {
	for _, sectorSize := range []int64{512, 4096} {
		for _, size := range []int64{100 * mib, 100*mib + sectorSize, 3 << 40, 1 << 59} {
			table := example(t, sectorSize, size)
			d := write(t, table)
			got, problems, err := Read(d, size)
			if err != nil || len(problems) > 0 {
				t.Fatalf("sectors of %d, disk of %d: %v, %v", sectorSize, size, problems, err)
			}
			if diff := cmp.Diff(table, *got); diff != "" {
				t.Errorf("sectors of %d, disk of %d (-want +got):\n%s", sectorSize, size, diff)
			}
			if d.Calls != 5 || d.Syncs != 5 {
				t.Errorf("%d writes, %d syncs; want 5 of each", d.Calls, d.Syncs)
			}
		}
	}
}

// TestProtectiveSize looks at the size in the protective MBR around the largest
// that it can say.
func TestProtectiveSize(t *testing.T) {
	for sectors, want := range map[int64]uint32{1 << 20: 1<<20 - 1, 1<<32 - 1: 1<<32 - 2, 1 << 32: 1<<32 - 1, 1<<32 + 1: 1<<32 - 1, 3 << 32: 1<<32 - 1} {
		b := write(t, example(t, 512, sectors*512))
		raw := make([]byte, 4)
		if _, err := b.ReadAt(raw, 446+12); err != nil || binary.LittleEndian.Uint32(raw) != want {
			t.Errorf("%d sectors: the MBR says %x; want %#x", sectors, raw, want)
		}
	}
}

// TestFull writes as many partitions as there can be.
func TestFull(t *testing.T) {
	table := Table{GUID: seed.UUID("disk"), SectorSize: 512}
	for i := range maxPartitions {
		table.Partitions = append(table.Partitions, Partition{Type: rootType, GUID: seed.UUID(strings.Repeat("p", i)), Size: 512 * int64(i+1)})
	}
	placed, err := Place(table)
	if err != nil {
		t.Fatal(err)
	}
	d := write(t, placed)
	if got, problems, err := Read(d, placed.DiskSize); err != nil || len(problems) > 0 || !cmp.Equal(placed, *got) {
		t.Errorf("Read = %v, %v, %v", got, problems, err)
	}
	table.Partitions = append(table.Partitions, Partition{Type: rootType, GUID: seed.UUID("more"), Size: 512})
	if _, err := Place(table); err == nil || !strings.Contains(err.Error(), "expected a number from 1 to 128") {
		t.Errorf("Place of 129 partitions: %v", err)
	}
}

// TestOracles shows a table to the programs that everybody uses.
func TestOracles(t *testing.T) {
	image := write(t, example(t, 512, 200*mib)).File(t)
	tests := []struct {
		name string
		cmd  []string
		want []string
	}{
		{"verify", []string{"sgdisk", "-v", image}, []string{"No problems found", "4029 free sectors"}},
		{"print", []string{"sgdisk", "-p", image}, []string{"Disk identifier (GUID): " + upper(seed.UUID("disk")), "2048          133119   64.0 MiB    EF00  ESP"}},
		{"info", []string{"sgdisk", "-i", "2", image}, []string{"Partition GUID code: " + upper(rootType), "Partition unique GUID: " + upper(seed.UUID("root")),
			"First sector: 133120 (at 65.0 MiB)", "Attribute flags: 0800000000000001", "Partition name: 'Grüße 世界 "}},
		{"sfdisk", []string{"sfdisk", "--verify", image}, []string{"No errors detected."}},
		{"dump", []string{"sfdisk", "--dump", image}, []string{"label: gpt", `type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B`, `attrs="RequiredPartition GUID:59"`}},
		{"partx", []string{"partx", "--show", "--output", "NR,START,SECTORS,NAME,UUID", image}, []string{"1   2048  131072 ESP", seed.UUID("esp").String()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			imgtest.Need(t, test.cmd[0])
			out, err := exec.Command(test.cmd[0], test.cmd[1:]...).CombinedOutput()
			for _, want := range test.want {
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("%v: %v\n%s\nexpected %q", test.cmd, err, out, want)
				}
			}
			if strings.Contains(strings.ToLower(string(out)), "warning") {
				t.Errorf("%v warns:\n%s", test.cmd, out)
			}
		})
	}
}

// TestOracle4096 has the kernel and sgdisk read a table on a disk with sectors
// of 4096 bytes.
func TestOracle4096(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup", "sgdisk")
	image := write(t, example(t, 4096, 200*mib)).File(t)
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", "--sector-size", "4096", image).Output()
	if err != nil {
		t.Fatalf("losetup: %v", err)
	}
	device := strings.TrimSpace(string(out))
	defer func() { _ = exec.Command("losetup", "--detach", device).Run() }()
	verify, err := exec.Command("sgdisk", "-v", "-p", device).CombinedOutput()
	if err != nil || !strings.Contains(string(verify), "No problems found") || !strings.Contains(string(verify), "256           16639   64.0 MiB    EF00  ESP") {
		t.Errorf("sgdisk: %v\n%s", err, verify)
	}
}

// TestForeign reads tables that others have written.
func TestForeign(t *testing.T) {
	imgtest.Need(t, "sgdisk", "sfdisk")
	tests := []struct {
		name string
		cmd  string
	}{
		{"sgdisk", "sgdisk -U 01020304-0506-0708-090A-0B0C0D0E0F10 -n 3:2048:+8M -t 3:EF00 -c 3:third -u 3:11020304-0506-0708-090A-0B0C0D0E0F10 $image"},
		{"sfdisk", `printf 'label: gpt\nlabel-id: 01020304-0506-0708-090A-0B0C0D0E0F10\n3: start=2048, size=16384, type=uefi, name=third, uuid=11020304-0506-0708-090A-0B0C0D0E0F10\n' | sfdisk $image`},
	}
	want := Table{GUID: ids.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, SectorSize: 512, DiskSize: 40 * mib,
		Partitions: []Partition{{Number: 3, Type: espType, GUID: ids.UUID{17, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Label: "third", Start: mib, Size: 8 * mib}}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			image := imgtest.NewMemDisk(want.DiskSize).File(t)
			if out, err := exec.Command("sh", "-c", strings.ReplaceAll(test.cmd, "$image", image)).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			f, err := file.OpenFromPath(image, true)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, problems, err := Read(f, want.DiskSize)
			if err != nil || len(problems) > 0 {
				t.Fatalf("%v, %v", problems, err)
			}
			if diff := cmp.Diff(want, *got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// sameAsLibrary compares a table with what go-diskfs reads from the disk.
func sameAsLibrary(t testing.TB, table *Table, image string) {
	t.Helper()
	f, err := file.OpenFromPath(image, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other, err := diskfs.Read(f, int(table.SectorSize), int(table.SectorSize))
	if err != nil {
		t.Fatalf("go-diskfs: %v", err)
	}
	if other.GUID != upper(table.GUID) || len(other.Partitions) != len(table.Partitions) {
		t.Fatalf("go-diskfs: disk %s, %d partitions; want %s, %d", other.GUID, len(other.Partitions), upper(table.GUID), len(table.Partitions))
	}
	for i, p := range table.Partitions {
		o := other.Partitions[i]
		if o.Index != p.Number || o.GUID != upper(p.GUID) || string(o.Type) != upper(p.Type) || o.Name != p.Label ||
			o.GetStart() != p.Start || o.GetSize() != p.Size || o.Attributes != p.Attributes {
			t.Errorf("go-diskfs: partition %+v; want %+v", o, p)
		}
	}
}

func TestLibrary(t *testing.T) {
	for _, sectorSize := range []int64{512, 4096} {
		table := example(t, sectorSize, 200*mib)
		sameAsLibrary(t, &table, write(t, table).File(t))
	}
}
