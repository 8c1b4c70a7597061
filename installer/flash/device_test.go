package flash_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// loop attaches a loop device with old bytes all over it.
func loop(t *testing.T, size int64, options ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, bytes.Repeat([]byte{0xee}, int(size)), 0o600); err != nil {
		t.Fatal(err)
	}
	device := command(t, append(append([]string{"losetup", "--find", "--show"}, options...), name)...)
	t.Cleanup(func() { command(t, "losetup", "--detach", device) })
	return device
}

// TestDevice writes to a block device, one of an odd number of sectors too.
func TestDevice(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	for _, sizes := range [][2]int64{{8 * mib, 8 * mib}, {8 * mib, 10*mib + 512}, {8*mib + 512, 8*mib + 11264}} {
		size, disk := sizes[0], sizes[1]
		b := newImage(t, size, 1, 2, 5)
		name := loop(t, disk)
		d, err := flash.OpenDevice(name, false)
		if err != nil {
			t.Fatal(err)
		}
		if d.Size != disk || d.SectorSize != 512 || d.Number == "" {
			t.Errorf("%+v", d)
		}
		if _, err := flash.OpenDevice(name, false); !errors.Is(err, unix.EBUSY) || fault.ClassOf(err) != fault.Target {
			t.Errorf("a second time: %v", err)
		}
		p, err := flash.NewPlan(t.Context(), open(t, sparseFile(t, b)), d.Size, d.SectorSize, flash.Options{Manifest: manifestOf(t, b)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(t.Context(), d.Disk, builder.Silent{}); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got[:size], b) || !zero(got[max(size, disk-mib):]) {
			t.Errorf("%d: the device is not the image", disk)
		}
	}
}

// TestDeviceZero makes zeros of odd ranges.
func TestDeviceZero(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	name := loop(t, mib+512)
	d, err := flash.OpenDevice(name, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, r := range [][2]int64{{4096, 8192}, {65536, 512}, {mib, 512}, {100000, 33}} {
		if err := d.Zero(r[0], r[1]); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, r[1]+2)
		n, _ := d.ReadAt(got, r[0]-1)
		if got[0] != 0xee || !zero(got[1:1+r[1]]) || n > int(r[1])+1 && got[r[1]+1] != 0xee {
			t.Errorf("%v: %x", r, got[:min(len(got), 40)])
		}
	}
	if _, err := flash.OpenDevice("/dev/null", false); fault.ClassOf(err) != fault.Target {
		t.Errorf("/dev/null: %v", err)
	}
}

// TestFile is a file as a target.
func TestFile(t *testing.T) {
	name := file(t, bytes.Repeat([]byte{0xee}, 2*mib))
	d, f, err := flash.OpenFile(name, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(d.Zero(4096, mib), d.Zero(5, 7), d.Sync(), d.DropCache()); err != nil || d.Size != 2*mib {
		t.Error(d.Size, err)
	}
	got, err := os.ReadFile(name)
	if err != nil || !zero(got[4096:4096+mib]) || !zero(got[5:12]) || got[4] != 0xee || got[12] != 0xee || got[4095] != 0xee || got[4096+mib] != 0xee {
		t.Error("not these zeros", err)
	}
	if _, _, err := flash.OpenFile(name, os.O_RDWR); fault.ClassOf(err) != fault.Target {
		t.Errorf("a second time: %v", err)
	}
	if _, _, err := flash.OpenFile(t.TempDir(), os.O_RDONLY); fault.ClassOf(err) != fault.Target {
		t.Errorf("a directory: %v", err)
	}
}
