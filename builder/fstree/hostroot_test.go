package fstree_test

import (
	"errors"
	"fmt"
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

func TestScanDirMountBelow(t *testing.T) {
	imgtest.NeedRoot(t)
	root := t.TempDir()
	fstree.Must(t, os.Mkdir(root+"/m", 0o755))
	if err := unix.Mount("none", root+"/m", "tmpfs", 0, "mode=0701"); err != nil {
		t.Skipf("may not mount here: %v", err)
	}
	defer unix.Unmount(root+"/m", 0)
	// Inode numbers of two file systems may be equal without being links.
	for i := range 50 {
		fstree.Write(t, fmt.Sprintf("%s/m/%d", root, i), "x")
		fstree.Must(t, os.Link(fmt.Sprintf("%s/m/%d", root, i), fmt.Sprintf("%s/m/l%d", root, i)))
	}
	tree := fstree.MustScanDir(t, root)
	if m := tree.Lookup("m"); m.Mode != fstree.TypeDir|0o701 || len(m.Children()) != 100 {
		t.Errorf("mount point has mode %#o and %d children", m.Mode, len(m.Children()))
	}
}
