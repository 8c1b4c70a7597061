package inspect_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/inspect"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// assemble writes an image of parts that a test changes.
func assemble(t testing.TB, loader string, change func(*smalldisk.Parts)) (*os.File, *manifest.Manifest) {
	t.Helper()
	s, err := smalldisk.New(loader)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	name := filepath.Join(t.TempDir(), "disk.img")
	m, err := s.Assemble(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, m
}

func read(t testing.TB, f *os.File) *inspect.Image {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	found, err := inspect.Read(t.Context(), f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestReadRewritten reads a disk that is written to meanwhile: what could not be
// read of it is read again.
func TestReadRewritten(t *testing.T) {
	f, m := assemble(t, "systemd-boot", nil)
	for _, times := range []int{0, 1, 7, 8} {
		r := &imgtest.Rewritten{ReaderAt: f, Start: m.Plan.Partition(plan.RoleRoot).Start, Times: times}
		found, err := inspect.Read(t.Context(), r, m.Image.Size)
		switch {
		case err != nil:
			t.Errorf("rewritten %d times: %v", times, err)
		case times < 8 && (len(found.Unread) > 0 || found.Swapfile == nil):
			t.Errorf("rewritten %d times: swapfile %+v, unread %q", times, found.Swapfile, found.Unread)
		case times == 8 && len(found.Unread) == 0:
			t.Error("nothing is said of what was overwritten")
		}
	}
}

func TestRead(t *testing.T) {
	f, m := assemble(t, "systemd-boot", nil)
	found := read(t, f)
	if len(found.Unread) > 0 {
		t.Errorf("unread: %q", found.Unread)
	}
	p := m.Plan
	wantParts := []inspect.Partition{}
	for i, w := range p.Disk.Partitions {
		wantParts = append(wantParts, inspect.Partition{
			Number: i + 1, Role: w.Role, Type: w.Type, PARTUUID: w.PARTUUID, Label: w.Label, Start: w.Start, Size: m.Partitions[i].Size,
			FSType: w.FSType, FSID: w.FSID, FSLabel: w.Label, Used: found.Partitions[i].Used,
		})
		if u := found.Partitions[i].Used; u < 10_000 || u > 2<<20 {
			t.Errorf("partition %d: %d bytes used", i+1, u)
		}
	}
	if diff := cmp.Diff(wantParts, found.Partitions); diff != "" {
		t.Error(diff)
	}
	if found.Size != m.Image.Size || found.GUID != p.Disk.GUID || found.SectorSize != 512 {
		t.Errorf("disk %d, %s, %d", found.Size, found.GUID, found.SectorSize)
	}
	if diff := cmp.Diff(&inspect.Origin{Mkimage: "test", Profile: "demo", Layout: "small", Source: "debian:trixie", Seed: p.Seed}, found.Origin); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&inspect.Swapfile{Path: "@swap/swapfile", Size: 1 << 20, ResumeOffset: m.Swapfile.ResumeOffset, Signature: "SWAPSPACE2"}, found.Swapfile); diff != "" {
		t.Error(diff)
	}
}

func TestSubvolumes(t *testing.T) {
	f, m := assemble(t, "systemd-boot", nil)
	text := int64(len("some text that compresses, ")) * 20_000
	by := map[string]inspect.Subvolume{}
	for _, s := range read(t, f).Subvolumes {
		by[s.Path] = s
	}
	for _, want := range m.Subvolumes {
		got, ok := by[want.Path]
		if want.Path != "" && (!ok || got.ID != want.ID || got.UUID != want.UUID || got.ReadOnly != want.ReadOnly) {
			t.Errorf("subvolume %s: %+v; want %+v", want.Path, got, want)
		}
	}
	root, home, factory := by["@"], by["@home"], by["@factory"]
	if root.Files != 7 || root.Bytes < 2*text || root.Stored > 25_000 || root.Ratio() > 0.05 {
		t.Errorf("@: %+v, ratio %v; want 7 files of %d bytes and more, compressed, two of them sharing 16,600 bytes", root, root.Ratio(), 2*text)
	}
	if home.Files != 1 || home.Bytes != int64(len("a file of the user")) {
		t.Errorf("@home: %+v", home)
	}
	if factory.SnapshotOf != "@" || factory.Bytes != root.Bytes || factory.Stored != root.Stored {
		t.Errorf("@factory: %+v; want what @ has: %+v", factory, root)
	}
	if empty := (inspect.Subvolume{}); empty.Ratio() != 1 {
		t.Errorf("ratio of nothing %v; want 1", empty.Ratio())
	}
}

func TestBoot(t *testing.T) {
	for loader, standard := range map[string]string{inspect.LoaderSystemdBoot: "mkimage-demo.conf", inspect.LoaderGRUB: "mkimage-demo"} {
		t.Run(loader, func(t *testing.T) { testMenu(t, loader, standard) })
	}
}

// testMenu wants the entries of the plan, and which one is the default.
func testMenu(t *testing.T, loader, standard string) {
	f, m := assemble(t, loader, nil)
	b := read(t, f).Boot
	if b.Loader != loader || b.Timeout != 3 || b.Default != standard {
		t.Errorf("boot: %+v", b)
	}
	var ids []string
	for _, e := range b.Entries {
		ids = append(ids, e.ID)
		if e.Version != smalldisk.KernelVersion || e.Linux.Size != 0x600 || len(e.Initrd) != 1 || e.Initrd[0].Size < 100 || !strings.HasPrefix(e.Options, "root=PARTUUID=") {
			t.Errorf("entry %+v", e)
		}
	}
	var want []string
	for _, e := range m.Plan.Entries {
		want = append(want, e.ID)
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Error(diff)
	}
}

func TestBootUKI(t *testing.T) {
	f, m := assemble(t, "uki", nil)
	b := read(t, f).Boot
	if b.Loader != inspect.LoaderUKI || len(b.Entries) != 1 {
		t.Fatalf("boot: %+v", b)
	}
	e := b.Entries[0]
	if e.Title != "Demo" || e.Version != smalldisk.KernelVersion || e.Options != strings.Join(m.Plan.Cmdline, " ") || e.Linux.Size < 0x600 || e.Initrd[0].Size < 100 {
		t.Errorf("entry %+v", e)
	}
}

// TestDamage wants what is left of an image, and a word on what is not.
func TestDamage(t *testing.T) {
	put := func(path, text string) func(s *smalldisk.Parts) {
		return func(s *smalldisk.Parts) {
			s.ESP = func(e *fstree.Tree) {
				old := e.Lookup(path)
				old.Size, old.Content = int64(len(text)), fstree.Bytes(text)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*smalldisk.Parts)
		damage func(m *manifest.Manifest) []int64 // where 4 KiB of zeros go
		want   string
		ok     func(*inspect.Image) bool
	}{
		{"ESP", nil, func(m *manifest.Manifest) []int64 { return []int64{m.Partition("esp").Start} }, "partition 1: ", func(i *inspect.Image) bool { return len(i.Subvolumes) > 0 && i.Origin == nil }},
		{"root", nil, func(m *manifest.Manifest) []int64 {
			at := m.Partition("root").Start
			return []int64{at + 64<<10, at + 64<<20}
		}, "partition 2: ", func(i *inspect.Image) bool { return len(i.Boot.Entries) == 3 && i.Swapfile == nil }},
		{"primary table", nil, func(*manifest.Manifest) []int64 { return []int64{0} }, "primary table: ", func(i *inspect.Image) bool { return len(i.Partitions) == 2 }},
		{"backup table", nil, func(m *manifest.Manifest) []int64 { return []int64{m.Image.Size - 4096} }, "backup table: ", func(i *inspect.Image) bool { return len(i.Partitions) == 2 }},
		{"entry", put("loader/entries/mkimage-demo.conf", "x"), nil, "/loader/entries/mkimage-demo.conf: 0 of the keys", func(i *inspect.Image) bool { return len(i.Boot.Entries) == 2 }},
		{"loader.conf", put("loader/loader.conf", "timeout x"), nil, "/loader/loader.conf: line 1", func(i *inspect.Image) bool { return len(i.Boot.Entries) == 3 }},
		{"loader", put("EFI/BOOT/BOOTX64.EFI", strings.Repeat("x", 99)), nil, "/EFI/BOOT/BOOTX64.EFI: ", func(i *inspect.Image) bool { return len(i.Boot.Entries) == 0 }},
		{"manifest", put("mkimage/manifest.json", "{}"), nil, "/mkimage/manifest.json: ", func(i *inspect.Image) bool { return i.Origin == nil && len(i.Boot.Entries) == 3 }},
		{"no manifest", func(s *smalldisk.Parts) {
			s.ESP = func(e *fstree.Tree) { d := e.Lookup("mkimage"); d.Remove(d.Child("manifest.json")) }
		}, nil, "", func(i *inspect.Image) bool { return i.Origin == nil && len(i.Boot.Entries) == 3 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, m := assemble(t, "systemd-boot", tt.change)
			if tt.damage != nil {
				for _, at := range tt.damage(m) {
					if _, err := f.WriteAt(make([]byte, 4096), at); err != nil {
						t.Fatal(err)
					}
				}
			}
			found := read(t, f)
			names := func(u string) bool { return strings.HasPrefix(u, tt.want) }
			if tt.want == "" && len(found.Unread) > 0 || tt.want != "" && !slices.ContainsFunc(found.Unread, names) {
				t.Errorf("unread %q; want %q", found.Unread, tt.want)
			}
			if !tt.ok(found) {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestReadNoTable(t *testing.T) {
	f, _ := assemble(t, "systemd-boot", nil)
	_, err := inspect.Read(t.Context(), io.NewSectionReader(f, 1<<20, 40<<20), 40<<20)
	if !errors.Is(err, gpt.ErrNone) || fault.ClassOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), "mkimage stat") {
		t.Errorf("error %v of class %v, hint %q", err, fault.ClassOf(err), fault.HintOf(err))
	}
}

// badSectors is a disk that cannot be read.
type badSectors struct{}

func (badSectors) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

func TestReadFails(t *testing.T) {
	_, err := inspect.Read(t.Context(), badSectors{}, 40<<20)
	if !errors.Is(err, syscall.EIO) || fault.ClassOf(err) != fault.Internal || fault.HintOf(err) != "" {
		t.Errorf("error %v of class %v, hint %q; want one of the host without a hint", err, fault.ClassOf(err), fault.HintOf(err))
	}
}
