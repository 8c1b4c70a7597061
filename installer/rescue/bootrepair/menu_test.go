package bootrepair

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

// open opens the system of a disk.
func (m made) open(t testing.TB) *system {
	t.Helper()
	root := m.table.Partitions[1]
	fsys, err := reader.Open(section(m.disk, root.Start, root.Size), root.Size)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openSystem(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWithout: what a stick does not have is missed only where nothing else has it.
func TestWithout(t *testing.T) {
	tests := []struct {
		name  string
		disk  func(testing.TB) made
		stick func(s *Stick)
		note  string // why nothing can be done; "" where it is
		files []string
	}{
		{"all", smallDisk, func(*Stick) {}, "", nil},
		{"an initramfs that is made", smallDisk, func(s *Stick) { s.Kernels[0].Initramfs = nil }, "", nil},
		{"an initramfs that is there", smallDisk, func(s *Stick) { s.Initramfs = nil }, "", nil},
		{"neither", smallDisk, func(s *Stick) { s.Kernels[0].Initramfs, s.Initramfs = nil, nil }, "the stick neither has nor makes one", nil},
		{"no plan", smallDisk, func(s *Stick) { s.Plan = nil }, "no stick has the plan of this host", nil},
		{"a plan of another host", smallDisk, func(s *Stick) { s.Plan.Layout.Root.Label = "fox" }, `the file system is called "nixos", that of bandit-minimal is "fox"`, nil},
		{"a plan of another layout", smallDisk, func(s *Stick) { s.Plan.Mounts[0].Subvol = "@root" }, "does not mount subvolume @root at /", nil},
		{"no kernel", smallDisk, func(s *Stick) { s.Kernels = nil }, "the system has modules of 6.1.0, and its kernels were on the ESP alone", nil},
		{"another kernel", smallDisk, func(s *Stick) { s.Kernels[0].Version = "6.1.1" }, "the system has modules of 6.1.0, and its kernels", nil},
		{"no initramfs", nixosDisk, func(s *Stick) { s.Initramfs, s.Kernels = nil, nil }, "", []string{
			"EFI/BOOT/BOOTX64.EFI", "EFI/nixos/8nmy5dyrj87qw782nwrrzfip8lclrzf3-linux-6.12.1-bzImage.efi",
			"EFI/nixos/dsig9rmr2d2xgdzwx2f3ymr7mp5bh4p5-initrd-6.12.1-initrd.efi", "EFI/systemd/systemd-bootx64.efi", "loader/entries.srel",
			"loader/entries/nixos-generation-1.conf", "loader/entries/nixos-generation-2.conf", "loader/loader.conf",
		}},
		{"files besides", nixosDisk, func(s *Stick) {
			s.Initramfs, s.Kernels = nil, nil
			s.Files = map[string][]byte{"mkimage/installed.json": []byte("{}")}
		}, "", []string{
			"EFI/BOOT/BOOTX64.EFI", "EFI/nixos/8nmy5dyrj87qw782nwrrzfip8lclrzf3-linux-6.12.1-bzImage.efi",
			"EFI/nixos/dsig9rmr2d2xgdzwx2f3ymr7mp5bh4p5-initrd-6.12.1-initrd.efi", "EFI/systemd/systemd-bootx64.efi", "loader/entries.srel",
			"loader/entries/nixos-generation-1.conf", "loader/entries/nixos-generation-2.conf", "loader/loader.conf", "mkimage/installed.json",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.disk(t)
			stick := m.stick(t).withKernel(m.esp(t))
			tt.stick(&stick)
			m.disk.wipe(t, m.table.Partitions[0].Start, mib)
			found, err := Diagnose(t.Context(), m.system(stick), nil)
			if err != nil {
				t.Fatal(err)
			}
			noted := slices.ContainsFunc(found.Notes, func(n string) bool { return strings.Contains(n, tt.note) })
			if tt.note != "" && !noted {
				t.Fatalf("notes %q; want %q", found.Notes, tt.note)
			}
			r, err := Repair(t.Context(), found, Choices{}, nil)
			if err != nil || len(r.Done) > 0 != (tt.note == "") || len(r.Left) > 0 != (tt.note != "") {
				t.Fatalf("%+v, %v", r, err)
			}
			if tt.files == nil {
				return
			}
			var got []string
			for name := range m.esp(t) {
				got = append(got, name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.files, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGenerations leaves out what cannot be started.
func TestGenerations(t *testing.T) {
	link := func(to string) *fstree.Inode {
		return &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: to, Size: int64(len(to))}
	}
	for _, current := range []string{"system-2-link", "system-3-link", "system-1-link"} {
		tree := newTree(nixosDisk(t).open(t))
		profiles, err := tree.follow("nix/var/nix/profiles")
		if err != nil {
			t.Fatal(err)
		}
		for name, to := range map[string]string{"system-3-link": nixcache.Path("nixos-system-fox-gone").String(), "system": current} {
			if _, err := profiles.Add(name, link(to)); err != nil {
				t.Fatal(err)
			}
		}
		s, skipped, err := tree.generations()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range s.Generations {
			got = append(got, g.FileName)
		}
		want := []string{"nixos-generation-2.conf", "nixos-generation-1.conf"}
		if current == "system-1-link" {
			slices.Reverse(want)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(skipped) != 1 || !strings.HasPrefix(skipped[0], "system-3-link: ") {
			t.Errorf("current %s: skipped %q, entries (-want +got):\n%s", current, skipped, diff)
		}
	}
}

// TestTreeLimits: symlinks in a circle, and the limit of what a tree holds.
func TestTreeLimits(t *testing.T) {
	tree := newTree(smallDisk(t).open(t))
	if e, err := tree.follow("sbin/init"); err != nil || e == nil || e.Path() != "usr/lib/systemd/systemd" {
		t.Errorf("sbin/init: %v, %v", e, err)
	}
	if e, err := tree.follow("usr/lib/os-release/x"); err != nil || e != nil {
		t.Errorf("below a file: %v, %v", e, err)
	}
	for i, name := range []string{"a", "b"} {
		to := "/" + string(rune('b'-i))
		if _, err := tree.Root().Add(name, &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: to, Size: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tree.follow("a"); err == nil || !strings.Contains(err.Error(), "too many levels") {
		t.Errorf("a circle: %v", err)
	}
	for n, want := range map[int]bool{maxSymlinks - 1: true, maxSymlinks: true, maxSymlinks + 1: false} {
		tree := newTree(smallDisk(t).open(t))
		for i := range n {
			to := fmt.Sprintf("link-%d", i+1)
			if i == n-1 {
				to = "usr"
			}
			if _, err := tree.Root().Add(fmt.Sprintf("link-%d", i), &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: to, Size: int64(len(to))}); err != nil {
				t.Fatal(err)
			}
		}
		if e, err := tree.follow("link-0"); (err == nil && e != nil) != want {
			t.Errorf("%d symlinks: %v, %v", n, e, err)
		}
	}
	for n, want := range map[int]bool{maxEntries - 2: true, maxEntries - 1: true, maxEntries: false} {
		tree := newTree(smallDisk(t).open(t))
		tree.count = n
		if _, err := tree.follow("usr"); (err == nil) != want {
			t.Errorf("with %d entries: %v", n, err)
		}
	}
}

// TestMostGenerations: at 4, 5 and 6 of them.
func TestMostGenerations(t *testing.T) {
	m := nixosDisk(t)
	for n, left := range map[int]int{maxGenerations - 1: 0, maxGenerations: 0, maxGenerations + 1: 1} {
		tree := newTree(m.open(t))
		profiles, err := tree.follow("nix/var/nix/profiles")
		if err != nil {
			t.Fatal(err)
		}
		top := nixcache.Path(nixcache.Toplevel("26.05")).String()
		for i := 3; i <= n; i++ {
			if _, err := profiles.Add(fmt.Sprintf("system-%d-link", i), &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: top, Size: int64(len(top))}); err != nil {
				t.Fatal(err)
			}
		}
		s, skipped, err := tree.generations()
		if err != nil || len(skipped) != left || len(s.Generations) != n-left || s.Generations[0].Number != 2 {
			t.Errorf("%d: %d are left, %q, %v", n, len(s.Generations), skipped, err)
		}
	}
}

// TestFit leaves out generations that the ESP has no room for, the oldest first.
func TestFit(t *testing.T) {
	disk := nixosDisk(t)
	for _, tt := range []struct {
		name    string
		initrds []int // bytes, of the current generation and the one before
		want    int   // generations; 0 for an error
	}{
		{"both", []int{20 << 20, 20 << 20}, 2}, {"one", []int{30 << 20, 40 << 20}, 1}, {"none", []int{70 << 20, 1}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &menu{disk: disk.open(t), plan: disk.plan, rebuilt: true}
			m.tree = newTree(m.disk)
			s, _, err := m.tree.generations()
			if err != nil {
				t.Fatal(err)
			}
			for i, size := range tt.initrds {
				g := &s.Generations[i]
				g.Entry.Initrd = fmt.Sprintf("EFI/nixos/initrd-%d.efi", i)
				if g.Initrd, err = m.tree.Root().Add(fmt.Sprintf("initrd-%d", i), &fstree.Inode{Mode: fstree.TypeRegular, Size: int64(size)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.findArchives(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			err = m.fit(s, esp.Params{Size: 64 << 20, Label: "ESP", Serial: 1})
			if (err == nil) != (tt.want > 0) || err != nil && (fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "ESP: needs")) {
				t.Fatalf("fit: %v", err)
			}
			if err == nil && len(m.boot.Generations) != tt.want {
				t.Errorf("%d generations, %q; want %d", len(m.boot.Generations), m.notes, tt.want)
			}
		})
	}
}

// TestKeepsOthers: what of the menu is somebody else's, or can be used, stays.
func TestKeepsOthers(t *testing.T) {
	imgtest.Need(t, "mcopy", "mdel")
	m := nixosDisk(t)
	files := m.esp(t)
	stick := m.stick(t).withKernel(files)
	generation := strings.Replace(files["loader/entries/nixos-generation-2.conf"], "loglevel=4", "loglevel=7", 1)
	broken := strings.ReplaceAll(files["loader/entries/nixos-generation-1.conf"], "/EFI/nixos/", "/EFI/nixos/gone-")
	add := map[string]string{
		"loader/entries/windows.conf":            "title Windows\nefi /EFI/Microsoft/bootmgfw.efi\n",
		"loader/entries/nixos-abcdef.conf":       generation,
		"loader/entries/nixos-generation-1.conf": broken,
		"EFI/BOOT/BOOTX64.EFI":                   files["EFI/systemd/systemd-bootx64.efi"] + "newer",
		"loader/loader.conf":                     "timeout 9\ndefault nixos-abc*\n",
	}
	m.onESP(t, func(file string) {
		run(t, "mdel", "-i", file, "::/loader/entries/nixos-generation-2.conf", "::/loader/entries/mkimage-bandit-minimal-rescue.conf")
		for name, text := range add {
			writeTo(t, file, name, text)
		}
	})
	found, err := Diagnose(t.Context(), m.system(stick), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(t.Context(), found, Choices{Mount: m.mount(t)}, nil); err != nil {
		t.Fatal(err)
	}
	want := m.esp(t)
	for name, text := range files {
		if name != "loader/entries/nixos-generation-2.conf" {
			want[name] = text
		}
	}
	for name, text := range add {
		if name != "loader/entries/nixos-generation-1.conf" {
			want[name] = text
		}
	}
	wantFiles(t, want, m.esp(t))
	if _, there := m.esp(t)["loader/entries/nixos-generation-2.conf"]; there {
		t.Error("the generation is in the menu twice")
	}
	if len(found.List) != 2 {
		t.Errorf("findings %+v; want that of generation 1 and of the rescue entry", found.List)
	}
}

// TestDefaults: a default of the boot loader that names no entry is put back.
func TestDefaults(t *testing.T) {
	for _, tt := range []struct {
		pattern, file string
		want          bool
	}{
		{"nixos-generation-2.conf", "nixos-generation-2.conf", true},
		{"nixos-generation-2.conf", "nixos-generation-2+3-1.conf", true},
		{"nixos-*", "nixos-generation-1.conf", true},
		{"@saved", "x.conf", true},
		{"nixos-generation-3.conf", "nixos-generation-2.conf", false},
		{"[", "x.conf", false},
	} {
		if got := isDefault(tt.pattern, tt.file); got != tt.want {
			t.Errorf("isDefault(%q, %q) = %v", tt.pattern, tt.file, got)
		}
	}
}

// TestRoot: an entry for the root of another disk does not start this system.
func TestRoot(t *testing.T) {
	c := &comparison{want: map[string][]byte{"linux": nil}, root: seed.UUID("root")}
	for options, want := range map[string]bool{
		"root=PARTUUID=" + seed.UUID("root").String(): true, "mkimage.root=PARTUUID=" + seed.UUID("root").String() + " root=fstab": true,
		"root=LABEL=nixos": true, "": true, "root=PARTUUID=" + seed.UUID("other").String(): false,
	} {
		if got := c.problem(bls.Entry{Linux: "/linux", Options: options}); (got == "") != want {
			t.Errorf("%q: %q", options, got)
		}
	}
}
