package listtree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// sum is the SHA-256 of "x", zero that of nothing: sha256sum(1).
const (
	sum  = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	zero = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file makes a file with a time of its own.
func file(t *testing.T, path, text string, mode uint32) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o600))
	check(t, unix.Chmod(path, mode))
	date(t, path, 1_700_000_000, 7)
}

func date(t *testing.T, path string, sec, nsec int64) {
	t.Helper()
	at := unix.Timespec{Sec: sec, Nsec: nsec}
	check(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
}

// plant makes one of all kinds but of devices, which need root.
func plant(t *testing.T) string {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	check(t, os.Mkdir(in("d e"), 0o700))
	file(t, in("d e/a"), "x", 0o4755)
	file(t, in("d e/\xff\"\n\u00e4"), "", 0o1600)
	check(t, os.Link(in("d e/a"), in("z")))
	check(t, os.Link(in("d e/a"), in("b")))
	check(t, os.Symlink("no where", in("s")))
	date(t, in("s"), -5, 999_999_999)
	check(t, unix.Mkfifo(in("p"), 0o640))
	check(t, unix.Chmod(in("p"), 0o640))
	date(t, in("p"), 0, 0)
	date(t, in("d e"), 1_700_000_000, 123_456_789)
	if err := errors.Join(unix.Setxattr(in("z"), "user.b", []byte{0, 255}, 0), unix.Setxattr(in("z"), "user.a c", nil, 0)); err != nil {
		t.Skipf("extended attributes: %v", err)
	}
	return dir
}

func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, List(&b, dir))
	return b.String()
}

func TestList(t *testing.T) {
	own := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	want := strings.ReplaceAll(`"b" f 4755 OWN 1700000000.000000007 1 `+sum+` - - user.a c=,user.b=00ff
"d e" d 0700 OWN 1700000000.123456789 - - - - -
"d e/a" f 4755 OWN 1700000000.000000007 1 `+sum+` - "b" user.a c=,user.b=00ff
"d e/\xff\"\n\u00e4" f 1600 OWN 1700000000.000000007 0 `+zero+` - - -
"p" p 0640 OWN 0.000000000 - - - - -
"s" l 0777 OWN -5.999999999 - - "no where" - -
"z" f 4755 OWN 1700000000.000000007 1 `+sum+` - "b" user.a c=,user.b=00ff
`, "OWN", own)
	if diff := cmp.Diff(want, list(t, plant(t))); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// TestEveryChange changes one thing of one file, and wants another list.
func TestEveryChange(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"content": func(dir string) error { return os.WriteFile(dir+"/b", []byte("y"), 0) },
		"mode":    func(dir string) error { return unix.Chmod(dir+"/p", 0o641) },
		"time": func(dir string) error {
			return unix.UtimesNano(dir+"/b", []unix.Timespec{{}, {Sec: 1_700_000_000, Nsec: 8}})
		},
		"target":    func(dir string) error { return errors.Join(os.Remove(dir+"/s"), os.Symlink("elsewhere", dir+"/s")) },
		"attribute": func(dir string) error { return unix.Setxattr(dir+"/b", "user.b", []byte{0, 254}, 0) },
		"gone":      func(dir string) error { return unix.Removexattr(dir+"/b", "user.b") },
		"name":      func(dir string) error { return os.Rename(dir+"/p", dir+"/q") },
		"other link": func(dir string) error {
			return errors.Join(os.Remove(dir+"/z"), os.WriteFile(dir+"/z", []byte("x"), 0o600))
		},
		"new": func(dir string) error { return os.Mkdir(dir+"/new", 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t)
			before := list(t, dir)
			check(t, change(dir))
			if after := list(t, dir); after == before {
				t.Errorf("the list is the same:\n%s", after)
			}
		})
	}
}

func TestListFails(t *testing.T) {
	if err := List(&strings.Builder{}, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a directory that is not there was listed")
	}
	if err := List(full{}, plant(t)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("no space for the list: %v", err)
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, unix.ENOSPC }
