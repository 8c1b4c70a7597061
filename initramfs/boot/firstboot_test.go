package boot

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/swapfile"
)

// TestFirstBoot writes an image to a disk of 3 GiB and boots it: everything is
// grown, once.
func TestFirstBoot(t *testing.T) {
	d := newDisk(t, 3*gib)
	before := d.swap()
	d.boot("ram", 512*mib, nil)
	d.wantLines("<6>grow partition /dev/DISKp2 from * to 3.0 GiB",
		"<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 512.0 MiB (RAM by memory modules), in *",
		"<6>first boot finished")
	s := d.swap()
	if s.Size != 512*mib || s.UUID != before.UUID {
		t.Errorf("swapfile of %d bytes, UUID %s; want %d, %s", s.Size, s.UUID, 512*mib, before.UUID)
	}
	table := d.read()
	if p := table.Partitions[1]; p.Start+p.Size != 3*gib-mib || p.Attributes != 0 {
		t.Errorf("the root ends at %d with attributes %#x; want %d, 0", p.Start+p.Size, p.Attributes, 3*gib-mib)
	}
	d.boot("ram", 512*mib, nil)
	d.wantLines()
	if again := d.swap(); again.Offset != s.Offset {
		t.Errorf("offset %d after another boot; want %d", again.Offset, s.Offset)
	}
}

// TestFirstBootSameDisk boots an image on a disk of its own size.
func TestFirstBootSameDisk(t *testing.T) {
	d := newDisk(t, 0)
	d.boot("2097152", 0, nil)
	d.wantLines("<6>grow partition /dev/DISKp2 has * already",
		"<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 2.0 MiB (as the layout says), in one piece", "<6>first boot finished")
	if s := d.swap(); s.Size != 2*mib {
		t.Errorf("swapfile of %d bytes; want %d", s.Size, 2*mib)
	}
}

// TestFirstBootAgain repeats a first boot that was cut at different points.
func TestFirstBootAgain(t *testing.T) {
	d := newDisk(t, 2*gib)
	failing := func(f *firstBoot) { f.ram = func() (int64, string, error) { return 0, "", os.ErrPermission } }
	d.boot("ram", 0, failing)
	d.wantLines("<6>grow partition *", "<4>swapfile @swap/swapfile: permission denied", "<4>first boot not finished: the next boot tries again")

	// A file that was not finished, and a kernel that knows the new table from
	// its start.
	dir := t.TempDir()
	if err := unix.Mount("/dev/"+d.name+"p2", dir, "btrfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, testSwapfile+swapfile.Suffix), make([]byte, 100*mib), 0o644); err != nil {
		t.Error(err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	d.detach()
	d.attach()
	d.boot("ram", 256*mib, func(f *firstBoot) {
		f.host.dev = t.TempDir() // the table cannot be changed any more
		for _, name := range []string{d.name, d.name + "p2"} {
			if err := os.Symlink("/dev/"+name, filepath.Join(f.host.dev, name)); err != nil {
				t.Fatal(err)
			}
		}
		open := f.open
		f.open = func(flag int) (rawDevice, error) {
			if err := os.Remove(filepath.Join(f.host.dev, d.name)); err != nil {
				t.Error(err)
			}
			return open(flag)
		}
	})
	d.wantLines("<6>grow partition * already", "<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 256.0 MiB (RAM by memory modules), in *",
		"<4>first boot: open *: no such file or directory", "<4>first boot not finished: the next boot tries again")
	s := d.swap()
	d.boot("ram", 256*mib, nil)
	d.wantLines("<6>grow partition * already", "<6>swapfile @swap/swapfile has 256.0 MiB already", "<6>first boot finished")
	if again := d.swap(); *again != *s {
		t.Errorf("swapfile %+v after another boot; want %+v", again, s)
	}
}

// TestFirstBootSteps does what is asked alone.
func TestFirstBootSteps(t *testing.T) {
	d := newDisk(t, 600*mib)
	d.boot("ram", 8*mib, func(f *firstBoot) { f.steps = nil })
	d.wantLines("<6>first boot finished")
	if s := d.swap(); s.Size != mib {
		t.Errorf("swapfile of %d bytes; want %d as before", s.Size, mib)
	}
}

// TestNoFirstBoot leaves a disk alone on which there is nothing to do.
func TestNoFirstBoot(t *testing.T) {
	part := Device{Name: "none2", Disk: "none", Part: 2}
	grows := config.Config{FirstBoot: []string{config.StepGrow}}
	for name, m := range map[string]*machine{
		"no steps":       {root: part},
		"factory":        {root: part, config: grows, cmd: Cmdline{Factory: true}},
		"no partition":   {root: Device{Name: "none"}, config: grows},
		"no such device": {root: part, config: grows},
	} {
		if err := m.growPartition(); err != nil || m.first != nil {
			t.Errorf("%s: growPartition: %v, first boot %v; want none", name, err, m.first)
		}
		if warned := len(m.log.kept) > 0; warned != (name == "no such device") {
			t.Errorf("%s: console %q", name, m.log.kept)
		}
	}
}

// TestFirstBootOddTable tells of a table that cannot be changed safely, and
// does the rest.
func TestFirstBootOddTable(t *testing.T) {
	d := newDisk(t, 600*mib)
	d.table.Partitions[0].Start, d.table.Partitions[0].Size = 34*512, mib
	d.write()
	d.boot("2097152", 0, nil)
	const why = "partition table: the first partition starts in LBA 34; 32 sectors before it are needed to change the table safely, from LBA 34 on"
	d.wantLines("<4>grow partition: "+why, "<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 2.0 MiB (as the layout says), in one piece",
		"<4>first boot: "+why, "<4>first boot not finished: the next boot tries again")
}
