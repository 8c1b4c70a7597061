package treecopy_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

func TestCopy(t *testing.T) {
	for _, workers := range []int{1, 8} {
		src, dst := t.TempDir(), t.TempDir()
		plant(t, src)
		want := list(t, src)
		must(t, setTimes(filepath.Join(src, "one")), setTimes(src)) // listing has read it
		var progress int64
		o := treecopy.Options{Workers: workers, Progress: func(n int64) { progress += n }}
		digests := copyTree(t, src, dst, o)
		if got := accessTime(t, filepath.Join(dst, "one")); got.Sec != oldTimes[0].Sec || got.Nsec != oldTimes[0].Nsec {
			t.Errorf("%d workers: time of access %v; want %v", workers, got, oldTimes[0])
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(list(t, dst), "\n")); diff != "" {
			t.Errorf("%d workers (-source +copy):\n%s", workers, diff)
		}
		for _, name := range []string{"sparse", "hole", "zeros"} {
			if got, want := blocks(t, filepath.Join(dst, name)), blocks(t, filepath.Join(src, name)); got != want {
				t.Errorf("%s: %d blocks; want %d", name, got, want)
			}
		}
		var a, b unix.Stat_t
		must(t, unix.Stat(src, &a), unix.Stat(dst, &b))
		if a.Mode != b.Mode || a.Mtim != b.Mtim {
			t.Errorf("top: mode %o, time %v; want %o, %v", b.Mode, b.Mtim, a.Mode, a.Mtim)
		}
		if found := differences(t, src, dst, digests, o); found != nil {
			t.Errorf("Compare: %q", found)
		}
		_, size, err := treecopy.Measure(t.Context(), open(t, src), o)
		if err != nil || progress < size || progress > 2*size+1<<20 { // once by Copy and once by Compare; tails of blocks
			t.Errorf("progress %d; Measure says %d, %v", progress, size, err)
		}
	}
}

// TestDeep copies directories whose paths no system call takes.
func TestDeep(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	at, err := unix.Open(src, unix.O_DIRECTORY, 0)
	must(t, err)
	for range 30 {
		name := strings.Repeat("d", 250)
		must(t, unix.Mkdirat(at, name, 0o755))
		next, err := unix.Openat(at, name, unix.O_DIRECTORY, 0)
		must(t, err, unix.Close(at))
		at = next
	}
	fd, err := unix.Openat(at, "file", unix.O_CREAT|unix.O_WRONLY, 0o600)
	must(t, err, unix.Close(fd), unix.Linkat(at, "file", at, "other", 0), unix.Close(at))
	digests := copyTree(t, src, dst, treecopy.Options{})
	if found := differences(t, src, dst, digests, treecopy.Options{}); found != nil {
		t.Errorf("Compare: %q", found)
	}
	files, _, err := treecopy.Measure(t.Context(), open(t, dst), treecopy.Options{})
	if files != 32 || err != nil {
		t.Errorf("copied %d files, %v; want 32", files, err)
	}
}

func TestLeftOut(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	plant(t, src)
	socket(t, filepath.Join(src, "a/socket"))
	var notes []string
	o := treecopy.Options{
		Note:   func(path, why string) { notes = append(notes, path+": "+why) },
		Except: func(path string) bool { return path == "a/b" || path == "one" },
	}
	digests := copyTree(t, src, dst, o)
	if want := []string{"a/socket: a socket"}; !cmp.Equal(notes, want) {
		t.Errorf("notes %q; want %q", notes, want)
	}
	for _, name := range []string{"a/b", "one", "a/socket"} {
		if _, err := os.Lstat(filepath.Join(dst, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v; want it left out", name, err)
		}
	}
	if found := differences(t, src, dst, digests, o); found != nil {
		t.Errorf("Compare: %q", found)
	}
}

// TestNotEmpty: what is there is neither replaced nor followed.
func TestNotEmpty(t *testing.T) {
	src := t.TempDir()
	plant(t, src)
	for name, put := range map[string]func(path, outside string) error{
		"file":      func(path, _ string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"symlink":   func(path, outside string) error { return os.Symlink(outside, path) },
		"directory": func(path, _ string) error { return os.Mkdir(path, 0o700) },
	} {
		for _, taken := range []string{"one", "sym", "a", "fifo"} {
			dst, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
			must(t, os.WriteFile(outside, []byte("mine"), 0o600), put(filepath.Join(dst, taken), outside))
			_, err := treecopy.Copy(t.Context(), open(t, src), open(t, dst), treecopy.Options{})
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), `"`+taken+`": `) {
				t.Errorf("%s at %s: %v; want that it exists", name, taken, err)
			}
			if got, err := os.ReadFile(outside); string(got) != "mine" {
				t.Errorf("%s at %s: what is outside has %q, %v", name, taken, got, err)
			}
		}
	}
}

func TestCancel(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	plant(t, src)
	before := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := treecopy.Options{Progress: func(int64) { cancel() }}
	a, b := open(t, src), open(t, dst)
	if _, err := treecopy.Copy(ctx, a, b, o); !errors.Is(err, context.Canceled) {
		t.Errorf("Copy = %v; want that it was cancelled", err)
	}
	if _, err := treecopy.Compare(ctx, a, b, nil, treecopy.Options{}); err == nil {
		t.Error("Compare of a cancelled context succeeded")
	}
	if after := openFiles(t); after != before+2 {
		t.Errorf("%d files are open, expected %d", after, before+2)
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

// TestCompare: each change of a copy is found.
func TestCompare(t *testing.T) {
	src := t.TempDir()
	plant(t, src)
	for name, change := range map[string]func(at func(string) string) error{
		"a/b/large": func(at func(string) string) error { return flip(at("a/b/large"), 1<<20+7) },
		"hole":      func(at func(string) string) error { return flip(at("hole"), 8<<20) },
		"zeros":     func(at func(string) string) error { return flip(at("zeros"), 1<<20-1) },
		"one":       func(at func(string) string) error { return unix.Setxattr(at("one"), "user.one", []byte{0, 254}, 0) },
		"x":         func(at func(string) string) error { return unix.Setxattr(at("x"), "user.more", nil, 0) },
		"setuid":    func(at func(string) string) error { return unix.Chmod(at("setuid"), 0o755) },
		"sticky":    func(at func(string) string) error { return unix.Chmod(at("sticky"), 0o777) },
		"zero":      func(at func(string) string) error { return os.Truncate(at("zero"), 1) },
		"sym":       func(at func(string) string) error { return replace(at("sym"), "a/y") },
		"fifo":      func(at func(string) string) error { return os.Remove(at("fifo")) },
		"empty":     func(at func(string) string) error { return os.Remove(at("empty")) },
		"empty/new": func(at func(string) string) error { return os.WriteFile(at("empty/new"), nil, 0o600) },
		"a": func(at func(string) string) error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, at("a"), []unix.Timespec{{}, {Nsec: 1}}, 0)
		},
		"a/b/c/other": func(at func(string) string) error {
			var st unix.Stat_t // all is the same but that it is a file of its own
			return errors.Join(unix.Stat(at("x"), &st), os.Remove(at("a/b/c/other")), os.WriteFile(at("a/b/c/other"), []byte("x"), 0o640),
				unix.UtimesNanoAt(unix.AT_FDCWD, at("a/b/c/other"), []unix.Timespec{st.Atim, st.Mtim}, 0), setTimes(at("a/b/c")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dst := t.TempDir()
			digests := copyTree(t, src, dst, treecopy.Options{})
			at := func(name string) string { return filepath.Join(dst, name) }
			must(t, change(at))
			found := differences(t, src, dst, digests, treecopy.Options{})
			if len(found) == 0 || len(found) > 4 || !strings.Contains(strings.Join(found, "\n"), `"`+name+`": `) && !slices.Contains(severalNames, name) {
				t.Errorf("Compare = %q; want a difference at %s", found, name)
			}
		})
	}
}

// severalNames are those of files of which any name may be told.
var severalNames = []string{"x", "a/b/c/other", "a/b/large"}

// flip changes a byte, and leaves the times as they are.
func flip(name string, at int64) error {
	var st unix.Stat_t
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := []byte{0}
	_, err = f.ReadAt(b, at)
	err = errors.Join(err, unix.Fstat(int(f.Fd()), &st))
	b[0] ^= 1
	_, err2 := f.WriteAt(b, at)
	return errors.Join(err, err2, unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{st.Atim, st.Mtim}, 0))
}

func replace(name, target string) error {
	return errors.Join(os.Remove(name), os.Symlink(target, name))
}

// TestManyDifferences: of a copy that is all wrong some are told.
func TestManyDifferences(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	plant(t, src)
	digests := copyTree(t, src, t.TempDir(), treecopy.Options{})
	found := differences(t, src, dst, digests, treecopy.Options{})
	if len(found) != 21 || !strings.HasPrefix(found[20], "and ") {
		t.Errorf("Compare with nothing = %d differences, the last %q", len(found), found[len(found)-1])
	}
}

// TestChanging: a file that becomes shorter while it is copied is an error.
func TestChanging(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	name := filepath.Join(src, "f")
	must(t, os.WriteFile(name, bytes.Repeat([]byte("x"), 4<<20), 0o600))
	o := treecopy.Options{Progress: func(int64) { os.Truncate(name, 1<<20) }}
	if _, err := treecopy.Copy(t.Context(), open(t, src), open(t, dst), o); err == nil || !strings.Contains(err.Error(), `"f": copy: `) {
		t.Errorf("Copy = %v; want an error", err)
	}
}
