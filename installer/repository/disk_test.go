package repository

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// What the disk has is compared, not what the kernel still holds in memory.
func TestVerifyReadsTheDisk(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.ext4", "mount", "umount")
	m := wholeRepository(t)
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20))
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-b", "4096", "-d", m.restored, image}, {"mount", "-o", "loop,ro", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	defer func() { must(t, unix.Unmount(dir, 0)) }()
	text, err := os.ReadFile(filepath.Join(dir, "alice/big"))
	must(t, err)
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	disk, err := io.ReadAll(f)
	must(t, err)
	at := bytes.Index(disk, text[2<<20:2<<20+4096])
	if at < 0 {
		t.Fatal("the disk has nothing of the file")
	}
	must(t, writeAt(f, strings.Repeat("\x00", 4096), int64(at)), f.Sync())
	got, err := m.verify(dir)
	must(t, err)
	if diff := cmp.Diff([]string{"/alice/big"}, got.First); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Only errors that say something of what is on the disk make it wrong, as what is
// wrong is removed.
func TestLacking(t *testing.T) {
	e := &entry{path: "/home/a"}
	for err, known := range map[error]bool{
		nil: true, unix.ENOENT: true, unix.ENOTDIR: true, unix.ELOOP: true, unix.EIO: true, unix.EUCLEAN: true, unix.EBADMSG: true,
		&os.PathError{Op: "open", Path: "/", Err: unix.EIO}: true,
		unix.EMFILE: false, unix.ENFILE: false, unix.ENOMEM: false, unix.EACCES: false, unix.EPERM: false,
		unix.EINTR: false, unix.EAGAIN: false, unix.ESTALE: false, unix.ETIMEDOUT: false, unix.ENOTCONN: false, unix.EOVERFLOW: false, unix.Errno(4095): false,
	} {
		got := e.lacking(err)
		if (got == nil) != known || !known && (firstboot.CodeOf(got) != firstboot.CodeIncomplete || !errors.Is(got, err)) {
			t.Errorf("%v: %v, expected an error: %t", err, got, !known)
		}
	}
}

// What cannot be looked at for a reason that says nothing of it ends the proof, and
// stays.
func TestVerifyUnknownError(t *testing.T) {
	imgtest.Need(t, oursProgram)
	long := "a" + strings.Repeat("/"+strings.Repeat("x", 250), 2)
	m, err := making{program: oursProgram, fill: func(dir string) error {
		name := filepath.Join(dir, long)
		return firstError(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("text"), 0o600))
	}}.make(t.TempDir())
	must(t, err)
	must(t, m.rewrite(func(path string, node map[string]any) {
		if path == long {
			node["name"] = strings.Repeat("x", 256) // ENAMETOOLONG
		}
	}))
	before := openFiles(t)
	if v, err := m.verify(m.restored); firstboot.CodeOf(err) != firstboot.CodeIncomplete || !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("%+v, %v; expected code %d", v, err, firstboot.CodeIncomplete)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, expected %d", after, before)
	}
	if _, err := os.Lstat(filepath.Join(m.restored, long)); err != nil {
		t.Error(err)
	}
}

func TestRetried(t *testing.T) {
	for _, want := range []error{nil, unix.EIO} {
		n := 0
		got := retried(func() error {
			if n++; n < 3 {
				return unix.EINTR
			}
			return want
		})
		if got != want || n != 3 {
			t.Errorf("%v after %d calls, expected %v after 3", got, n, want)
		}
	}
}

// Of attributes as much is read as there is, whatever it grew to, and no longer
// value is the one that is looked for.
func TestXattrs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, nil, 0o600))
	var want []string
	for i := range 40 {
		at := "user." + strings.Repeat("x", i+1)
		must(t, unix.Setxattr(name, at, []byte("v"), 0))
		want = append(want, at)
		got, err := xattrsAt(name).names()
		must(t, err)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	if list, err := xattrsAt(name).all(); err != nil || len(list) != cap(list) {
		t.Errorf("%d bytes in %d, %v", len(list), cap(list), err)
	}
}
