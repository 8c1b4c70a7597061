package treecopy_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/treecopy"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// list is all that listtree tells of a tree.
func list(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, listtree.List(&b, dir))
	return b.String()
}

func open(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// copyTree copies and fails the test on any error.
func copyTree(t testing.TB, src, dst string, o treecopy.Options) *treecopy.Digests {
	t.Helper()
	digests, err := treecopy.Copy(t.Context(), open(t, src), open(t, dst), o)
	must(t, err)
	return digests
}

// differences compares a copy with what it was made of.
func differences(t testing.TB, src, dst string, digests *treecopy.Digests, o treecopy.Options) []string {
	t.Helper()
	found, err := treecopy.Compare(t.Context(), open(t, src), open(t, dst), digests, o)
	must(t, err)
	return found
}

var oldTimes = []unix.Timespec{{Sec: 1_600_000_000, Nsec: 987_654_321}, {Sec: 1_500_000_000, Nsec: 123_456_789}}

func setTimes(path string) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, oldTimes, unix.AT_SYMLINK_NOFOLLOW)
}

// plant makes a tree of what any user may make.
func plant(t testing.TB, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"a", "a/b", "a/b/c", "empty", "sticky"} {
		must(t, os.Mkdir(at(d), 0o755))
	}
	large := bytes.Repeat([]byte("large \x00 file"), 100_000) // several pieces, no multiple of a block
	for name, text := range map[string][]byte{
		"zero": nil, "one": {1}, "a/x": []byte("x"), "a/b/large": large, "a/b/c/deep": []byte("deep"), "setuid": []byte("#!"),
		"zeros": make([]byte, 1<<20), "\xff\xfe not UTF-8": []byte("n"), strings.Repeat("n", 255): []byte("long"), "a/new\nline": []byte("l"),
	} {
		must(t, os.WriteFile(at(name), text, 0o640))
	}
	for i := range 2*64 - 20 { // some batches
		must(t, os.WriteFile(at("empty")+strings.Repeat("i", i+1), []byte{byte(i)}, 0o600))
	}
	sparse(t, at("sparse"))
	must(t, os.Truncate(at("zero"), 0), os.WriteFile(at("hole"), nil, 0o600), os.Truncate(at("hole"), 9<<20))
	must(t, os.Link(at("a/x"), at("a/b/c/other")), os.Link(at("a/x"), at("x")), os.Link(at("a/b/large"), at("large2")))
	must(t, os.Symlink("a/x", at("sym")), os.Symlink("/nowhere/"+strings.Repeat("s", 3000), at("a/dangling")), os.Link(at("sym"), at("a/sym2")))
	must(t, unix.Mkfifo(at("fifo"), 0o620))
	must(t, unix.Chmod(at("setuid"), 0o4755), unix.Chmod(at("sticky"), 0o3777), unix.Chmod(at("a/b"), 0o710))
	must(t, unix.Setxattr(at("one"), "user.one", []byte{0, 255}, 0), unix.Setxattr(at("a"), "user.dir", bytes.Repeat([]byte("d"), 2000), 0))
	must(t, unix.Setxattr(at("one"), "user.empty", nil, 0))
	for _, name := range []string{"sym", "fifo", "one", "a/b/large", "sparse", "a/b/c", "a/b", "a", "empty", "."} {
		must(t, setTimes(at(name)))
	}
}

// sparse makes a file that begins and ends with a hole and has data that is on
// no boundary.
func sparse(t testing.TB, name string) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for _, at := range []int64{1<<20 + 5, 5 << 20, 6<<20 - 1} {
		_, err := f.WriteAt([]byte("some data"), at)
		must(t, err)
	}
	must(t, f.Truncate(20<<20+1))
}

// blocks is how much room a file takes, in units of 512 bytes.
func blocks(t testing.TB, name string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(name, &st))
	return st.Blocks
}

// socket leaves a socket that nobody listens on.
func socket(t testing.TB, name string) {
	t.Helper()
	t.Chdir(filepath.Dir(name)) // a name of a socket is of at most 108 bytes
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Base(name), Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
}

func accessTime(t testing.TB, name string) syscall.Timespec {
	t.Helper()
	info, err := os.Lstat(name)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Atim
}
