package disks_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/layouts"
)

// repository is what restic makes, below a directory.
func repository(dir string) []string {
	return []string{dir + "/config", dir + "/data/00/", dir + "/index/", dir + "/keys/k", dir + "/locks/", dir + "/snapshots/"}
}

// treeOf makes a tree of empty files; names with a slash at the end are
// directories.
func treeOf(t testing.TB, names ...string) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for _, name := range names {
		dir := path.Dir(name)
		parent, err := tree.MkdirAll(dir, nil)
		if err == nil && !strings.HasSuffix(name, "/") {
			_, err = parent.Add(path.Base(name), &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Content: fstree.Bytes(nil)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tree.Freeze()
	return tree
}

func open(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

const espType, rootType = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"

// laptopImage writes a disk of our layout, with a restic repository in @home and
// one on the ESP.
func laptopImage(t testing.TB, sector int64) (name string, swapAt int64) {
	t.Helper()
	name = file(t, 512<<20)
	f := open(t, name)
	parse := func(s string) ids.UUID {
		u, err := ids.ParseUUID(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	seed := ids.Seed{7}
	table, err := gpt.Place(gpt.Table{GUID: seed.UUID("disk"), SectorSize: sector, DiskSize: 512 << 20, Partitions: []gpt.Partition{
		{Type: parse(espType), GUID: seed.UUID("1"), Label: "ESP", Size: 300 << 20},
		{Type: parse(rootType), GUID: seed.UUID("2"), Label: "nixos"},
	}})
	if err == nil {
		err = gpt.Write(f, table)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	part := table.Partitions[0]
	if _, err := esp.Write(ctx, io.NewOffsetWriter(f, part.Start), treeOf(t, repository("EFI/backup")...), esp.Params{Size: part.Size, SectorSize: sector, Start: part.Start, Label: "ESP", Serial: 0x12345678}); err != nil {
		t.Fatal(err)
	}
	part = table.Partitions[1]
	tree := treeOf(t, append(append(repository("home/ada/backup/restic"), repository("home/ada/backup/too/deep")...), "root/etc/fstab", "root/usr/share/restic/config",
		"home/like/config/", "home/like/data/", "home/like/index/", "home/like/keys/", "home/like/snapshots/")...)
	res, err := btrfs.Write(ctx, io.NewOffsetWriter(f, part.Start), tree, btrfs.Params{
		Size: part.Size, Label: "nixos", Seed: seed,
		Subvolumes: []btrfs.Subvolume{{Path: "@", Source: "root"}, {Path: "@home", Source: "home"}},
		Swapfiles:  []btrfs.Swapfile{{Path: "@swap/swapfile", Size: 1 << 20}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return name, part.Start + res.Swapfiles[0].PhysicalPage*4096
}

var laptopLayout = layouts.Layout{ESP: layouts.ESP{Label: "ESP"}, Root: layouts.Root{Label: "nixos"}, Subvolumes: []layouts.Subvolume{{Name: "@"}, {Name: "@home"}, {Name: "@swap"}}}

func TestInspectLaptop(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		name, swapAt := laptopImage(t, sector)
		seed := ids.Seed{7}
		want := disks.Disk{
			Name: "disk.img", Path: name, Size: 512 << 20, SectorSize: sector, Bus: "file", Table: "gpt", DiskGUID: seed.UUID("disk").String(),
			Partitions: []disks.Partition{
				{Number: 1, Start: 1 << 20, Size: 300 << 20, Type: espType, GUID: seed.UUID("1").String(), Label: "ESP",
					Contents: []disks.Content{{Type: "vfat", UUID: "1234-5678", Label: "ESP", Repositories: []string{"EFI/backup"}}}},
				{Number: 2, Start: 301 << 20, Size: 210 << 20, Type: rootType, GUID: seed.UUID("2").String(), Label: "nixos",
					Contents: []disks.Content{{Type: "btrfs", UUID: seed.UUID(ids.BtrfsFSID).String(), Label: "nixos", Offset: 64<<10 + 64,
						Subvolumes: []string{"@", "@home", "@swap"}, Repositories: []string{"@home/ada/backup/restic"}}}},
			},
		}
		got := one(t, name)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("sectors of %d (-want +got):\n%s", sector, diff)
		}
		if !disks.LayoutOf(laptopLayout).On(got) {
			t.Error("the layout is not recognised")
		}
		if got.Hibernated() {
			t.Error("hibernated; want a swapfile that is not")
		}
		if _, err := open(t, name).WriteAt([]byte("S1SUSPEND\x00"), swapAt+4086); err != nil {
			t.Fatal(err)
		}
		if !one(t, name).Hibernated() {
			t.Error("not hibernated; want the session found in @swap/swapfile")
		}
	}
}

// TestInspectDamage wants what is left of a damaged disk described.
func TestInspectDamage(t *testing.T) {
	name, _ := laptopImage(t, 512)
	f := open(t, name)
	zero := func(at, n int64) {
		if _, err := f.WriteAt(make([]byte, n), at); err != nil {
			t.Fatal(err)
		}
	}
	root := int64(301 << 20)
	zero(root+64<<10, 4096)
	d := one(t, name)
	c := d.Partitions[1].Contents
	if len(c) != 1 || c[0].Offset != 64<<20+64 || len(c[0].Subvolumes) != 3 || c[0].Problem != "" {
		t.Errorf("without the first superblock: %+v; want all of it by the copy at 64 MiB", c)
	}
	zero(root+1<<20, 60<<20)
	c = one(t, name).Partitions[1].Contents
	if len(c) != 1 || c[0].Problem == "" || c[0].Label != "nixos" {
		t.Errorf("without its trees: %+v; want the label and a problem", c)
	}
	zero(512, 512)
	if d := one(t, name); d.Table != "gpt" || d.TableProblem == "" || len(d.Partitions) != 2 {
		t.Errorf("without the primary table: %q, %q, %v; want that of the backup, and a problem", d.Table, d.TableProblem, d.Partitions)
	}
	zero(512<<20-512, 512)
	if _, err := f.WriteAt([]byte("EFI PART"), 512); err != nil {
		t.Fatal(err)
	}
	if d := one(t, name); d.Table != "gpt" || d.TableProblem == "" || len(d.Partitions) != 0 || d.Empty() {
		t.Errorf("with the rest of a table: %+v; want a damaged GPT, not an empty disk", d)
	}
}

func TestInspectRestic(t *testing.T) {
	imgtest.Need(t, "restic", "mkfs.btrfs")
	dir := t.TempDir()
	t.Setenv("RESTIC_PASSWORD", "x")
	run(t, "restic", "init", "-q", "--no-cache", "-r", filepath.Join(dir, "backup"))
	name := file(t, 128<<20)
	run(t, "mkfs.btrfs", "-q", "-L", "BACKUP", "--rootdir", dir, name)
	c := one(t, name).Contents
	if len(c) != 1 || !cmp.Equal(c[0].Repositories, []string{"backup"}) {
		t.Errorf("got %+v; want the repository /backup", c)
	}
}

func TestInspectTables(t *testing.T) {
	entry := func(kind byte, start, count uint32) string {
		return "\x00\x00\x00\x00" + string([]byte{kind}) + "\x00\x00\x00" + le(start, count)
	}
	tests := []struct {
		name       string
		pieces     []piece
		table      string
		partitions []disks.Partition
		empty      bool
	}{
		{"blank", nil, "", nil, true},
		{"ones", []piece{{0, strings.Repeat("\xff", 4<<20)}}, "", nil, true},
		{"mbr", []piece{{440, "\x78\x56\x34\x12"}, {446, "\x80" + entry(7, 2048, 2048)[1:]}, {478, entry(0x83, 4096, 2048)}, {510, "\x55\xaa"}}, "mbr",
			[]disks.Partition{{Number: 1, Start: 1 << 20, Size: 1 << 20, Type: "07", GUID: "12345678-01"}, {Number: 3, Start: 2 << 20, Size: 1 << 20, Type: "83", GUID: "12345678-03"}}, false},
		{"mbr with a wild flag", []piece{{446, "\x81" + entry(7, 2048, 2048)[1:]}, {510, "\x55\xaa"}}, "", nil, false},
		{"mbr without partitions", []piece{{510, "\x55\xaa"}}, "", nil, false},
	}
	for _, tt := range tests {
		d := one(t, file(t, 4<<20, tt.pieces...))
		if d.Table != tt.table || d.Empty() != tt.empty || !cmp.Equal(tt.partitions, d.Partitions) {
			t.Errorf("%s: %+v, empty %v; want table %q, %+v, empty %v", tt.name, d, d.Empty(), tt.table, tt.partitions, tt.empty)
		}
	}
	name := file(t, 4<<20)
	if err := gpt.Write(open(t, name), gpt.Table{GUID: ids.UUID{1}, SectorSize: 512, DiskSize: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	if d := one(t, name); d.Table != "gpt" || !d.Empty() {
		t.Errorf("empty GPT: %+v, empty %v; want it to count as empty", d, d.Empty())
	}
}

// TestInspectKernelPartitions wants the kernel's names, and partitions that the
// kernel alone knows.
func TestInspectKernelPartitions(t *testing.T) {
	m := newMachine(t)
	dir := m.block(waySATA, 4<<20)
	m.partition(dir, "sda1", 1, 1<<20, 1<<20)
	m.partition(dir, "sda5", 5, 2<<20, 1<<20)
	m.put("sda", 446, "\x00\x00\x00\x00\x83\x00\x00\x00"+le(uint32(2048), uint32(2048)))
	m.put("sda", 510, "\x55\xaa")
	m.put("sda", 2<<20, "XFSB")
	got := scan(t, m.scanner())[0].Partitions
	want := []disks.Partition{
		{Name: "sda1", Number: 1, Start: 1 << 20, Size: 1 << 20, Type: "83", GUID: "00000000-01"},
		{Name: "sda5", Number: 5, Start: 2 << 20, Size: 1 << 20, Contents: []disks.Content{{Type: "xfs"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// badNode is a disk that cannot be read from some place on.
type badNode struct{ size, from int64 }

func (n badNode) Size() int64  { return n.size }
func (n badNode) Close() error { return nil }
func (n badNode) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > n.from {
		return 0, errors.New("input/output error")
	}
	clear(p)
	return len(p), nil
}

func TestInspectReadError(t *testing.T) {
	m := newMachine(t)
	m.block(wayNVMe, 128<<20)
	for _, from := range []int64{0, 300 << 10, 128<<20 - 1024} {
		s := m.scanner()
		s.Open = func(string) (disks.Node, error) { return badNode{128 << 20, from}, nil }
		d := scan(t, s)[0]
		if !strings.Contains(d.Problem, "input/output error") || d.Table != "" {
			t.Errorf("unreadable from %d: problem %q, table %q; want the error", from, d.Problem, d.Table)
		}
		if v := disks.Judge(d, disks.Wants{Medium: disks.Medium{Known: true}, Erase: true}); v.OK() {
			t.Errorf("unreadable from %d: is a candidate", from)
		}
	}
}

func TestBtrfsCopyAt256GiB(t *testing.T) {
	const at = 256 << 30
	for _, tt := range []struct {
		says uint64
		want int
	}{{at, 1}, {64 << 10, 0}} {
		name := file(t, at+1<<20, piece{at + 32, uuid + le(tt.says)}, piece{at + 64, "_BHRfS_M"})
		found := 0
		for _, c := range one(t, name).Contents {
			if c.Type == "btrfs" && c.UUID == uuidText && c.Offset == at+64 {
				found++
			}
		}
		if found != tt.want {
			t.Errorf("copy at 256 GiB that says it stands at %d: found %d; want %d", tt.says, found, tt.want)
		}
	}
}
