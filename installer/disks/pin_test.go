package disks_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// loop attaches a file to a loop device, with partitions when asked for, and
// returns the node.
func loop(t *testing.T, name string, args ...string) string {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	node := strings.TrimSpace(run(t, "losetup", append(append([]string{"--show", "-f"}, args...), name)...))
	t.Cleanup(func() { run(t, "losetup", "-d", node) })
	return node
}

func TestPinFile(t *testing.T) {
	name := file(t, 1<<20)
	f := open(t, name)
	for _, size := range []int64{1<<20 - 1, 1 << 20, 1<<20 + 1} {
		err := disks.Scanner{}.Check(disks.Pin{Size: size}, f)
		if (err == nil) != (size == 1<<20) || err != nil && fault.ClassOf(err) != fault.Target {
			t.Errorf("size %d of a file of 1 MiB: %v", size, err)
		}
	}
	if err := (disks.Scanner{}).Check(disks.Pin{Size: 1 << 20, Serial: "x"}, f); err == nil {
		t.Error("a serial number that the file does not have: no error")
	}
}

func TestPinDevice(t *testing.T) {
	node := loop(t, file(t, 4<<20))
	s := disks.Scanner{Loop: true}
	d, err := s.One(context.Background(), node)
	if err != nil {
		t.Fatal(err)
	}
	if d.Bus != "loop" || d.Size != 4<<20 || d.Diskseq == 0 || !d.Empty() {
		t.Fatalf("%#v; want an empty loop device of 4 MiB with a diskseq", d)
	}
	raw, err := rawdisk.Open(node, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	pin := disks.PinOf(d)
	for _, f := range []disks.OpenFile{open(t, node), raw} {
		if err := s.Check(pin, f); err != nil {
			t.Errorf("%T of the disk itself: %v", f, err)
		}
		for _, other := range []disks.Pin{{pin.Diskseq + 1, pin.Serial, pin.Size}, {pin.Diskseq, "other", pin.Size}, {pin.Diskseq, pin.Serial, pin.Size + 512}} {
			if err := s.Check(other, f); fault.ClassOf(err) != fault.Target {
				t.Errorf("%T, %+v instead of %+v: %v; want class target", f, other, pin, err)
			}
		}
		if err := s.Check(disks.Pin{Size: pin.Size}, f); err != nil {
			t.Errorf("%T, no diskseq: %v", f, err)
		}
	}
}

// TestPinSwapped gives the node to another file, between the choice and the
// opening.
func TestPinSwapped(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	a, b := file(t, 4<<20), file(t, 4<<20)
	node := strings.TrimSpace(run(t, "losetup", "--show", "-f", a))
	s := disks.Scanner{Loop: true}
	d, err := s.One(context.Background(), node)
	run(t, "losetup", "-d", node)
	if err != nil {
		t.Fatal(err)
	}
	run(t, "losetup", node, b)
	t.Cleanup(func() { run(t, "losetup", "-d", node) })
	if err := s.Check(disks.PinOf(d), open(t, node)); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "diskseq") {
		t.Errorf("another file at %s: %v; want a refusal by diskseq", node, err)
	}
}

// TestUsesOfTheKernel mounts a partition of a loop device, and swaps to another.
func TestUsesOfTheKernel(t *testing.T) {
	imgtest.Need(t, "sfdisk", "mkfs.btrfs", "mke2fs", "mount", "umount")
	name := file(t, 300<<20)
	if err := os.WriteFile(name+".table", []byte("label: gpt\nsize=150MiB\nsize=8MiB\nsize=8MiB\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "sh", "-c", "sfdisk -q "+name+" < "+name+".table")
	node := loop(t, name, "-P")
	base := filepath.Base(node)
	run(t, "mkfs.btrfs", "-q", "-L", "used", node+"p1")
	run(t, "mke2fs", "-q", "-F", node+"p2")
	want := map[disks.Use]bool{}
	for _, n := range []string{"p1", "p2"} {
		dir := filepath.Join(t.TempDir(), "m "+n)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "mount", node+n, dir)
		t.Cleanup(func() { run(t, "umount", dir) })
		want[disks.Use{Device: base + n, Kind: "mount", By: dir}] = true
	}
	list, err := disks.Scanner{Loop: true}.Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if d.Name != base {
			continue
		}
		if len(d.Uses) != len(want) || !want[d.Uses[0]] || !want[d.Uses[1]] {
			t.Errorf("uses %+v; want %+v", d.Uses, want)
		}
		if len(d.Partitions) != 3 || d.Partitions[0].Name != base+"p1" || d.Partitions[0].Contents[0].Label != "used" {
			t.Errorf("partitions %+v; want three with the kernel's names", d.Partitions)
		}
		if f, _ := disks.Judge(d, disks.Wants{Medium: noMedium, Erase: true}).Rejected(); f.Rule != disks.RuleUnused {
			t.Errorf("rejected by %q; want %q", f.Rule, disks.RuleUnused)
		}
		if _, err := (disks.Scanner{}).One(context.Background(), node+"p1"); err == nil || !strings.Contains(err.Error(), "is a partition") {
			t.Errorf("One of a partition: %v; want a refusal", err)
		}
		return
	}
	t.Errorf("%s is not in the list", base)
}
