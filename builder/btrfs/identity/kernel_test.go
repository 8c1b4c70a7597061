package identity_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// run returns what a program prints, which must succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestPrograms has btrfs-progs look at the copies of some variants.
func TestPrograms(t *testing.T) {
	imgtest.Need(t, "btrfs")
	for _, v := range []variant{variants[0], variants[1], variants[5]} {
		t.Run(v.name, func(t *testing.T) {
			disk := write(t, v.tree(t, oldSeed), oldSeed, v.params)
			image := copyAs(t, disk, prepare(t, disk, fstabEdits...), 1<<20).File(t)
			imgtest.BtrfsCheck(t, image)
			out := run(t, "btrfs", "inspect-internal", "dump-super", "-fa", image) + run(t, "btrfs", "inspect-internal", "dump-tree", image)
			n, old := identity.FromSeed(newSeed, label(newSeed)), identity.FromSeed(oldSeed, label(oldSeed))
			for name, pair := range map[string][2]string{
				"fsid": {n.FSID.String(), old.FSID.String()}, "chunk tree UUID": {n.ChunkTreeUUID.String(), old.ChunkTreeUUID.String()},
				"device UUID": {n.DeviceUUID.String(), old.DeviceUUID.String()}, "label": {n.Label, old.Label},
			} {
				if !strings.Contains(out, pair[0]) || strings.Contains(out, pair[1]) {
					t.Errorf("%s: %s is there %v, %s is there %v", name, pair[0], strings.Contains(out, pair[0]), pair[1], strings.Contains(out, pair[1]))
				}
			}
		})
	}
}

// TestMounted mounts the original and the copy at the same time, each under its
// own fsid, reads all back and writes to the copy.
func TestMounted(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := variants[5].tree(t, oldSeed)
	disk := write(t, tree, oldSeed, variants[5].params)
	target := copyAs(t, disk, prepare(t, disk, fstabEdits...), 1<<20)
	image := target.File(t)
	from := imgtest.MountImage(t, disk.File(t), imgtest.MountOptions{})
	to := imgtest.MountImage(t, image, imgtest.MountOptions{})
	for seed, m := range map[ids.Seed]*imgtest.Mounted{oldSeed: from, newSeed: to} {
		fsid := seed.UUID(ids.BtrfsFSID).String()
		// A second one with the fsid of a mounted one gets another for the time.
		if text, err := os.ReadFile("/sys/fs/btrfs/" + fsid + "/temp_fsid"); err == nil && strings.TrimSpace(string(text)) != "0" {
			t.Errorf("%s: the fsid is that of another one", m.Device)
		}
		if _, err := os.Stat("/sys/fs/btrfs/" + fsid + "/devices/" + filepath.Base(m.Device)); err != nil {
			t.Errorf("%s is not mounted with fsid %s: %v", m.Device, fsid, err)
		}
		imgtest.CompareMounted(t, variants[5].tree(t, seed), nil, m.Dir, imgtest.CompareOptions{})
		imgtest.Scrub(t, m.Dir)
	}
	from.Unmount(t)
	if err := os.WriteFile(filepath.Join(to.Dir, "new"), []byte("written\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	to.Unmount(t)
	imgtest.BtrfsCheck(t, image)
}

// TestWrittenByKernel rewrites a file system that was mounted and written to,
// with a snapshot that shares leaves, and with freed tree blocks.
func TestWrittenByKernel(t *testing.T) {
	imgtest.NeedRoot(t)
	image := write(t, variant{files: 300}.tree(t, oldSeed), oldSeed, btrfs.Params{Size: 160 << 20}).File(t)
	m := imgtest.MountImage(t, image, imgtest.MountOptions{Options: []string{"subvol=/"}})
	for i := range 4 {
		for _, name := range []string{"a", "b", "c"} {
			if err := os.WriteFile(filepath.Join(m.Dir, "@", name), []byte(strings.Repeat(name, 3000*(i+1))), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if fd, err := os.Open(m.Dir); err != nil {
			t.Fatal(err)
		} else if err := unix.Syncfs(int(fd.Fd())); err != nil {
			t.Fatal(err)
		} else {
			fd.Close()
		}
	}
	run(t, "btrfs", "subvolume", "snapshot", filepath.Join(m.Dir, "@"), filepath.Join(m.Dir, "again"))
	m.Unmount(t)
	disk := load(t, image)
	refused(t, disk, fault.Input, "@/etc/fstab: is shared with another file or a snapshot", fstabEdits...)
	target := copyAs(t, disk, prepare(t, disk), 1<<20)
	isClean(t, target)
	holdsNone(t, target, identity.FromSeed(oldSeed, ""))
	imgtest.BtrfsCheck(t, target.File(t))
	again := imgtest.MountImage(t, target.File(t), imgtest.MountOptions{Options: []string{"subvol=/"}})
	imgtest.Scrub(t, again.Dir)
	if text, err := os.ReadFile(filepath.Join(again.Dir, "again", "c")); err != nil || string(text) != strings.Repeat("c", 12_000) {
		t.Errorf("c in the snapshot: %d bytes, %v", len(text), err)
	}
}

// load reads an image into memory.
func load(t *testing.T, name string) *imgtest.MemDisk {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	disk := imgtest.NewMemDisk(info.Size())
	buf, zero := make([]byte, 4096), strings.Repeat("\x00", 4096)
	for at := int64(0); at < info.Size(); at += int64(len(buf)) {
		if _, err := f.ReadAt(buf, at); err != nil {
			t.Fatal(err)
		}
		if string(buf) == zero {
			continue
		}
		if _, err := disk.WriteAt(buf, at); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}
