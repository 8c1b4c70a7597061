package disks_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// TestUsesOfTheKernel mounts file systems on loop devices.
func TestUsesOfTheKernel(t *testing.T) {
	imgtest.Need(t, "mkfs.btrfs", "mke2fs", "mount", "umount")
	want := map[string]string{}
	for _, mkfs := range [][]string{{"mkfs.btrfs", "-q", "-L", "used"}, {"mke2fs", "-q", "-F", "-L", "used"}} {
		name := file(t, 128<<20)
		run(t, mkfs[0], append(mkfs[1:], name)...)
		node := loop(t, name)
		dir := filepath.Join(t.TempDir(), "with space")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "mount", node, dir)
		t.Cleanup(func() { run(t, "umount", dir) })
		want[filepath.Base(node)] = dir
	}
	list, err := disks.Scanner{Loop: true}.Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		dir, ok := want[d.Name]
		if !ok {
			continue
		}
		delete(want, d.Name)
		if diff := cmp.Diff([]disks.Use{{Device: d.Name, Kind: "mount", By: dir}}, d.Uses); diff != "" {
			t.Errorf("uses of %s (-want +got):\n%s", d.Name, diff)
		}
		if len(d.Contents) != 1 || d.Contents[0].Label != "used" {
			t.Errorf("contents of %s: %v; want one with its label", d.Name, d.Contents)
		}
		if f, _ := disks.Judge(d, disks.Wants{Medium: noMedium, Erase: true}).Rejected(); f.Rule != disks.RuleUnused {
			t.Errorf("%s is rejected by %q; want %q", d.Name, f.Rule, disks.RuleUnused)
		}
	}
	if len(want) != 0 {
		t.Errorf("not in the list: %v", want)
	}
}

// TestOnePartition has a sysfs in which a loop device is a partition.
func TestOnePartition(t *testing.T) {
	node := loop(t, file(t, 1<<20))
	number := strings.TrimSpace(run(t, "lsblk", "-dno", "MAJ:MIN", node))
	m := newMachine(t)
	dir := m.block(waySATA, 1<<20)
	m.partition(dir, "sda1", 1, 0, 1<<20)
	m.check(os.Symlink(filepath.Join(m.dir, dir, "sda1"), filepath.Join(m.dir, "sys/dev/block", number)))
	if _, err := m.scanner().One(context.Background(), node); fault.ClassOf(err) != fault.Target || !strings.Contains(fault.HintOf(err), "/dev/sda") {
		t.Errorf("One of a partition: %v, hint %q; want a refusal that names the disk", err, fault.HintOf(err))
	}
	m.check(os.Remove(filepath.Join(m.dir, "sys/dev/block", number)))
	if _, err := m.scanner().One(context.Background(), node); fault.ClassOf(err) != fault.Target {
		t.Errorf("One of a device that sysfs does not know: %v; want class target", err)
	}
}
