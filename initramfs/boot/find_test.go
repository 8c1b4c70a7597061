package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/uevent"
)

func TestFinder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	uuid := makeDisk(t, file, "my root", 0)
	h := fakeHost(t, file)
	for _, root := range []string{"PARTUUID=" + testPartUUID, "UUID=" + uuid, "LABEL=my root", "PARTLABEL=wurzel größe", "/dev/vda2"} {
		t.Run(root, func(t *testing.T) {
			d, err := waitFor(t, h, root, 10*time.Second)
			if err != nil || d.Path() != "/dev/vda2" {
				t.Errorf("wait(%s) = %v, %v; want /dev/vda2", root, d, err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		_, err := waitFor(t, h, "PARTUUID=0", 50*time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "PARTUUID=0: no such device within 50ms") || !strings.Contains(fault.HintOf(err), "mkimage.timeout") {
			t.Errorf("wait = %v, hint %q", err, fault.HintOf(err))
		}
	})
}

func waitFor(t *testing.T, h host, text string, timeout time.Duration) (Device, error) {
	t.Helper()
	root, err := ParseRoot(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f, err := newFinder(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	f.grace = time.Hour // what matches is taken as soon as all has been read
	return f.wait(ctx, root, timeout)
}

// A device that comes, goes and comes again is taken when it is there, and a
// clone of it is refused.
func TestFinderEvents(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	makeDisk(t, file, "my root", 0)
	h := fakeHost(t, file)
	link := filepath.Join(h.sys, "class/block/vda2")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f, err := newFinder(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	root := Root{"LABEL", "my root"}
	if _, err := f.wait(ctx, root, 50*time.Millisecond); err == nil {
		t.Fatal("found before it was there")
	}
	if err := os.Symlink("../../devices/pci0/block/vda/vda2", link); err != nil {
		t.Fatal(err)
	}
	f.names <- "vda2" // as a uevent would
	if d, err := f.wait(ctx, root, 10*time.Second); err != nil || d.Name != "vda2" {
		t.Fatalf("wait = %v, %v", d, err)
	}
	clone := f.devices["vda2"]
	clone.Name, clone.Number = "sda2", "8:2"
	f.devices["sda2"] = clone
	if _, err := f.wait(ctx, root, time.Second); err == nil || !strings.Contains(err.Error(), "/dev/sda2 and /dev/vda2") {
		t.Errorf("wait with a clone = %v", err)
	}
	go func() { f.gone <- "sda2" }()
	delete(f.devices, "vda2")
	f.pending["sdz"], f.grace = 1, time.Second // so that the event comes first
	if _, err := f.wait(ctx, root, 2*time.Second); err == nil {
		t.Error("found after it was gone")
	}
}

// A disk that does not answer delays the boot by the grace, no more.
func TestFinderHangingDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	makeDisk(t, file, "my root", 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f, err := newFinder(ctx, fakeHost(t, file))
	if err != nil {
		t.Fatal(err)
	}
	f.pending["sdz"], f.grace = 1, time.Millisecond
	if d, err := f.wait(ctx, Root{"LABEL", "my root"}, 10*time.Second); err != nil || d.Name != "vda2" {
		t.Errorf("wait = %v, %v; want /dev/vda2", d, err)
	}
}

// A machine may have more devices than any fixed number.
func TestFinderManyDevices(t *testing.T) {
	h := host{t.TempDir(), t.TempDir()}
	for i := range 300 {
		if err := os.MkdirAll(filepath.Join(h.sys, "class/block", fmt.Sprint("loop", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	f, err := newFinder(ctx, h)
	if err != nil || ctx.Err() != nil || len(f.names) != 300 {
		t.Errorf("newFinder: %v, %v, %d names; want 300 at once", err, ctx.Err(), len(f.names))
	}
}

func TestUeventsClose(t *testing.T) {
	u, err := uevent.Listen()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for {
			if _, err := u.Next(); err != nil && !errors.Is(err, uevent.ErrLost) {
				done <- err
				return
			}
		}
	}()
	u.Close()
	if err := <-done; err == nil {
		t.Error("next after close: no error")
	}
}
