package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// onDisk returns a file system below a directory of its own, with a file.
func onDisk(t *testing.T, name string) durable.FS {
	t.Helper()
	root := t.TempDir()
	plant(t, root, name, "12345")
	return durable.OS(root)
}

func plant(t *testing.T, root, name, text string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, root, name string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

func TestOSWrite(t *testing.T) {
	root := t.TempDir()
	f := durable.OS(root)
	plant(t, root, durable.Temporary(name), "half")
	for _, text := range []string{"first", "second"} {
		if err := durable.Write(f, name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || string(got) != text {
			t.Errorf("%q, %v, expected %q", got, err, text)
		}
	}
	info, err := f.Lstat(name)
	if err != nil || info.Mode != 0o640 || info.Size != 6 {
		t.Errorf("Lstat: %v, %v, expected mode 0640 and 6 bytes", info, err)
	}
	if names, err := f.List("/var/lib/x"); err != nil || len(names) != 1 {
		t.Errorf("List: %q, %v, expected the file alone", names, err)
	}
}

func TestOSWriteOwner(t *testing.T) {
	imgtest.NeedRoot(t)
	root := t.TempDir()
	dir := filepath.Join(root, "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	f := durable.OS(root)
	if err := durable.Write(f, "/d/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Lstat("/d/file"); err != nil || info != (durable.Info{Mode: 0o600}) {
		t.Errorf("Lstat: %v, %v, expected root's", info, err)
	}
}

// A symlink leads where it does in the system whose root it is.
func TestOSSymlinks(t *testing.T) {
	outside := t.TempDir()
	plant(t, outside, "secret", "outside")
	root := t.TempDir()
	plant(t, root, "/persist/lib/file", "inside")
	link(t, "/persist/lib", root, "/var/absolute")
	link(t, "../persist/lib", root, "/var/relative")
	link(t, "../../../../../../../../persist/lib", root, "/var/above")
	link(t, "/var/absolute/../lib", root, "/var/twice")
	link(t, "/var/loop", root, "/var/loop")
	link(t, outside, root, "/var/outside")
	link(t, "/persist/lib/file", root, "/var/file")
	f := durable.OS(root)
	for _, name := range []string{"/var/absolute/file", "/var/relative/file", "/var/above/file", "/var/twice/file", "/var/file", "/var/./file", "/var/../var/file", "/../var/file"} {
		if got, err := durable.Read(f, name, 100); err != nil || string(got) != "inside" {
			t.Errorf("Read(%s): %q, %v, expected %q", name, got, err, "inside")
		}
	}
	if got, err := durable.Read(f, "/var/outside/secret", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read through a symlink to outside: %q, %v, expected that it does not exist", got, err)
	}
	if _, err := durable.Read(f, "/var/loop/x", 100); !errors.Is(err, unix.ELOOP) {
		t.Errorf("Read through a loop: %v, expected %v", err, unix.ELOOP)
	}
	if err := durable.Write(f, "/var/outside/new", nil, 0o600); err == nil || !strings.Contains(err.Error(), "a symlink to what is not there") {
		t.Errorf("Write through a symlink to outside: %v", err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside: %v, %v, expected what was there", entries, err)
	}
	if err := durable.Write(f, "/var/absolute/new", []byte("new"), 0o600); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "persist/lib/new")); string(got) != "new" {
		t.Errorf("file written through a symlink: %q, %v", got, err)
	}
	if err := durable.Write(f, "/var/file", []byte("new"), 0o600); err != nil {
		t.Error(err)
	}
	if info, err := f.Lstat("/var/file"); err != nil || !info.Mode.IsRegular() {
		t.Errorf("Lstat of a symlink that was replaced: %v, %v, expected a file", info, err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "persist/lib/file")); string(got) != "inside" {
		t.Errorf("where the symlink led: %q, %v, expected what was there", got, err)
	}
}

func TestOSSymlinkLimits(t *testing.T) {
	root := t.TempDir()
	plant(t, root, "/l0", "inside")
	for n := range 41 {
		link(t, fmt.Sprintf("/l%d", n), root, fmt.Sprintf("/l%d", n+1))
	}
	f := durable.OS(root)
	for n, want := range map[int]error{39: nil, 40: nil, 41: unix.ELOOP} {
		if _, err := durable.Read(f, fmt.Sprintf("/l%d", n), 100); !errors.Is(err, want) {
			t.Errorf("Read over %d symlinks: %v, expected %v", n, err, want)
		}
	}
	for _, name := range []string{"/l1", "/l1/", "/x/../l1"} {
		if info, err := f.Lstat(name); err != nil || info.Mode&fs.ModeSymlink == 0 {
			t.Errorf("Lstat(%s): %v, %v, expected a symlink", name, info.Mode, err)
		}
	}
}

func TestOSErrors(t *testing.T) {
	root := t.TempDir()
	plant(t, root, "/file", "")
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := durable.OS(root)
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"fifo", errorOf(f.Open("/fifo")), "/fifo: neither a file nor a directory"},
		{"missing", errorOf(f.Open("/x")), "/x: no such file or directory"},
		{"exists", errorOf(f.Create("/file", 0o600)), "/file: file exists"},
		{"mkdir", f.Mkdir("/file", 0o700), "/file: file exists"},
		{"link", f.Link("/file", "/fifo"), "/fifo: file exists"},
		{"link of nothing", f.Link("/x", "/y"), "/y: no such file or directory"},
		{"rename", f.Rename("/x", "/file"), "/file: no such file or directory"},
		{"remove", f.Remove("/x"), "/x: no such file or directory"},
		{"below a file", errorOf(f.Lstat("/file/x")), "/file/x: not a directory"},
		{"list", errorOf(f.List("/x")), "/x: no such file or directory"},
		{"lock", errorOf(f.Lock("/x")), "/x: no such file or directory"},
		{"relative", f.Remove("x"), "x: expected an absolute name"},
	}
	for _, tt := range tests {
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("%s: %v, expected %s", tt.name, tt.err, tt.want)
		}
	}
	for name, err := range map[string]error{"/x": errorOf(f.Open("/x")), "/y": errorOf(f.Lstat("/y"))} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, expected fs.ErrNotExist", name, err)
		}
	}
	if err := f.Mkdir("/file", 0o700); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Mkdir: %v, expected fs.ErrExist", err)
	}
	if err := durable.OS(filepath.Join(root, "none")).Remove("/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a root: %v, expected fs.ErrNotExist", err)
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestOSLock(t *testing.T) {
	f := durable.OS(t.TempDir())
	lock, err := f.Lock("/")
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	began := make(chan bool)
	go func() {
		close(began)
		lock, err := f.Lock("/")
		if err == nil {
			err = lock.Close()
		}
		second <- err
	}()
	<-began
	select {
	case err := <-second:
		t.Fatalf("second Lock: %v, expected it to wait", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-second:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("second Lock: still waits after the first is gone")
	}
}
