package reader_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// run runs a program that must succeed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mkfs makes an empty file system.
func mkfs(t testing.TB, size int64, args ...string) string {
	t.Helper()
	imgtest.Need(t, "mkfs.btrfs")
	img := filepath.Join(t.TempDir(), "fs.img")
	file, err := os.Create(img)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.btrfs", append(append([]string{"-q"}, args...), img)...)
	return img
}

// mount mounts an image until the test ends or unmount is called.
func mount(t testing.TB, img, options string) (dir string, unmount func()) {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mount", "umount")
	dir = t.TempDir()
	run(t, "mount", "-o", strings.TrimSuffix("loop,"+imgtest.NoBarrier+","+options, ","), img, dir)
	mounted := true
	unmount = func() {
		t.Helper()
		if mounted {
			mounted = false
			run(t, "umount", dir)
		}
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// open opens an image with our reader.
func open(t testing.TB, img string) *reader.FS {
	t.Helper()
	file, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	stat, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := reader.Open(file, stat.Size())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	f.OnDamage(func(d reader.Damage) { t.Errorf("damage: %+v", d) })
	return f
}

func volume(t testing.TB, f *reader.FS, path string) *reader.Volume {
	t.Helper()
	v, err := f.Subvolume(path)
	if err != nil {
		t.Fatalf("Subvolume(%q): %v", path, err)
	}
	return v
}

// facts is all that must agree between our view of a file and the kernel's.
type facts struct {
	Mode           uint32
	UID, GID       uint32
	Ino, Nlink     uint64
	Size           int64
	Rdev           uint64
	Mtime          string
	Link           string
	Xattrs         map[string]string
	Names          []string
	ContentMatches bool
}

// emptySubvolume is the inode number of the empty directory that stands where a
// snapshot's original has a subvolume.
const emptySubvolume = 2

// compareTrees walks the kernel's view below dir and compares each file with
// ours. It returns the number of files seen.
func compareTrees(t *testing.T, v *reader.Volume, dir string) int {
	t.Helper()
	count := 0
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		count++
		want, got := kernelFacts(t, path), ourFacts(t, v, name, path)
		if want.Ino == emptySubvolume {
			want.Mtime, got.Mtime = "", "" // the kernel shows when it was looked at
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q differs (-kernel +reader):\n%s", name, diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func kernelFacts(t *testing.T, path string) facts {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	f := facts{
		Mode: st.Mode, UID: st.Uid, GID: st.Gid, Ino: st.Ino, Nlink: uint64(st.Nlink), Size: st.Size,
		Rdev: uint64(unix.Major(st.Rdev))<<20 | uint64(unix.Minor(st.Rdev)), Mtime: fmt.Sprint(st.Mtim.Sec, st.Mtim.Nsec),
		Xattrs: map[string]string{}, ContentMatches: true,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		f.Link, _ = os.Readlink(path)
	case unix.S_IFDIR:
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			f.Names = append(f.Names, e.Name()+" "+e.Type().String())
		}
		sort.Strings(f.Names)
	}
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		m, err := unix.Lgetxattr(path, name, value)
		if err != nil && !errors.Is(err, syscall.ENODATA) {
			t.Fatal(err)
		}
		f.Xattrs[name] = string(value[:max(m, 0)])
	}
	return f
}

func ourFacts(t *testing.T, v *reader.Volume, name, kernelPath string) facts {
	t.Helper()
	info, err := v.Lstat(name)
	if err != nil {
		t.Errorf("Lstat(%q): %v", name, err)
		return facts{}
	}
	st := info.Sys().(*reader.Stat)
	f := facts{
		Mode: st.Inode.Mode, UID: st.Inode.UID, GID: st.Inode.GID, Ino: st.Ino, Nlink: uint64(st.Inode.Nlink), Size: info.Size(),
		Rdev: st.Inode.Rdev, Mtime: fmt.Sprint(st.Inode.Mtime.Sec, int64(st.Inode.Mtime.Nsec)), Xattrs: map[string]string{}, ContentMatches: true,
	}
	xattrs, err := v.Xattrs(name)
	if err != nil {
		t.Errorf("Xattrs(%q): %v", name, err)
	}
	for _, x := range xattrs {
		f.Xattrs[x.Name] = string(x.Value)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if f.Link, err = v.ReadLink(name); err != nil {
			t.Errorf("ReadLink(%q): %v", name, err)
		}
	case info.IsDir():
		entries, err := v.ReadDir(name)
		if err != nil {
			t.Errorf("ReadDir(%q): %v", name, err)
		}
		for _, e := range entries {
			f.Names = append(f.Names, e.Name()+" "+e.Type().String())
		}
		sort.Strings(f.Names)
	case info.Mode().IsRegular():
		f.ContentMatches = sameContent(t, v, name, kernelPath)
	}
	return f
}

// sameContent compares in reads of an odd size, so that they meet extents at
// all places.
func sameContent(t *testing.T, v *reader.Volume, name, kernelPath string) bool {
	t.Helper()
	ours, err := v.Open(name)
	if err != nil {
		t.Errorf("Open(%q): %v", name, err)
		return false
	}
	defer ours.Close()
	kernel, err := os.Open(kernelPath)
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	a, b := make([]byte, 100_003), make([]byte, 100_003)
	for at := 0; ; at += len(a) {
		n, errA := io.ReadFull(kernel, a)
		m, errB := io.ReadFull(ours, b)
		if !errors.Is(errB, errA) || n != m || !bytes.Equal(a[:n], b[:m]) {
			t.Errorf("%q at %d: kernel read %d (%v), reader %d (%v)", name, at, n, errA, m, errB)
			return false
		}
		if errA != nil {
			return true
		}
	}
}
