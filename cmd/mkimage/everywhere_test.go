package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program copies this test binary to where any user can run it as mkimage; see
// TestMain.
func program(t testing.TB, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "mkimage")
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// nobody is the user that runs the program beside root.
const nobody = 65534

// plantTree makes a directory of files in the order of the names given.
// Whatever the order, the files are the same.
func plantTree(t *testing.T, root string, order func([]string)) {
	t.Helper()
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("home/d%d/f%03d", i%7, i*7919%1000))
	}
	names = append(names, "etc/passwd", "etc/shadow", "a", "a-b", "aa/b")
	order(names)
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat(name+"\n", len(name)*len(name)*8)), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(path, nobody, nobody)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dateTree(t, root)
}

// dateTree gives every file a time that depends on its path, directories last.
func dateTree(t *testing.T, root string) {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(paths)
	for _, path := range paths {
		sum := sha256.Sum256([]byte(strings.TrimPrefix(path, root)))
		at := time.Unix(1_600_000_000+int64(sum[0])*1000, int64(sum[1])*1_000_001)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSameBytesEverywhere runs the program on equal trees from other folders,
// with other time zones, file masks, locales, users, numbers of processors and
// orders of listing, and from an archive: the file systems must be equal.
func TestSameBytesEverywhere(t *testing.T) {
	base := t.TempDir()
	for dir := base; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mkimage := program(t, base)
	forward, backward := filepath.Join(base, "forward"), filepath.Join(base, "other", "backward")
	plantTree(t, forward, slices.Sort)
	plantTree(t, backward, func(s []string) { slices.Sort(s); slices.Reverse(s) })
	archive := filepath.Join(base, "tree.tar")
	if out, err := exec.Command("tar", "-C", backward, "--format=pax", "--sort=name", "-cf", archive, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	if err := os.Chmod(archive, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, from, cwd, umask string
		env                    []string
		uid                    int
	}{
		{"plain", "dir:" + forward, "/", "022", nil, os.Geteuid()},
		{"folder", "dir:forward", base, "022", nil, os.Geteuid()},
		{"listing order", "dir:" + backward, "/", "022", nil, os.Geteuid()},
		{"time zone", "dir:" + forward, "/", "022", []string{"TZ=Pacific/Chatham"}, os.Geteuid()},
		{"umask", "dir:" + forward, "/", "077", nil, os.Geteuid()},
		{"locale", "dir:" + forward, "/", "022", []string{"LC_ALL=tr_TR.UTF-8", "LANG=C"}, os.Geteuid()},
		{"one processor", "dir:" + forward, "/", "022", []string{"GOMAXPROCS=1"}, os.Geteuid()},
		{"two processors", "dir:" + forward, "/", "022", []string{"GOMAXPROCS=2"}, os.Geteuid()},
		{"user", "dir:" + forward, "/", "022", []string{"HOME=/nowhere"}, nobody},
		{"archive", "tar:" + archive, "/", "022", nil, os.Geteuid()},
	}
	want := ""
	for _, test := range tests {
		if test.uid != os.Geteuid() && os.Geteuid() != 0 {
			continue // only root can be another user; the suite also runs as an ordinary one
		}
		out := filepath.Join(outputDir(t, base, test.uid), "fs.img")
		cmd := exec.Command("sh", "-c", `umask "$1" && shift && exec "$@"`, "sh", test.umask, mkimage, "mkfs", "--quiet", "--from", test.from,
			"--root-subvolume", "@", "--subvolume", "@home:home", "--snapshot", "@:@factory", "--swapfile", "@swap/swapfile=1MiB", "-o", out)
		cmd.Dir, cmd.Env = test.cwd, append([]string{"PATH=" + os.Getenv("PATH")}, test.env...)
		if test.uid != os.Geteuid() {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", test.name, err, stderr.Bytes())
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%x", sha256.Sum256(b))
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: %s; want %s", test.name, got, want)
		}
	}
}

// outputDir makes a folder in which a user may write.
func outputDir(t *testing.T, base string, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp(base, "out")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	return dir
}
