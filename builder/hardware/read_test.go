package hardware

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// assemble reads an image of parts that a test changes.
func assemble(t *testing.T, change func(*smalldisk.Parts)) (*Hardware, *manifest.Manifest, error) {
	t.Helper()
	s, err := smalldisk.New("systemd-boot")
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
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	h, err := Read(t.Context(), f, m.Image.Size)
	return h, m, err
}

// mustAssemble is assemble of a disk that can be read.
func mustAssemble(t *testing.T, change func(*smalldisk.Parts)) (*Hardware, *manifest.Manifest) {
	t.Helper()
	h, m, err := assemble(t, change)
	if err != nil {
		t.Fatal(err)
	}
	return h, m
}

// putFstab puts another fstab into the source.
func putFstab(s *smalldisk.Parts, text string) {
	remove(s.Source, "etc/fstab")
	if err := loader.Put(s.Source, "etc/fstab", []byte(text), s.Plan.Epoch); err != nil {
		panic(err)
	}
}

func remove(tree *fstree.Tree, name string) {
	e := tree.Lookup(name)
	e.Parent().Remove(e)
}

func noManifest(tree *fstree.Tree) { remove(tree, manifest.ESPPath) }

// TestRead: a disk as it is built says what its plan says, and the offset.
func TestRead(t *testing.T) {
	h, m := mustAssemble(t, nil)
	want := Plan(m.Plan)
	want.From = FromFstab
	want.Resume = &Resume{Device: want.Resume.Device, Offset: m.Swapfile.ResumeOffset}
	want.Swapfile.Size, want.Swapfile.Fragments = 1<<20, 1
	for i := range want.Mounts {
		want.Mounts[i].Pass = 0 // as the fstab of a small disk has it
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	text, err := h.Nix()
	if err != nil {
		t.Fatal(err)
	}
	parse(t, text)
}

// TestReadRewritten reads a disk that is written to meanwhile: it is read again,
// until it was not.
func TestReadRewritten(t *testing.T) {
	for _, times := range []int{0, 1, 7, 8} {
		s, err := smalldisk.New("systemd-boot")
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "disk.img")
		m, err := s.Assemble(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r := &imgtest.Rewritten{ReaderAt: f, Start: m.Plan.Partition(plan.RoleRoot).Start, Times: times}
		h, err := Read(t.Context(), r, m.Image.Size)
		if want := min(times+1, 8); r.Opened() != want {
			t.Errorf("rewritten %d times: opened %d times; want %d", times, r.Opened(), want)
		}
		if times == 8 {
			refused(t, err, "(read 8 times, and was written to each time)")
		} else if err != nil || len(h.Unread) > 0 || h.Resume == nil || h.Resume.Offset != m.Swapfile.ResumeOffset {
			t.Errorf("rewritten %d times: %+v, %v", times, h, err)
		}
	}
}

// TestReadManifest: where there is no fstab, the manifest says what is mounted.
func TestReadManifest(t *testing.T) {
	h, m := mustAssemble(t, func(s *smalldisk.Parts) { remove(s.Source, "etc/fstab") })
	want := Plan(m.Plan)
	if diff := cmp.Diff(want.Mounts, h.Mounts); h.From != FromManifest || diff != "" {
		t.Errorf("from %s: %s", h.From, diff)
	}
	if h.Resume == nil || h.Resume.Offset != m.Swapfile.ResumeOffset {
		t.Errorf("resume %+v; want offset %d", h.Resume, m.Swapfile.ResumeOffset)
	}
}

// TestReadStrange: a disk of somebody else has no manifest.
func TestReadStrange(t *testing.T) {
	h, m := mustAssemble(t, func(s *smalldisk.Parts) { s.ESP = noManifest })
	if h.From != FromFstab || h.Modules != nil || len(h.Unread) > 0 {
		t.Errorf("from %s, modules %q, unread %q", h.From, h.Modules, h.Unread)
	}
	if h.Resume == nil || h.Resume.Offset != m.Swapfile.ResumeOffset {
		t.Errorf("resume %+v; want offset %d", h.Resume, m.Swapfile.ResumeOffset)
	}
}

func TestReadDamagedManifest(t *testing.T) {
	h, _ := mustAssemble(t, func(s *smalldisk.Parts) {
		s.ESP = func(tree *fstree.Tree) {
			noManifest(tree)
			if err := loader.Put(tree, manifest.ESPPath, []byte("{"), s.Plan.Epoch); err != nil {
				t.Error(err)
			}
		}
	})
	if len(h.Unread) != 1 || !strings.HasPrefix(h.Unread[0], "/mkimage/manifest.json: ") || h.Resume == nil {
		t.Errorf("unread %q, resume %+v", h.Unread, h.Resume)
	}
}

// TestReadMemoryRoot: an fstab has no line for a root in memory.
func TestReadMemoryRoot(t *testing.T) {
	h, m := mustAssemble(t, func(s *smalldisk.Parts) {
		remake(t, s, func(p *plan.Plan) { p.Layout.Tmpfs.Size, p.Layout.Tmpfs.Mode = "1G", "755" })
		table := Plan(s.Plan).Fstab()
		putFstab(s, string(table))
	})
	if h.From != FromFstab || h.Mounts[0].Target != "/" || h.Mounts[0].Type != "tmpfs" || len(h.Mounts) != len(m.Plan.Mounts) {
		t.Errorf("from %s: %+v", h.From, h.Mounts)
	}
	if h.Resume == nil || h.Resume.Offset != m.Swapfile.ResumeOffset {
		t.Errorf("resume %+v; want offset %d", h.Resume, m.Swapfile.ResumeOffset)
	}
}

// TestReadRootOfFstab: the line that there is holds, whatever was planned.
func TestReadRootOfFstab(t *testing.T) {
	h, _ := mustAssemble(t, func(s *smalldisk.Parts) {
		remake(t, s, func(p *plan.Plan) { p.Layout.Tmpfs.Size, p.Layout.Tmpfs.Mode = "1G", "755" })
		putFstab(s, "LABEL=system / btrfs subvol=@")
	})
	if diff := cmp.Diff([]Mount{{"LABEL=system", "/", "btrfs", []string{"subvol=@"}, 0}}, h.Mounts); diff != "" {
		t.Error(diff)
	}
}

// linuxData is the type of a partition whose use nothing is said of.
var linuxData = ids.UUID{0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*smalldisk.Parts)
		want   string
	}{
		{"nothing says what is mounted", func(s *smalldisk.Parts) {
			remove(s.Source, "etc/fstab")
			s.ESP = noManifest
		}, "0 writable subvolumes have a file etc/fstab"},
		{"two systems", func(s *smalldisk.Parts) {
			if err := loader.Put(s.Source, "home/etc/fstab", []byte("a / t"), s.Plan.Epoch); err != nil {
				t.Error(err)
			}
			s.ESP = noManifest
		}, "2 writable subvolumes have a file etc/fstab"},
		{"large", func(s *smalldisk.Parts) { putFstab(s, strings.Repeat("#", maxFstab+1)) }, "@/etc/fstab: 1048577 bytes, expected at most 1048576"},
		{"line", func(s *smalldisk.Parts) { putFstab(s, "a b") }, "@/etc/fstab: line 1: got 2 fields"},
		{"no root", func(s *smalldisk.Parts) { s.Table = func(table *gpt.Table) { table.Partitions = table.Partitions[:1] } }, "no partition with a btrfs file system among 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := assemble(t, tt.change)
			refused(t, err, tt.want)
		})
	}
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v; want %q of class Input", err, want)
	}
}

// fileSystem writes a btrfs file system of one fstab to a disk, and returns its
// size.
func fileSystem(t *testing.T, w *shifted, seed byte, table string) int64 {
	t.Helper()
	tree := fstree.New()
	if err := loader.Put(tree, "etc/fstab", []byte(table), plan.DefaultEpoch); err != nil {
		t.Fatal(err)
	}
	tree.Freeze()
	done, err := btrfs.Write(t.Context(), w, tree, btrfs.Params{Label: "data", Seed: ids.Seed{seed}})
	if err != nil {
		t.Fatal(err)
	}
	return done.Size
}

type shifted struct {
	disk *imgtest.MemDisk
	at   int64
}

func (s *shifted) WriteAt(b []byte, at int64) (int, error) { return s.disk.WriteAt(b, s.at+at) }

// TestReadOtherTypes: a file system in a partition of any type is the root when
// it is the only one, or when the others are not of the type of a root.
func TestReadOtherTypes(t *testing.T) {
	tests := []struct {
		name  string
		types []ids.UUID
		want  string // what is mounted at /, or the error
	}{
		{"only one", []ids.UUID{linuxData}, "fs0"},
		{"two", []ids.UUID{linuxData, linuxData}, "2 partitions with btrfs, and none of the type of a root"},
		{"root second", []ids.UUID{linuxData, plan.TypeRootX86_64}, "fs1"},
		{"root first", []ids.UUID{plan.TypeRootX86_64, linuxData}, "fs0"},
		{"two roots", []ids.UUID{plan.TypeRootX86_64, plan.TypeRootX86_64}, "fs0"},
		{"root between", []ids.UUID{linuxData, plan.TypeRootX86_64, linuxData}, "fs1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := imgtest.NewMemDisk(512 << 20)
			table := gpt.Table{GUID: ids.UUID{9}, SectorSize: 512, DiskSize: disk.Size()}
			for i, kind := range tt.types {
				start := int64(1+i*128) << 20
				size := fileSystem(t, &shifted{disk, start}, byte(i), "fs"+string(rune('0'+i))+" / btrfs")
				table.Partitions = append(table.Partitions, gpt.Partition{Type: kind, GUID: ids.UUID{1, byte(i)}, Start: start, Size: size})
			}
			table, err := gpt.Place(table)
			if err != nil {
				t.Fatal(err)
			}
			if err := gpt.Write(disk, table); err != nil {
				t.Fatal(err)
			}
			h, err := Read(t.Context(), disk, disk.Size())
			if len(tt.want) > 3 {
				refused(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Mounts[0].What != tt.want || len(h.Partitions) != len(tt.types) || h.Partitions[0].FSType != "btrfs" {
				t.Errorf("mounts %+v, partitions %+v; want %s", h.Mounts, h.Partitions, tt.want)
			}
		})
	}
}

// TestReadFileSystem reads one without a partition table.
func TestReadFileSystem(t *testing.T) {
	disk := imgtest.NewMemDisk(256 << 20)
	size := fileSystem(t, &shifted{disk, 0}, 1, "/dev/vda / btrfs")
	h, err := Read(t.Context(), disk, size)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Hardware{From: FromFstab, Mounts: []Mount{{"/dev/vda", "/", "btrfs", []string{"defaults"}, 0}}, Swaps: []Swap{}}, h); diff != "" {
		t.Error(diff)
	}
	_, err = Read(t.Context(), imgtest.NewMemDisk(1<<20), 1<<20)
	refused(t, err, "no GUID partition table")
	if !errors.Is(err, gpt.ErrNone) {
		t.Errorf("error %v; want ErrNone in it", err)
	}
}

// TestReadDefault: of several systems, the default subvolume is the root.
func TestReadDefault(t *testing.T) {
	for _, tt := range []struct{ name, def, want string }{{"top level", "", "a"}, {"subvolume", "b", "b"}} {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstree.New()
			for name, table := range map[string]string{"etc/fstab": "a / btrfs", "b/etc/fstab": "b / btrfs"} {
				if err := loader.Put(tree, name, []byte(table), plan.DefaultEpoch); err != nil {
					t.Fatal(err)
				}
			}
			tree.Freeze()
			disk := imgtest.NewMemDisk(256 << 20)
			done, err := btrfs.Write(t.Context(), disk, tree, btrfs.Params{Subvolumes: []btrfs.Subvolume{{Path: "b", Source: "b"}}, Default: tt.def})
			if err != nil {
				t.Fatal(err)
			}
			h, err := Read(t.Context(), disk, done.Size)
			if err != nil {
				t.Fatal(err)
			}
			if h.Mounts[0].What != tt.want {
				t.Errorf("mounts %+v; want those of %s", h.Mounts, tt.want)
			}
		})
	}
}

func TestReadCancelled(t *testing.T) {
	disk := imgtest.NewMemDisk(256 << 20)
	size := fileSystem(t, &shifted{disk, 0}, 1, "/dev/vda / btrfs")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, disk, size); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
