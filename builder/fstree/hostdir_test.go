package fstree

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// setTime sets the modification time of the object at path itself.
func setTime(t testing.TB, path string, sec, nsec int64) {
	t.Helper()
	ts := []unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setXattr sets an attribute or skips the test where there are none.
func setXattr(t testing.TB, path, name, value string) {
	t.Helper()
	err := unix.Lsetxattr(path, name, []byte(value), 0)
	if errors.Is(err, unix.ENOTSUP) {
		t.Skipf("%s: file system without %s", path, name)
	}
	must(t, err)
}

func TestScanDir(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/d/file", "hello")
	write(t, root+"/d.x", "")
	must(t, os.Chmod(root+"/d/file", 0o6751|os.ModeSetuid|os.ModeSetgid))
	must(t, os.Symlink("/nowhere/"+strings.Repeat("x", 200), root+"/d/link"))
	must(t, unix.Mkfifo(root+"/fifo", 0o600))
	must(t, os.Chmod(root+"/d", 0o1777|os.ModeSticky))
	must(t, os.Chmod(root, 0o711))
	socket, err := net.Listen("unix", root+"/s")
	must(t, err)
	defer socket.Close()
	must(t, os.Chmod(root+"/s", 0o755))
	for path, at := range map[string][2]int64{
		"/d/file": {1, 1}, "/d/link": {-2, 999999999}, "/d.x": {1 << 33, 0}, "/fifo": {0, 0}, "/s": {7, 8}, "/d": {5, 6}, "": {3, 4},
	} {
		setTime(t, root+path, at[0], at[1])
	}
	tree, err := ScanDir(context.Background(), root, DirOptions{Owner: &Owner{UID: 12, GID: 4294967294}})
	must(t, err)
	const who = " 12:4294967294 "
	diff(t, "tree", []string{
		". 040711" + who + "3.000000004",
		"d 041777" + who + "5.000000006",
		"d/file 106751" + who + "1.000000001 5 bytes [{0 5}] 8ac4fe23ffd8",
		"d/link 120777" + who + "-2.999999999 -> /nowhere/" + strings.Repeat("x", 200),
		"d.x 100644" + who + "8589934592.000000000 0 bytes [] hole",
		"fifo 010600" + who + "0.000000000",
		"s 140755" + who + "7.000000008",
	}, listing(t, tree))
	if got := tree.Lookup("d/link").Size; got != 209 {
		t.Errorf("symlink has size %d; want 209", got)
	}
}

func TestScanDirHardLinks(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/z/first", "one")
	must(t, os.MkdirAll(root+"/a/b", 0o755))
	must(t, os.Link(root+"/z/first", root+"/a/b/second"))
	must(t, os.Link(root+"/z/first", root+"/m"))
	must(t, os.Symlink("x", root+"/l1"))
	must(t, os.Link(root+"/l1", root+"/l2"))
	tree := mustScanDir(t, root)
	inode := tree.Lookup("m").Inode
	for _, path := range []string{"a/b/second", "z/first"} {
		e := tree.Lookup(path)
		if e.Inode != inode {
			t.Errorf("%s is no link of m", path)
		}
		if got, want := contentOf(t, e), "3 bytes [{0 3}] "; !strings.HasPrefix(got, want) {
			t.Errorf("%s holds %s; want %s", path, got, want)
		}
	}
	if tree.Lookup("l1").Inode != tree.Lookup("l2").Inode {
		t.Error("links of a symlink are not links")
	}
	// The file is found by the name that it was scanned at, so one is enough.
	must(t, os.Remove(root+"/a/b/second"))
	must(t, os.Remove(root+"/z/first"))
	contentOf(t, tree.Lookup("z/first"))
}

func TestScanDirXattrs(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/f", "x")
	must(t, os.Mkdir(root+"/d", 0o755))
	want := []Xattr{{"user.a", []byte{}}, {"user.b", []byte("\x00\xff=")}, {"user.c", []byte(strings.Repeat("v", 2000))}}
	for _, i := range []int{2, 0, 1} {
		for _, path := range []string{"", "/f", "/d"} {
			setXattr(t, root+path, want[i].Name, string(want[i].Value))
		}
	}
	tree := mustScanDir(t, root)
	for _, path := range []string{"", "f", "d"} {
		got := tree.Lookup(path).Xattrs
		for len(got) > 0 && strings.HasPrefix(got[0].Name, "security.") {
			got = got[1:] // of hosts that label every file
		}
		diff(t, "attributes of "+path, want, got)
	}
}

func TestScanDirErrors(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/f", "x")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ScanDir(cancelled, root, DirOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	_, err := ScanDir(context.Background(), root+"/absent", DirOptions{})
	wantInputError(t, err, root+"/absent: no such file")
	_, err = ScanDir(context.Background(), root+"/f", DirOptions{})
	wantInputError(t, err, root+"/f: not a directory")
}

func TestScanDirFollowsRootOnly(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/real/f", "x")
	must(t, os.Symlink("/", root+"/real/out"))
	must(t, os.Symlink("real", root+"/alias"))
	diff(t, "paths", []string{".", "f", "out"}, paths(mustScanDir(t, root+"/alias")))
}

// A name may be anything but empty, and a path longer than PATH_MAX.
func TestScanDirDeep(t *testing.T) {
	root := t.TempDir()
	name := strings.Repeat("\xff", 255)
	fd, err := unix.Open(root, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	const depth = 20
	for range depth {
		must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		must(t, unix.Close(fd))
		fd = next
	}
	must(t, unix.Close(fd))
	tree := mustScanDir(t, root)
	last := ""
	for e := range tree.All() {
		last = e.Path()
	}
	if want := strings.Repeat(name+"/", depth); last+"/" != want {
		t.Errorf("deepest path has %d bytes; want %d", len(last), len(want)-1)
	}
}

// An ordinary user is told which path is closed to him.
func TestScanDirPermission(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/open/shut/f", "x")
	write(t, root+"/open/secret", "x")
	must(t, os.Chmod(root+"/open/secret", 0))
	must(t, os.Chmod(root+"/open/shut", 0))
	defer os.Chmod(root+"/open/shut", 0o755)
	asUser(t, root, func() {
		_, err := ScanDir(context.Background(), root, DirOptions{})
		wantInputError(t, err, root+"/open/shut: permission denied")
	})
	must(t, os.Chmod(root+"/open/shut", 0o755))
	asUser(t, root, func() { // content is closed, what a scan asks for is not
		e := mustScanDir(t, root).Lookup("open/secret")
		_, err := e.Content.Open(e)
		wantInputError(t, err, root+"/open/secret: permission denied")
		if got, want := fault.HintOf(err), "run as root, or make it readable"; got != want {
			t.Errorf("hint %q; want %q", got, want)
		}
	})
	must(t, os.Chmod(root+"/open/secret", 0o600))
	setXattr(t, root+"/open/secret", "user.secret", "x")
	must(t, os.Chmod(root+"/open/secret", 0))
	asUser(t, root, func() {
		_, err := ScanDir(context.Background(), root, DirOptions{})
		wantInputError(t, err, root+"/open/secret: extended attribute user.secret: permission denied")
	})
}

// asUser calls f without root's rights to files, in a thread of its own.
func asUser(t *testing.T, root string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	for dir := root; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	// The file system user id is the thread's own; it has no capabilities.
	done := make(chan struct{})
	go func() {
		defer close(done)
		lockThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestSplitNames(t *testing.T) {
	for in, want := range map[string]int{"": 0, "a\x00": 1, "a\x00bc\x00": 2, "unended": 0} {
		if got := len(splitNames([]byte(in))); got != want {
			t.Errorf("splitNames(%q) has %d names; want %d", in, got, want)
		}
	}
}

func TestReadLink(t *testing.T) {
	root := t.TempDir()
	must(t, os.Symlink("target", root+"/l"))
	fd, err := openDir(unix.AT_FDCWD, root, 0)
	must(t, err)
	defer unix.Close(fd)
	for size, want := range map[int64]string{0: "target", 6: "target", 7: "target", 1 << 40: "target", 5: "", -1: "target"} {
		if got, err := readLink(fd, "l", size); got != want || (err == nil) != (want != "") {
			t.Errorf("readLink with size %d = %q, %v; want %q", size, got, err, want)
		}
	}
}

func TestScanDirSince(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/f", "x")
	at := time.Unix(1, 0)
	must(t, os.Chtimes(root+"/f", at, at))
	tree := mustScanDir(t, root)
	// The time in the tree is the writer's to change.
	tree.Lookup("f").SetMTime(time.Unix(99, 0))
	contentOf(t, tree.Lookup("f"))
}
