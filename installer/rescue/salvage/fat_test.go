package salvage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// fat refuses what the kernel's FAT does, is blind to upper and lower case, and leaves out
// dots at the end of a name.
type fat struct {
	rooted
	most int64 // bytes of a file
	fail error // of each new file; may be nil
}

// stripped is a path as FAT has it.
func stripped(name string) string {
	parts := strings.Split(path.Clean(name), "/")
	for i, p := range parts {
		if p != "." {
			parts[i] = strings.TrimRight(p, ".")
		}
	}
	return strings.Join(parts, "/")
}

func (f fat) Lstat(name string) (fs.FileInfo, error) { return f.rooted.Lstat(stripped(name)) }
func (f fat) Readlink(name string) (string, error)   { return f.rooted.Readlink(stripped(name)) }
func (f fat) Remove(name string) error               { return f.rooted.Remove(stripped(name)) }

func (f fat) refused(name string) error {
	base := path.Base(name)
	if strings.ContainsAny(base, `:?*<>|"\`) {
		return &fs.PathError{Op: "open", Path: name, Err: unix.EINVAL}
	}
	list, err := fs.ReadDir(f.FS(), path.Dir(name))
	if err != nil {
		return err
	}
	for _, e := range list {
		if strings.EqualFold(e.Name(), base) {
			return &fs.PathError{Op: "open", Path: name, Err: unix.EEXIST}
		}
	}
	return nil
}

func (f fat) Mkdir(name string, perm fs.FileMode) error {
	name = stripped(name)
	if err := f.refused(name); err != nil {
		return err
	}
	return f.rooted.Mkdir(name, perm)
}

func (f fat) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	name = stripped(name)
	if flag&os.O_CREATE != 0 {
		if err := errors.Join(f.fail, f.refused(name)); err != nil {
			return nil, err
		}
	}
	return f.rooted.OpenFile(name, flag, perm)
}

func (f fat) Resize(file *os.File, size int64) error {
	if size > f.most {
		return unix.EFBIG
	}
	return f.rooted.Resize(file, size)
}

func (f fat) Link(string, string) error                 { return unix.EPERM }
func (f fat) Symlink(string, *os.File, string) error    { return unix.EPERM }
func (f fat) Node(*os.File, string, *reader.Stat) error { return unix.EPERM }
func (f fat) Own(*os.File, *reader.Stat) error          { return nil }

// toFAT copies to a FAT, which may have something already.
func toFAT(t *testing.T, image, dir string, most int64, fail error) (*Report, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	return salvageTo(t.Context(), Request{FS: open(t, image), To: root}, fat{rooted{root}, most, fail})
}

func TestFAT(t *testing.T) {
	home := home(t)
	check(t, os.MkdirAll(filepath.Join(home, "dots../in."), 0o755), os.MkdirAll(filepath.Join(home, "two"), 0o755), os.Mkdir(filepath.Join(home, "two."), 0o755))
	for name, text := range map[string]string{"dots../in./file": "in dots", "dots../file.": "x", "dots../file..": "y", "two/one": "1", "two./other": "2", "alice/README": "", "alice/readme": "more", "alice/a:b": "x", "alice/zoo": "last"} {
		check(t, os.WriteFile(filepath.Join(home, name), []byte(text), 0o644))
	}
	check(t, os.Mkdir(filepath.Join(home, "dir?"), 0o755), os.WriteFile(filepath.Join(home, "dir?/x"), nil, 0o600))
	image := newImage(t, home)
	const big = 3 << 20 // alice/big and alice/same
	want := []string{
		"alice/a:b: the file system of the copy cannot have this name: invalid argument",
		"alice/fifo: the file system of the copy has no special files, or they may not be made: operation not permitted",
		"alice/link: the file system of the copy has no symlinks, or they may not be made: operation not permitted",
		"alice/readme: " + errTaken.Error(),
		"alice/sparse: its 8388608 bytes are more than the file system of the copy lets a file have",
		"dots../file..: " + errTaken.Error(),
		"two.: " + errTaken.Error(),
		"dir?: the file system of the copy cannot have this name: invalid argument",
	}
	for _, tt := range []struct {
		name string
		most int64
		more []string
	}{
		{"at the limit", big, nil},
		{"one below the limit", big + 1, nil},
		{"one above the limit", big - 1, []string{"alice/big: its 3145728 bytes are more than the file system of the copy lets a file have", "alice/same: its 3145728 bytes are more than the file system of the copy lets a file have"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for run := range 2 { // the second one says the same, and changes nothing
				report, err := toFAT(t, image, dir, tt.most, nil)
				check(t, err)
				got := map[string]bool{}
				for _, l := range report.Losses {
					if l.Path != "." {
						got[l.Path+": "+l.What] = true
					}
				}
				all := map[string]bool{}
				for _, w := range append(tt.more, want...) {
					all[w] = true
				}
				if diff := cmp.Diff(all, got); diff != "" || report.Lost != report.Unkept || report.Lost <= int64(len(all)) {
					t.Errorf("run %d: %d lost, %d unkept (-want +got):\n%s", run, report.Lost, report.Unkept, diff)
				}
				if run == 0 { // a part of it is missing
					check(t, os.Remove(filepath.Join(dir, "dots/in/file")))
					continue
				}
				for name, text := range map[string]string{"dots/in/file": "in dots", "dots/file": "x", "two/one": "1", "alice/README": "", "alice/zoo": "last", "bob/699": strings.Repeat(string([]byte{699 % 256}), 1500)} {
					if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != text {
						t.Errorf("run %d: %s: %d bytes, %v", run, name, len(data), err)
					}
				}
				if _, err := os.Stat(filepath.Join(dir, "alice/sparse")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("run %d: a part of what is too large is left: %v", run, err)
				}
				if report.Found != report.Files-1 {
					t.Errorf("%d of %d files were found; want all but one", report.Found, report.Files)
				}
				if left, err := os.ReadDir(filepath.Join(dir, "two")); err != nil || len(left) != 1 {
					t.Errorf("two has %v, %v: what is in \"two.\" is another directory's", left, err)
				}
			}
		})
	}
	// The owners of all, which are one loss.
	report, err := toFAT(t, image, t.TempDir(), big, nil)
	check(t, err)
	told := fmt.Sprint(report.Losses)
	if !strings.Contains(told, "the mode of") || !strings.Contains(told, "the owner of 1 files") {
		t.Errorf("losses: %s", told)
	}
}

// TestDiskFails ends where the disk that is copied to fails or is full.
func TestDiskFails(t *testing.T) {
	image := newImage(t, home(t))
	for _, errno := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EROFS, unix.ENODEV} {
		if _, err := toFAT(t, image, t.TempDir(), 1<<30, errno); !errors.Is(err, errno) || fault.ClassOf(err) != fault.Target {
			t.Errorf("%v: %v", errno, err)
		}
	}
}
