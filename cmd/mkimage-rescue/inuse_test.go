package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/rescue/bootrepair"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

func TestUnused(t *testing.T) {
	if err := unused(&disks.Disk{Path: "/dev/sda"}); err != nil {
		t.Error(err)
	}
	for _, u := range []disks.Use{{Device: "sda2", Kind: "mount", By: "/mnt"}, {Device: "sda3", Kind: "swap", By: "swap"}, {Device: "sda2", Kind: "holder", By: "dm-0"}} {
		err := unused(&disks.Disk{Path: "/dev/sda", Uses: []disks.Use{u}})
		if want := "/dev/sda: is in use: " + u.Device + " by " + u.By; err == nil || err.Error() != want || fault.ClassOf(err) != fault.Target || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", u.Kind, err)
		}
	}
}

// lostTable is a disk whose first copy of the table is lost.
func lostTable(t *testing.T) (image, manifest string) {
	t.Helper()
	image, manifest = laptop(t)
	erase(t, image, 0, 64<<10)
	return image, manifest
}

// TestBootInUse repairs nothing of a disk that a device of the kernel is made of.
func TestBootInUse(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	image, manifest := lostTable(t)
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	must(t, err)
	node := strings.TrimSpace(string(out))
	before, err := os.ReadFile(image)
	must(t, err)
	args := []string{"boot", "--image", image, "--manifest", manifest}
	if _, errs, code := rescue(t, append(args, "--yes")...); code != int(fault.Target) || !strings.Contains(errs, "is in use: ") {
		t.Errorf("code %d\n%s", code, errs)
	}
	mustRescue(t, append(args, "--dry-run")...)
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was changed: %v", err)
	}
	command(t, "losetup", "--detach", node)
	mustRescue(t, append(args, "--yes")...)
}

// TestBootAsleep repairs nothing beside a session, unless that is given up.
func TestBootAsleep(t *testing.T) {
	s, err := smalldisk.New(loader.SystemdBoot)
	must(t, err)
	s.Params = func(p *btrfs.Params) { p.Free = 64 << 20 }
	image := filepath.Join(t.TempDir(), "laptop.img")
	made, err := s.Assemble(t.Context(), image)
	must(t, err)
	manifest, err := made.Encode()
	must(t, err, os.WriteFile(image+".json", manifest, 0o600))
	system := inventoryOf(t, image).Systems[0]
	page := swaparea.New(1<<20, ids.UUID{1}, "")
	copy(page[len(page)-len(swaparea.Signature):], swaparea.HibernateSignature+"\x00")
	write(t, image, system.Root.Start+system.Swapfile.Offset*swaparea.PageSize, page)
	erase(t, image, 0, 64<<10)
	before, err := os.ReadFile(image)
	must(t, err)
	args := []string{"boot", "--image", image, "--manifest", image + ".json", "--yes"}
	if _, errs, code := rescue(t, args...); code != int(fault.Target) || !strings.Contains(errs, "a session sleeps in ") || !strings.Contains(errs, "--drop-session") {
		t.Errorf("code %d\n%s", code, errs)
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was changed: %v", err)
	}
	if out := mustRescue(t, append(args, "--drop-session")...); !strings.Contains(out, "done: partition table") {
		t.Errorf("given up:\n%s", out)
	}
}

// TestSleepsBesides: to give up one session is no consent for another one.
func TestSleepsBesides(t *testing.T) {
	at := func(disk, file string, start, offset int64) inventory.Session {
		return inventory.Session{Place: inventory.Place{Disk: disk, Start: start}, File: file, Offset: offset}
	}
	known := &bootrepair.Session{File: "/swap/swapfile", At: 1<<20 + 7*swaparea.PageSize}
	own := at("/dev/sda", "@swap/swapfile", 1<<20, 7)
	for _, tt := range []struct {
		name  string
		known *bootrepair.Session
		list  []inventory.Session
		want  bool
	}{
		{"none", nil, nil, false},
		{"in a swap partition", nil, []inventory.Session{at("/dev/sda", "", 1<<30, 0)}, true},
		{"on another disk", nil, []inventory.Session{at("/dev/sdb", "", 1<<30, 0)}, false},
		{"given up", known, []inventory.Session{own}, false},
		{"given up, and a swap partition", known, []inventory.Session{own, at("/dev/sda", "", 1<<20, 7)}, true},
		{"given up, and one on another disk", known, []inventory.Session{own, at("/dev/sdb", "", 1<<30, 0)}, false},
		{"given up, and that of another system", known, []inventory.Session{own, at("/dev/sda", "@swap/swapfile", 1<<30, 7)}, true},
	} {
		m := &machine.Machine{Inventory: &inventory.Inventory{Sessions: tt.list}}
		if got := sleepsBesides(m, "/dev/sda", tt.known); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	m := &machine.Machine{Inventory: &inventory.Inventory{Systems: []inventory.System{{Hibernated: true, Root: inventory.Place{Disk: "/dev/sda"}}}}}
	if !sleepsBesides(m, "/dev/sda", nil) || sleepsBesides(m, "/dev/sdb", nil) {
		t.Error("a system that sleeps, and no session that is known")
	}
}
