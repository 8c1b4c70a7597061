package installer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/mediumtest"
)

// disk is a target in memory that notes what is done to it.
type disk struct {
	mu     sync.Mutex
	mem    *imgtest.MemDisk
	sector int64
	ops    []op                             // in order
	spoil  func(p []byte, off int64) []byte // what the disk keeps of a write, nil for all
	fail   func(p []byte, off int64) error  // of a write, and of a sync with nil
}

// op is a write, or a sync where data is nil.
type op struct {
	off  int64
	data []byte
}

func newDisk(size int64) *disk { return &disk{mem: imgtest.NewMemDisk(size), sector: 512} }

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(p, off); err != nil {
			return 0, err
		}
	}
	kept := bytes.Clone(p)
	if d.spoil != nil {
		kept = d.spoil(kept, off)
	}
	d.ops = append(d.ops, op{off, kept})
	if len(kept) == 0 {
		return len(p), nil
	}
	return d.mem.WriteAt(kept, off)
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mem.ReadAt(p, off)
}

func (d *disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(nil, 0); err != nil {
			return err
		}
	}
	d.ops = append(d.ops, op{})
	return nil
}

func (d *disk) Size() int64       { return d.mem.Size() }
func (d *disk) SectorSize() int64 { return d.sector }

// installTime is the clock of the machines of these tests.
var installTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// install runs a fresh installation.
func install(t testing.TB, m *Medium, d *disk, seed ids.Seed) (*Fresh, error) {
	t.Helper()
	f, err := PlanFresh(t.Context(), m, d, seed, installTime)
	if err != nil {
		return nil, err
	}
	if len(d.ops) > 0 {
		t.Fatalf("%d writes before the first step", len(d.ops))
	}
	return f, Run(t.Context(), f.Steps(), func(Step, int64, int64) {})
}

const targetSize = 20 << 30

// TestFresh installs onto an empty disk, and looks at it with the tools of
// others.
func TestFresh(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		t.Run(fmt.Sprint(sector), func(t *testing.T) {
			m := makeMedium(t).open(t, nil)
			d := newDisk(targetSize)
			d.sector = sector
			f, err := install(t, m, d, ids.Seed{1})
			if err != nil {
				t.Fatal(err)
			}
			checkInstalled(t, m, d, f)
		})
	}
}

// checkInstalled checks that a disk has the whole system, and that nothing of
// its identity is the medium's.
func checkInstalled(t *testing.T, m *Medium, d *disk, f *Fresh) {
	t.Helper()
	table, problems, err := gpt.Read(d, d.Size())
	if err != nil || len(problems) > 0 || len(table.Partitions) != 2 || table.SectorSize != d.sector {
		t.Fatalf("table %+v: %v, %v", table, problems, err)
	}
	esp, root := table.Partitions[0], table.Partitions[1]
	if root.Start+root.Size < d.Size()-2<<20 {
		t.Errorf("root partition ends at %d of %d", root.Start+root.Size, d.Size())
	}
	if !f.Plan.Partition(plan.RoleRoot).FirstBoot || root.Attributes == 0 {
		t.Errorf("attributes %#x: the first boot would not grow it", root.Attributes)
	}
	content := io.NewSectionReader(d, root.Start, m.Payload.Size())
	fs, err := reader.Open(content, content.Size())
	if err != nil {
		t.Fatal(err)
	}
	report, err := check.Run(t.Context(), fs, check.Options{Data: true})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("check: %v, %+v", err, report)
	}
	if got, want := ids.UUID(fs.Super().FSID).String(), f.Plan.Partition(plan.RoleRoot).FSID; got != want {
		t.Errorf("fsid %s; the plan says %s", got, want)
	}
	if !m.Manifest.NixOS() {
		checkFstab(t, fs, root)
	}
	checkESP(t, m, d, esp, f)
}

// TestFreshNixOS installs a system that makes its fstab itself.
func TestFreshNixOS(t *testing.T) {
	image := mediumtest.WriteNixOS(t, filepath.Join(t.TempDir(), "medium.img"), func([]byte) ([]byte, error) { return []byte(goodSignature), nil })
	m := madeMedium{image}.open(t, nil)
	d := newDisk(targetSize)
	f, err := install(t, m, d, ids.Seed{1})
	if err != nil {
		t.Fatal(err)
	}
	checkInstalled(t, m, d, f)
}

func checkFstab(t *testing.T, fs *reader.FS, root gpt.Partition) {
	t.Helper()
	for _, name := range []string{"@", "@factory"} {
		v, err := fs.Subvolume(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := v.ReadFile("etc/fstab")
		if err != nil || !strings.Contains(string(text), "PARTUUID="+root.GUID.String()+" / ") {
			t.Errorf("fstab of %s, %v:\n%s\nwant PARTUUID=%s", name, err, text, root.GUID)
		}
	}
}

func checkESP(t *testing.T, m *Medium, d *disk, esp gpt.Partition, f *Fresh) {
	t.Helper()
	files, err := espreader.Open(io.NewSectionReader(d, esp.Start, esp.Size), esp.Size)
	if err != nil {
		t.Fatal(err)
	}
	if problems := files.Check(t.Context()); len(problems) > 0 {
		t.Errorf("ESP: %v", problems)
	}
	text, err := files.ReadFile(MarkerPath)
	if err != nil {
		t.Fatal(err)
	}
	marker, err := DecodeMarker(text)
	if err != nil || marker.Install != f.Install || marker.Medium != m.Digest || !marker.Time.Equal(installTime) {
		t.Errorf("marker %+v, %v", marker, err)
	}
	want, err := m.File("EFI/BOOT/BOOTX64.EFI")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := files.ReadFile("EFI/BOOT/BOOTX64.EFI"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("boot loader: %d bytes, %v; want %d", len(got), err, len(want))
	}
	first := "mkimage-bandit-full.conf"
	if m.Manifest.NixOS() {
		first = m.Manifest.Inputs.Generations[0].File
	}
	entry, err := files.ReadFile("loader/entries/" + first)
	if err != nil || !strings.Contains(string(entry), "root=PARTUUID="+f.Table.Partitions[1].GUID.String()) || strings.Contains(string(entry), plan.InstallWord) {
		t.Errorf("entry, %v:\n%s", err, entry)
	}
}

// TestFreshForeign has the programs of others look at an installed disk.
func TestFreshForeign(t *testing.T) {
	imgtest.Need(t, "btrfs", "sgdisk", "fsck.fat")
	m := makeMedium(t).open(t, nil)
	d := newDisk(targetSize)
	f, err := install(t, m, d, ids.Seed{2})
	if err != nil {
		t.Fatal(err)
	}
	name := d.mem.File(t)
	runTool(t, "sgdisk", "--verify", name)
	for i, tool := range [][]string{{"fsck.fat", "-n"}, {"btrfs", "check", "--force", "--readonly"}} {
		p := f.Table.Partitions[i]
		part := filepath.Join(t.TempDir(), "part.img")
		out, err := os.Create(part)
		if err != nil {
			t.Fatal(err)
		}
		size := p.Size
		if i == 1 {
			size = m.Payload.Size()
		}
		if _, err := io.Copy(out, io.NewSectionReader(d, p.Start, size)); err != nil {
			t.Fatal(err)
		}
		out.Close()
		runTool(t, tool[0], append(tool[1:], part)...)
	}
}

func runTool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// TestTwoTargets installs twice from one medium: nothing identifies two disks.
func TestTwoTargets(t *testing.T) {
	made := makeMedium(t)
	m := made.open(t, nil)
	seen := map[string]string{}
	note := func(where string, values ...string) {
		for _, v := range values {
			if other, ok := seen[strings.ToLower(v)]; ok {
				t.Errorf("%s: %s is that of %s", where, v, other)
			}
			seen[strings.ToLower(v)] = where
		}
	}
	p := m.Manifest.Plan
	note("medium", p.Disk.GUID.String(), p.Disk.Partitions[0].PARTUUID.String(), p.Disk.Partitions[1].PARTUUID.String(),
		p.Disk.Partitions[0].FSID, p.Disk.Partitions[1].FSID, p.Disk.Partitions[0].Label, p.Disk.Partitions[1].Label)
	for i := range 2 {
		d := newDisk(targetSize)
		f, err := install(t, m, d, ids.Seed{byte(3 + i)})
		if err != nil {
			t.Fatal(err)
		}
		fs, err := reader.Open(io.NewSectionReader(d, f.Table.Partitions[1].Start, m.Payload.Size()), m.Payload.Size())
		if err != nil {
			t.Fatal(err)
		}
		files, err := espreader.Open(io.NewSectionReader(d, f.Table.Partitions[0].Start, f.Table.Partitions[0].Size), f.Table.Partitions[0].Size)
		if err != nil {
			t.Fatal(err)
		}
		note(fmt.Sprint("target ", i), f.Table.GUID.String(), f.Table.Partitions[0].GUID.String(), f.Table.Partitions[1].GUID.String(),
			ids.UUID(fs.Super().FSID).String(), ids.UUID(fs.Super().DevItem.UUID).String(), files.UUID())
		if l := fs.Super().Label; l == p.Disk.Partitions[1].Label {
			t.Errorf("target %d: label %q is that of the medium", i, l)
		}
	}
}

// TestFreshRefused are installations that fail before the first write.
func TestFreshRefused(t *testing.T) {
	m := makeMedium(t).open(t, nil)
	// The table at the beginning, aligned, and the backup table: 32 sectors of
	// entries and a header.
	least := int64(1<<20) + espSize(t, m) + (m.Payload.Size()+1<<20-1)>>20<<20 + 33*512
	for _, tt := range []struct {
		size int64
		ok   bool
	}{{least - 512, false}, {least, true}, {least + 512, true}} {
		d := newDisk(tt.size)
		_, err := PlanFresh(t.Context(), m, d, ids.Seed{9}, installTime)
		if (err == nil) != tt.ok || !tt.ok && fault.ClassOf(err) != fault.Target || len(d.ops) > 0 {
			t.Errorf("%d bytes: %v, %d writes; want it to fit: %v", tt.size, err, len(d.ops), tt.ok)
		}
	}
}

// espSize is the size of the target's ESP.
func espSize(t *testing.T, m *Medium) int64 {
	t.Helper()
	p, err := plan.Target(m.Manifest.Plan, ids.Seed{9}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Partition(plan.RoleESP).Size
}

// TestLyingDisk are disks that do not keep what they were given.
func TestLyingDisk(t *testing.T) {
	m := makeMedium(t).open(t, nil)
	tests := []struct {
		name  string
		spoil func(p []byte, off int64) []byte
	}{
		{"a flipped byte", func(p []byte, off int64) []byte {
			if off > 1028<<20 && off < 1034<<20 {
				p[len(p)/2] ^= 4
			}
			return p
		}},
		{"a write that is dropped", func(p []byte, off int64) []byte {
			if off >= 1030<<20 && off < 1040<<20 {
				return nil
			}
			return p
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(targetSize)
			d.spoil = tt.spoil
			_, err := install(t, m, d, ids.Seed{5})
			if fault.ClassOf(err) != fault.Mismatch || !strings.Contains(err.Error(), "are not what was written") {
				t.Errorf("got %v; want a mismatch", err)
			}
			if table, _, err := gpt.Read(d, d.Size()); err != nil || len(table.Partitions) != 0 {
				t.Errorf("table %+v, %v; want one without partitions", table, err)
			}
		})
	}
}

// TestFreshCancelled stops in the middle.
func TestFreshCancelled(t *testing.T) {
	m := makeMedium(t).open(t, nil)
	d := newDisk(targetSize)
	f, err := PlanFresh(t.Context(), m, d, ids.Seed{6}, installTime)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = Run(ctx, f.Steps(), func(s Step, done, total int64) {
		if s.ID == "payload" && done > total/2 {
			cancel()
		}
	})
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("got %v; want context canceled", err)
	}
	if table, _, err := gpt.Read(d, d.Size()); err != nil || len(table.Partitions) != 0 {
		t.Errorf("table %+v, %v; want one without partitions", table, err)
	}
}
