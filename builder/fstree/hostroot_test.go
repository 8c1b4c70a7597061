package fstree_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func TestScanDirOwner(t *testing.T) {
	imgtest.NeedRoot(t)
	root := t.TempDir()
	fstree.Write(t, root+"/f", "x")
	fstree.Must(t, os.Lchown(root+"/f", 1234, 4294967294))
	fstree.Must(t, os.Lchown(root, 7, 8))
	tree := fstree.MustScanDir(t, root)
	for path, want := range map[string][2]uint32{"": {7, 8}, "f": {1234, 4294967294}} {
		if e := tree.Lookup(path); e.UID != want[0] || e.GID != want[1] {
			t.Errorf("%s is owned by %d:%d; want %d:%d", e.Path(), e.UID, e.GID, want[0], want[1])
		}
	}
}

func TestScanDirDevices(t *testing.T) {
	imgtest.NeedRoot(t)
	root := t.TempDir()
	if err := unix.Mknod(root+"/c", unix.S_IFCHR|0o620, int(unix.Mkdev(4095, 1048575))); errors.Is(err, unix.EPERM) {
		t.Skip("may not make devices here")
	}
	fstree.Must(t, unix.Mknod(root+"/b", unix.S_IFBLK|0o660, int(unix.Mkdev(8, 257))))
	tree := fstree.MustScanDir(t, root)
	for path, want := range map[string]fstree.Rdev{"c": fstree.MakeRdev(4095, 1048575), "b": fstree.MakeRdev(8, 257)} {
		if e := tree.Lookup(path); e.Rdev != want || !e.IsDevice() || e.Size != 0 {
			t.Errorf("%s: %+v; want device %d,%d", path, *e.Inode, want.Major(), want.Minor())
		}
	}
}

func TestScanDirTrustedXattrs(t *testing.T) {
	imgtest.NeedRoot(t)
	root := t.TempDir()
	fstree.Must(t, os.Symlink("x", root+"/l"))
	fstree.SetXattr(t, root+"/l", "trusted.overlay.opaque", "y")
	fstree.Write(t, root+"/f", "x")
	const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	fstree.SetXattr(t, root+"/f", "security.capability", capability)
	tree := fstree.MustScanDir(t, root)
	fstree.Diff(t, "symlink's", []fstree.Xattr{{"trusted.overlay.opaque", []byte("y")}}, tree.Lookup("l").Xattrs)
	fstree.Diff(t, "file's", []fstree.Xattr{{"security.capability", []byte(capability)}}, tree.Lookup("f").Xattrs)
}

// Two file systems number their inodes alike: a link has the device in common
// too.
func TestScanDirMountsBelow(t *testing.T) {
	imgtest.NeedRoot(t)
	root := t.TempDir()
	for _, m := range []string{root + "/m", root + "/n"} {
		fstree.Must(t, os.Mkdir(m, 0o755))
		if err := unix.Mount("none", m, "tmpfs", 0, "mode=0701"); err != nil {
			t.Skipf("may not mount here: %v", err)
		}
		defer unix.Unmount(m, 0)
		fstree.Write(t, m+"/f", "x")
		fstree.Must(t, os.Link(m+"/f", m+"/g"))
	}
	tree := fstree.MustScanDir(t, root)
	for _, m := range []string{"m", "n"} {
		if got := tree.Lookup(m).Mode; got != fstree.TypeDir|0o701 {
			t.Errorf("%s has mode %#o; want the mounted root's", m, got)
		}
		if f := tree.Lookup(m + "/f"); f.Links() != 2 || tree.Lookup(m+"/g").Inode != f.Inode {
			t.Errorf("%s/f has %d names; want 2", m, f.Links())
		}
	}
}
