package fstree_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// sample makes a directory with everything that an archive can hold and an
// ordinary user can make, and as root with devices and owners too. Short
// names, whole seconds and no attributes for formats that lack the rest.
func sample(t *testing.T, rich bool) string {
	root := t.TempDir()
	name := "file"
	if rich {
		name = strings.Repeat("long-é\n", 25)
	}
	fstree.Write(t, root+"/d/"+name, strings.Repeat("content ", 300))
	fstree.Write(t, root+"/d.empty", "")
	fstree.Write(t, root+"/exactly", strings.Repeat("b", 512))
	fstree.Must(t, os.Link(root+"/d/"+name, root+"/link"))
	fstree.Must(t, os.Symlink("d/"+name, root+"/symlink"))
	fstree.Must(t, os.Link(root+"/symlink", root+"/symlink2"))
	fstree.Must(t, unix.Mkfifo(root+"/fifo", 0o600))
	fstree.Must(t, os.MkdirAll(root+"/"+strings.Repeat("deep/", 12), 0o700))
	fstree.Must(t, os.Chmod(root+"/exactly", os.ModeSetuid|os.ModeSetgid|os.ModeSticky|0o751))
	if os.Geteuid() == 0 {
		_ = unix.Mknod(root+"/char", unix.S_IFCHR|0o600, int(unix.Mkdev(4, 65))) // where it is allowed
		fstree.Must(t, os.Lchown(root+"/symlink", 1000, 100))
		if rich {
			fstree.Must(t, os.Lchown(root+"/fifo", 3000000, 4000000000))
		}
	}
	nsec := int64(0)
	if rich {
		nsec = 123456789
		fstree.SetXattr(t, root+"/d", "user.on.directory", "=\x00\n\xff")
		fstree.SetXattr(t, root+"/exactly", "user.a%=b", strings.Repeat("v", 3000))
		fstree.SetXattr(t, root+"/exactly", "user.empty", "")
	}
	// Children first: to make them sets the time of their parents.
	fstree.Must(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		defer fstree.SetTime(t, path, 1234567890, nsec)
		return err
	}))
	if rich {
		fstree.SetTime(t, root+"/d.empty", -2, 500000000)
	}
	return root
}

// holes adds sparse files to a sample: the old format keeps 4 regions in the
// header and 21 in each block after it.
func holes(t *testing.T, root string) {
	for _, regions := range []int{0, 1, 4, 5, 25, 26} {
		path := fmt.Sprintf("%s/sparse%d", root, regions)
		fstree.Write(t, path, "")
		fstree.Must(t, os.Truncate(path, int64(regions)*131072+200000))
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		fstree.Must(t, err)
		for i := range regions {
			_, err := f.WriteAt([]byte(strings.Repeat("data", 1024)), int64(i)*131072+65536)
			fstree.Must(t, err)
		}
		fstree.Must(t, f.Close())
		fstree.SetTime(t, path, 99, 0)
	}
	fstree.SetTime(t, root, 1234567890, 0)
}

func scanBytes(t *testing.T, data []byte) *fstree.Tree {
	t.Helper()
	tree, err := fstree.ScanTar(context.Background(), bytes.NewReader(data), int64(len(data)), fstree.TarOptions{Name: "x.tar"})
	fstree.Must(t, err)
	return tree
}

// withoutLabels drops attributes that a host puts on files by itself and
// archivers leave out.
func withoutLabels(tree *fstree.Tree) *fstree.Tree {
	for e := range tree.All() {
		var kept []fstree.Xattr
		for _, x := range e.Xattrs {
			if x.Name != "security.selinux" {
				kept = append(kept, x)
			}
		}
		e.Xattrs = kept
	}
	return tree
}

// A directory and its archive, made by either program in any format, give the
// same tree to the last byte, as far as the format goes.
func TestTarOfDirectory(t *testing.T) {
	tests := []struct {
		name   string
		rich   bool
		sparse bool
		args   []string
	}{
		{"v7", false, false, []string{"tar", "--format=v7", "--exclude=./fifo", "--exclude=./char"}},
		{"ustar", false, false, []string{"tar", "--format=ustar"}},
		{"gnu", false, false, []string{"tar", "--format=gnu"}},
		{"gnu sparse", false, true, []string{"tar", "--format=gnu", "--sparse"}},
		{"oldgnu sparse", false, true, []string{"tar", "--format=oldgnu", "--sparse"}},
		{"pax", true, false, []string{"tar", "--format=pax", "--xattrs"}},
		{"pax sparse 0.0", true, true, []string{"tar", "--format=pax", "--xattrs", "--sparse", "--sparse-version=0.0"}},
		{"pax sparse 0.1", true, true, []string{"tar", "--format=pax", "--xattrs", "--sparse", "--sparse-version=0.1"}},
		{"pax sparse 1.0", true, true, []string{"tar", "--format=pax", "--xattrs", "--sparse", "--sparse-version=1.0"}},
		{"bsdtar ustar", false, false, []string{"bsdtar", "--format=ustar"}},
		{"bsdtar gnutar", false, false, []string{"bsdtar", "--format=gnutar"}},
		{"bsdtar pax", true, true, []string{"bsdtar", "--format=pax", "--xattrs", "--no-acls", "--no-fflags"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imgtest.Need(t, tt.args[0])
			root := sample(t, tt.rich)
			if tt.sparse {
				holes(t, root)
			}
			if tt.rich && tt.args[0] == "bsdtar" {
				// It writes 1.5 seconds before 1970 as "-2.5".
				fstree.SetTime(t, root+"/d.empty", -2, 0)
			}
			if tt.name == "v7" {
				fstree.Must(t, os.Remove(root+"/fifo"))
				_ = os.Remove(root + "/char")
				fstree.SetTime(t, root, 1234567890, 0)
			}
			archive := fstree.Run(t, root, tt.args[0], append(tt.args[1:], "-cf", "-", ".")...)
			want := fstree.Listing(t, withoutLabels(fstree.MustScanDir(t, root)))
			got := fstree.Listing(t, withoutLabels(scanBytes(t, archive)))
			fstree.Diff(t, "tree", want, got)
		})
	}
}

// Large owners and times before 1970 have a form of their own in GNU's format.
func TestTarGNUNumbers(t *testing.T) {
	imgtest.Need(t, "tar")
	root := t.TempDir()
	fstree.Write(t, root+"/f", "x")
	fstree.SetTime(t, root+"/f", -2000000000, 0)
	archive := fstree.Run(t, root, "tar", "--format=gnu", "--owner=:4000000000", "--group=:2097152", "-cf", "-", "f")
	f := scanBytes(t, archive).Lookup("f")
	if f.UID != 4000000000 || f.GID != 2097152 || f.Sec != -2000000000 {
		t.Errorf("f is owned by %d:%d, time %d; want 4000000000:2097152, -2000000000", f.UID, f.GID, f.Sec)
	}
}

// A sparse file of 10 GiB is neither read through nor stored.
func TestTarHugeSparse(t *testing.T) {
	imgtest.Need(t, "tar")
	root := t.TempDir()
	fstree.Write(t, root+"/f", "start")
	fstree.Must(t, os.Truncate(root+"/f", 10<<30))
	f, err := os.OpenFile(root+"/f", os.O_WRONLY, 0)
	fstree.Must(t, err)
	_, err = f.WriteAt([]byte("end"), 10<<30-3)
	fstree.Must(t, err)
	fstree.Must(t, f.Close())
	for _, format := range []string{"gnu", "pax"} {
		archive := fstree.Run(t, root, "tar", "--format="+format, "--sparse", "-cf", "-", ".")
		want, got := fstree.Listing(t, fstree.MustScanDir(t, root)), fstree.Listing(t, scanBytes(t, archive))
		fstree.Diff(t, format, strings.Fields(want[1])[4:], strings.Fields(got[1])[4:])
		if len(archive) > 1<<17 {
			t.Errorf("%s: the archive has %d bytes", format, len(archive))
		}
	}
}
