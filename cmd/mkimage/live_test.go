package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/hardware"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/inspect"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// live is a btrfs file system that is mounted, with an fstab that names a
// swapfile.
type live struct {
	*imgtest.Mounted
	t    *testing.T
	path string // of the swapfile, from the top level
}

func mountLive(t *testing.T) *live {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "mkswap")
	image := filepath.Join(t.TempDir(), "fs")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(512 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l := &live{t: t, path: "swapfile"}
	l.command("mkfs.btrfs", "-q", image)
	l.Mounted = imgtest.MountImage(t, image, imgtest.MountOptions{})
	l.write("etc/fstab", "/dev/vda / btrfs defaults 0 0\n/swapfile none swap\n")
	return l
}

func (l *live) command(name string, args ...string) string {
	l.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (l *live) write(name, text string) {
	l.t.Helper()
	name = filepath.Join(l.Dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// newSwapfile puts another swapfile in the place of the one that is there, and
// returns where btrfs-progs says that it begins.
func (l *live) newSwapfile(size string) int64 {
	l.t.Helper()
	name := filepath.Join(l.Dir, "swapfile")
	if err := os.RemoveAll(name); err != nil {
		l.t.Fatal(err)
	}
	l.command("btrfs", "-q", "filesystem", "mkswapfile", "--size", size, name)
	l.command("btrfs", "filesystem", "sync", l.Dir)
	return imgtest.SwapfileOffset(l.t, name)
}

// mkimage runs the program, which must succeed and warn of nothing.
func (l *live) mkimage(args ...string) string {
	l.t.Helper()
	var out, errs bytes.Buffer
	if code := run(l.t.Context(), args, stdio{out: &out, err: &errs}); code != 0 || errs.Len() > 0 {
		l.t.Errorf("mkimage %s: exit status %d\n%s", strings.Join(args, " "), code, &errs)
	}
	return out.String()
}

// wantOffset has all commands find the swapfile.
func (l *live) wantOffset(want int64) {
	l.t.Helper()
	for _, args := range [][]string{{"map-swapfile", l.Device}, {"map-swapfile", l.Device, l.path}} {
		if got := l.mkimage(args...); got != fmt.Sprintln(want) {
			l.t.Errorf("mkimage %s = %q; btrfs says %d", strings.Join(args, " "), got, want)
		}
	}
	var found hardware.Hardware
	if err := json.Unmarshal([]byte(l.mkimage("layout", "--json", l.Device)), &found); err != nil {
		l.t.Fatal(err)
	}
	if found.Resume == nil || found.Resume.Offset != want {
		l.t.Errorf("mkimage layout: resume %+v; btrfs says %d", found.Resume, want)
	}
}

// cache has the kernel keep all that is on the device now, until the test ends:
// it would forget that when nobody has the device open.
func (l *live) cache() {
	l.t.Helper()
	f, err := os.Open(l.Device)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { f.Close() })
	if _, err := io.Copy(io.Discard, f); err != nil {
		l.t.Fatal(err)
	}
}

// TestLive reads a file system that was changed since its device was cached.
func TestLive(t *testing.T) {
	l := mountLive(t)
	seen := map[int64]bool{}
	for round := range 5 {
		l.cache()
		for i := range 300 {
			l.write(fmt.Sprintf("dir%d/file%d", i%7, i), strings.Repeat(fmt.Sprint(round), 1+i*10))
		}
		want := l.newSwapfile(fmt.Sprintf("%dM", 16+8*round))
		seen[want] = true
		l.wantOffset(want)
	}
	if len(seen) < 2 {
		t.Errorf("the swapfile was always at %v, which a stale offset would be, too", seen)
	}
}

// TestLiveWritten reads one that another program writes to all the time.
func TestLiveWritten(t *testing.T) {
	l := mountLive(t)
	want := l.newSwapfile("16M")
	writer := exec.Command("sh", "-ec", `cd "$0"; while ! test -e stop; do
		for i in 1 2 3 4 5 6 7 8 9; do echo $i > file$i; mkdir -p dir$i; done; btrfs filesystem sync .
		rm -r file* dir*; btrfs filesystem sync .; done`, l.Dir)
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		l.write("stop", "")
		if err := writer.Wait(); err != nil {
			t.Error("writer: ", err)
		}
	}()
	for range 100 {
		l.wantOffset(want)
	}
}

// loop attaches a loop device of a file from a byte on.
func (l *live) loop(name string, start int64) string {
	l.t.Helper()
	return strings.TrimSpace(l.command("losetup", "--find", "--show", "--offset", fmt.Sprint(start), name))
}

// TestLiveDisk reads a disk whose root partition is mounted: what is cached of
// the disk is not what is cached of the partition.
func TestLiveDisk(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup", "mount", "btrfs", "mkswap")
	s, err := smalldisk.New("systemd-boot")
	if err != nil {
		t.Fatal(err)
	}
	s.Params = func(p *btrfs.Params) { p.Free = 200 << 20 }
	name := filepath.Join(t.TempDir(), "disk.img")
	m, err := s.Assemble(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, path: "@swap/swapfile", Mounted: &imgtest.Mounted{Dir: t.TempDir()}}
	l.Device = l.loop(name, 0)
	defer l.command("losetup", "--detach", l.Device)
	// A device of its own, for a kernel that knows no partition tables.
	part := l.loop(name, m.Plan.Partition(plan.RoleRoot).Start)
	defer l.command("losetup", "--detach", part)
	l.command("mount", "-o", "subvol=@swap", part, l.Dir)
	defer l.command("umount", l.Dir)
	l.cache()
	want := l.newSwapfile("8M")
	l.wantOffset(want)
	var found inspect.Image
	if err := json.Unmarshal([]byte(l.mkimage("inspect", "--json", l.Device)), &found); err != nil {
		t.Fatal(err)
	}
	if found.Swapfile == nil || found.Swapfile.ResumeOffset != want || len(found.Unread) > 0 {
		t.Errorf("mkimage inspect: swapfile %+v, unread %q; btrfs says %d", found.Swapfile, found.Unread, want)
	}
}
