package inventory

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	btrfs "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// diskSize returns the bytes of the disk.
func (i *testDisk) diskSize() int64 { return i.made.Image.Size }

// blocks returns where the copies of a tree's root are on the disk.
func (i *testDisk) blocks(tree uint64) (at []int64) {
	i.t.Helper()
	f, err := os.Open(i.name)
	must(i.t, err)
	defer f.Close()
	root := i.part(plan.RoleRoot)
	opened, err := btrfs.Open(io.NewSectionReader(f, root.Start, root.Size), root.Size)
	must(i.t, err)
	ref, err := opened.RootRef(tree)
	must(i.t, err)
	copies, err := opened.Copies(ref.Bytenr, int64(opened.Super().NodeSize))
	must(i.t, err)
	for _, c := range copies {
		at = append(at, root.Start+int64(c))
	}
	return at
}

// TestDamage damages a disk, and wants the problem told, and the system all the same.
func TestDamage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(i *testDisk)
		want   []string // problems, as texts has them
		lost   bool     // the system is not told any more
	}{
		{"primary table", func(i *testDisk) { i.zero(0, 1<<20) }, []string{"note laptop.img: partition table: "}, false},
		{"both tables", func(i *testDisk) { i.zero(0, 1<<20); i.zero(i.diskSize()-1<<20, 1<<20) }, []string{"boot laptop.img: partition table: is gone; 2 file systems are still there"}, false},
		{"rest of a table", func(i *testDisk) {
			i.zero(0, 1<<20)
			i.zero(i.diskSize()-1<<20, 1<<20)
			i.write(512, []byte("EFI PART"))
		}, []string{"boot laptop.img: partition table: ", "; 2 file systems are still there"}, false},
		{"no ESP", func(i *testDisk) { i.zero(i.part(plan.RoleESP).Start, 1<<20) }, []string{"boot laptop.img#1: ESP: FAT32 boot sector: signature 0000"}, false},
		{"ESP without its tables", func(i *testDisk) { i.zero(i.part(plan.RoleESP).Start+32*512, 64<<10) }, []string{"boot laptop.img#1: ESP: "}, false},
		{"first superblock", func(i *testDisk) { i.zero(i.part(plan.RoleRoot).Start+64<<10, 4096) }, []string{"boot laptop.img#2: superblock: the first copy is damaged, copy 2 is whole"}, false},
		{"all superblocks", func(i *testDisk) {
			i.zero(i.part(plan.RoleRoot).Start+64<<10, 4096)
			i.zero(i.part(plan.RoleRoot).Start+64<<20, 4096)
		}, []string{"damage laptop.img#2: the partition of a system holds nothing that is known"}, true},
		{"one copy of the root tree", func(i *testDisk) { i.zero(i.blocks(ondisk.RootTree)[0]+200, 100) }, []string{"damaged cop", "copy 1 of 2"}, false},
		{"all copies of the root tree", func(i *testDisk) {
			for _, at := range i.blocks(ondisk.RootTree) {
				i.zero(at+200, 100)
			}
		}, []string{`damage laptop.img#2: btrfs "system": `}, true},
		{"both copies of a subvolume", func(i *testDisk) {
			for _, at := range i.blocks(256) { // @
				i.zero(at+200, 100)
			}
		}, []string{"damage laptop.img#2: cannot be read: /etc/os-release, /usr/lib/os-release, /etc/hostname, /etc/fstab and "}, false},
		{"disk cut short", func(i *testDisk) { must(i.t, os.Truncate(i.name, i.part(plan.RoleRoot).Start+40<<20)) }, []string{"; 2 file systems are still there", `damage laptop.img@36700160: btrfs "system": truncated`}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := laptop(t)
			tt.damage(i)
			inv := take(t, Options{Plan: i.plan}, i.name)
			for _, want := range tt.want {
				if got := texts(inv); !strings.Contains(got, want) {
					t.Errorf("problems:\n%swant %q", got, want)
				}
			}
			if (len(inv.Systems) == 0) != tt.lost || !tt.lost && inv.Mine != inv.Systems[0].ID {
				t.Errorf("%d systems, the host's is %q; want it lost: %v", len(inv.Systems), inv.Mine, tt.lost)
			}
			if !tt.lost && len(inv.Systems[0].Subvolumes) < 8 {
				t.Errorf("subvolumes: %v", inv.Systems[0].Subvolumes)
			}
		})
	}
}

// TestDamagedGolden: many things at once, the worst first.
func TestDamagedGolden(t *testing.T) {
	i := laptop(t)
	i.zero(0, 1<<20)
	i.zero(i.part(plan.RoleESP).Start, 1<<20)
	for _, at := range i.blocks(256) {
		i.zero(at+200, 100)
	}
	i.sleep()
	golden(t, "damaged", take(t, Options{Plan: i.plan}, i.name))
}

// sleep marks the swapfile as the kernel does when it hibernates.
func (i *testDisk) sleep() {
	i.write(i.part(plan.RoleRoot).Start+i.made.Swapfile.ResumeOffset*4096+4086, []byte("S1SUSPEND\x00"))
}

// TestBootMenu takes things off an ESP, or changes them.
func TestBootMenu(t *testing.T) {
	entry := bls.EntriesDir + "/mkimage-demo.conf"
	tests := []struct {
		name   string
		change func(p *smalldisk.Parts) map[string]string // files of the ESP: "" removes
		want   string
		loader string
		first  string // ID of the default
	}{
		{"as made", nil, "", LoaderSystemdBoot, "mkimage-demo"},
		{"no fallback", files(bls.FallbackPath, ""), "there is no boot loader at /EFI/BOOT/BOOTX64.EFI", LoaderSystemdBoot, "mkimage-demo"},
		{"no loader", files(bls.FallbackPath, "", systemdPath, ""), "there is no boot loader at /EFI/BOOT/BOOTX64.EFI", "", "mkimage-demo"},
		{"loader is no program", files(bls.FallbackPath, "text"), "/EFI/BOOT/BOOTX64.EFI: ", LoaderSystemdBoot, "mkimage-demo"},
		{"default is gone", files(entry, ""), "", LoaderSystemdBoot, "mkimage-demo-factory"},
		{"no entries", files(entry, "", bls.EntriesDir+"/mkimage-demo-factory.conf", "", bls.EntriesDir+"/mkimage-demo-rescue.conf", ""), "the boot menu has no entries", "", ""},
		{"entry without its kernel", files(entry, "title x\nlinux /gone\ninitrd /too\n"), "entry mkimage-demo: /gone, /too is not there", LoaderSystemdBoot, "mkimage-demo"},
		{"entry with another root", files(entry, "title x\nlinux /loader/loader.conf\noptions root=UUID=00000000-0000-0000-0000-000000000000\n"), "entry mkimage-demo: its root UUID=00000000-0000-0000-0000-000000000000 is on no disk that was read", LoaderSystemdBoot, "mkimage-demo"},
		{"entry too long", files(entry, strings.Repeat("x", maxEntry+1)), "mkimage-demo.conf: ", LoaderSystemdBoot, "mkimage-demo-factory"},
		{"entry as long as may be", files(entry, "linux /loader/loader.conf\n#"+strings.Repeat("x", maxEntry-27)), "", LoaderSystemdBoot, "mkimage-demo"},
		{"manifest damaged", files("mkimage/manifest.json", "{"), "/mkimage/manifest.json: ", LoaderSystemdBoot, "mkimage-demo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parts(t, loader.SystemdBoot)
			if tt.change != nil {
				changeESP(t, s, tt.change(s))
			}
			i := assemble(t, s)
			inv := take(t, Options{Plan: i.plan}, i.name)
			got := texts(inv)
			if tt.want == "" && strings.Contains(got, "boot ") || !strings.Contains(got, tt.want) {
				t.Errorf("problems:\n%swant %q", got, tt.want)
			}
			if len(inv.Systems) != 1 || inv.Systems[0].ESP == nil {
				t.Fatalf("systems: %+v", inv.Systems)
			}
			e := inv.Systems[0].ESP
			first := ""
			if at := slices.IndexFunc(e.Entries, func(x Entry) bool { return x.Default }); at >= 0 {
				first = e.Entries[at].ID
			}
			if e.Loader != tt.loader || first != tt.first {
				t.Errorf("loader %q, default %q; want %q, %q", e.Loader, first, tt.loader, tt.first)
			}
		})
	}
}

// files are changes of an ESP: names and contents by turns.
func files(list ...string) func(*smalldisk.Parts) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return func(*smalldisk.Parts) map[string]string { return m }
}

// TestLoaders: the boot loaders are told apart, and their menus read.
func TestLoaders(t *testing.T) {
	for name, entries := range map[string]int{loader.SystemdBoot: 3, loader.GRUB: 3, loader.UKI: 1} {
		i := assemble(t, parts(t, name))
		inv := take(t, Options{Plan: i.plan}, i.name)
		e := inv.Systems[0].ESP
		if e.Loader != name || len(e.Entries) != entries || !e.Entries[0].Default || len(e.Entries[0].Missing) > 0 || !strings.Contains(e.Entries[0].Options, "root=") {
			t.Errorf("%s: loader %q, entries %+v; want %d", name, e.Loader, e.Entries, entries)
		}
		if len(inv.Problems) != 1 { // an installation that is not switched to
			t.Errorf("%s: problems:\n%s", name, texts(inv))
		}
	}
}

// node is a disk in memory, of which a read may be held up.
type node struct {
	io.ReaderAt
	size  int64
	never chan struct{} // nil answers
}

func (n *node) Size() int64  { return n.size }
func (n *node) Close() error { return nil }

func (n *node) ReadAt(p []byte, off int64) (int, error) {
	if n.never != nil {
		<-n.never
	}
	return n.ReaderAt.ReadAt(p, off)
}

// TestHangingDisk: a disk that does not answer is given up, and the other one is told.
func TestHangingDisk(t *testing.T) {
	i, other := laptop(t), laptop(t)
	never := make(chan struct{})
	defer close(never)
	open := func(name string) (disks.Node, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		n := &node{ReaderAt: f, size: i.diskSize()}
		if name == other.name {
			n.never = never
		}
		return n, nil
	}
	o := Options{Plan: i.plan, Scanner: disks.Scanner{Open: open}, Patience: disks.Patience{Read: 50 * time.Millisecond, Whole: time.Minute}}
	inv := take(t, o, other.name, i.name)
	if len(inv.Systems) != 1 || inv.Mine == "" {
		t.Errorf("systems: %+v; want that of the disk that answers", inv.Systems)
	}
	if got := texts(inv); !strings.Contains(got, "damage laptop.img: ") || !strings.Contains(got, "does not answer") {
		t.Errorf("problems:\n%s", got)
	}
}

// TestCancelled: a context that is over is the error.
func TestCancelled(t *testing.T) {
	i := laptop(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, Options{Images: []string{i.name}}); err == nil {
		t.Error("no error")
	}
}

// FuzzTake damages eight bytes anywhere on a disk: it is told without a panic.
func FuzzTake(f *testing.F) {
	i := laptop(f)
	data, err := os.ReadFile(i.name)
	must(f, err)
	root, esp := i.part(plan.RoleRoot).Start, i.part(plan.RoleESP).Start
	for _, at := range []int64{0, 512, esp, esp + 16<<10, root + 64<<10, root + 64<<10 + 128, i.blocks(ondisk.RootTree)[0], i.blocks(256)[0] + 101, i.diskSize() - 512} {
		f.Add(at, uint64(0x0102030405060708))
	}
	f.Fuzz(func(t *testing.T, at int64, value uint64) {
		if at < 0 || at > int64(len(data))-8 {
			return
		}
		var change [8]byte
		binary.LittleEndian.PutUint64(change[:], value)
		o := Options{Plan: i.plan, Images: []string{i.name}, Scanner: disks.Scanner{Open: func(string) (disks.Node, error) {
			return &node{ReaderAt: &changed{bytes.NewReader(data), at, change[:]}, size: int64(len(data))}, nil
		}}}
		inv, err := Take(t.Context(), o)
		must(t, err)
		must(t, Text(io.Discard, inv, 80))
		for _, p := range inv.Problems {
			if strings.HasPrefix(p.Text, "bug: ") {
				t.Error(fmt.Sprint(p))
			}
		}
	})
}

// changed is a disk with some other bytes.
type changed struct {
	io.ReaderAt
	at   int64
	with []byte
}

func (c *changed) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	for i, b := range c.with {
		if at := c.at + int64(i) - off; at >= 0 && at < int64(n) {
			p[at] = b
		}
	}
	return n, err
}

// TestLostWithoutPlan: where nobody says which machine it is, one file system leads to the
// next.
func TestLostWithoutPlan(t *testing.T) {
	i := laptop(t)
	i.zero(0, 1<<20)
	i.zero(i.diskSize()-1<<20, 1<<20)
	inv := take(t, Options{}, i.name)
	root := i.part(plan.RoleRoot)
	if len(inv.Systems) != 1 || inv.Systems[0].ESP == nil || inv.Systems[0].Root != (Place{Disk: i.name, Start: root.Start, Size: root.Size}) {
		t.Errorf("systems %+v, problems:\n%s", inv.Systems, texts(inv))
	}
}
