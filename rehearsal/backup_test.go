package rehearsal

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	btrfsreader "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/programs"
	"github.com/6FaNcY9/mkimage/profiles"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

// builtLister builds the program that lists a folder.
func builtLister(t *testing.T) string {
	t.Helper()
	imgtest.Need(t, "go")
	program := filepath.Join(t.TempDir(), "listtree")
	cmd := exec.Command("go", "build", "-o", program, "../builder/imgtest/cmd/listtree")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

var twoUsers = []User{{"ann", 1000}, {"bob", 1001}}

// TestMakeHome: equal users have equal homes, which have some of everything.
func TestMakeHome(t *testing.T) {
	var lists [2]string
	for i := range lists {
		dir := t.TempDir()
		t.Cleanup(func() { removeHome(dir) })
		noted, err := makeHome(dir, twoUsers, isRoot())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("not kept here: %q", noted)
		var b strings.Builder
		if err := listtree.List(&b, dir); err != nil {
			t.Fatal(err)
		}
		lists[i] = b.String()
	}
	c, err := compareHomes("/home", lists[0], lists[1])
	if err != nil {
		t.Fatal(err)
	}
	if !c.Held() || c.NewCount > 0 {
		t.Errorf("two homes differ: %+v", c)
	}
	k := c.Kinds
	if k.Files < 2*smallFiles || k.Folders < 80 || k.Symlinks != 8 || k.Others != 2 || k.HardLinks != 4 || k.Special != 10 || c.Bytes < 2*(largeFile+sparseFile) {
		t.Errorf("a home has %+v, %d bytes", k, c.Bytes)
	}
	if isRoot() && k.Owners != 2 {
		t.Errorf("%d owners; want 2", k.Owners)
	}
}

// TestSample makes a backup, puts it on a disk, and restores it from there as package
// restore would, by restic: what comes back has the same list.
func TestSample(t *testing.T) {
	in, err := programs.Load()
	if err != nil {
		t.Skip(err) // without make programs there is no restic to embed
	}
	dir := t.TempDir()
	b := backupMaker{
		root: chroot{filepath.Join(dir, "root"), 1000}, restore: profiles.Restore{Path: "/home", Repository: "restic/fox"}, host: "fox",
		lister: []string{builtLister(t)}, restic: in.Restic,
	}
	if err := os.Mkdir(b.root.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeHome(b.root.dir) })
	users := twoUsers
	if !isRoot() {
		needUserNamespace(t, &b.root)
		users = users[:1]
	}
	s, err := b.make(t.Context(), users, "pass word", time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.restic, "restic ") {
		t.Errorf("version %q", s.restic)
	}
	if !strings.Contains(s.list, " 1000:1000 ") {
		t.Error("no file is of the user 1000")
	}
	out, err := b.root.run(t.Context(), "/bin/restic", "snapshots", "--json", "--repo", "/disk/restic/fox", "--password-file", passwordFile, "--no-cache", "--no-lock")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"hostname":"fox"`, `"paths":["/home"]`, `"time":"2026-12-24T18:00:00Z"`} {
		if !strings.Contains(out, part) {
			t.Errorf("snapshots: no %s in %s", part, out)
		}
	}
	if _, err := b.root.run(t.Context(), "/bin/restic", "restore", "latest", "--target", "/back", "--repo", "/disk/restic/fox", "--password-file", passwordFile, "--no-cache", "--no-lock", "--quiet"); err != nil {
		t.Fatal(err)
	}
	back, err := b.root.run(t.Context(), "/bin/lister", "/back/home")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := compareHomes("/home", s.list, back); err != nil || !c.Held() || c.NewCount > 0 {
		t.Errorf("what restic restores: %+v, %v", c, err)
	}
	wantBackupDisk(t, s.tree)
}

// needUserNamespace skips where this host gives none to ordinary users.
func needUserNamespace(t *testing.T, c *chroot) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{ContainerID: int(c.uid), HostID: os.Geteuid(), Size: 1}}}
	if err := cmd.Run(); err != nil {
		imgtest.NeedRoot(t)
	}
}

// wantBackupDisk writes the disk and reads it as a file system.
func wantBackupDisk(t *testing.T, tree string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "backup.img")
	if err := writeBackupDisk(t.Context(), name, tree, "my backup"); err != nil {
		t.Fatal(err)
	}
	_, err := withDisk(name, func(f *os.File, size int64) (struct{}, error) {
		fs, err := btrfsreader.Open(io.NewSectionReader(f, 0, size), size)
		if err == nil && fs.Super().Label != "my backup" {
			t.Errorf("label %q", fs.Super().Label)
		}
		return struct{}{}, err
	})
	if err != nil {
		t.Error(err)
	}
	if err := writeBackupDisk(t.Context(), name, tree, "again"); err == nil {
		t.Error("a disk that is there is replaced")
	}
}

// TestChroot: a program sees the folder alone, and its end is told.
func TestChroot(t *testing.T) {
	c := chroot{t.TempDir(), 1000}
	if !isRoot() {
		needUserNamespace(t, &c)
	}
	data, err := os.ReadFile(builtLister(t))
	if err != nil {
		t.Fatal(err)
	}
	program, err := c.put("lister", data)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.run(t.Context(), program, "/")
	if err != nil || !strings.HasPrefix(out, `"bin" d`) || strings.Count(out, "\n") != 2 {
		t.Errorf("it lists %q, %v; want itself and its folder", out, err)
	}
	if _, err := c.run(t.Context(), program, "/absent"); err == nil || !strings.Contains(err.Error(), "lister /absent: exit status 1: listtree: error:") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.run(ctx, program, "/"); err != context.Canceled {
		t.Errorf("error %v; want that of the context", err)
	}
}

func TestDigest(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	write(t, name, "x")
	if got, err := digest(t.Context(), name); err != nil || got != "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" {
		t.Errorf("%s, %v; want the SHA-256 of x", got, err)
	}
	if err := writeEmpty(filepath.Join(dir, "disk"), minDisk); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, "disk"), &st); err != nil || st.Size != minDisk || st.Blocks > 0 {
		t.Errorf("an empty disk has %d bytes in %d blocks, %v", st.Size, st.Blocks, err)
	}
	if _, err := digestStick(t.Context(), name); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
		t.Errorf("the digest of no stick: %v", err)
	}
}

func TestPadded(t *testing.T) {
	for _, n := range []int{4095, 4096, 4097} {
		p := slices.Repeat([]byte{1}, n)
		got := padded(p)
		if want := (n + 4095) / 4096 * 4096; len(got) != want || slices.Max(got[:n]) != 1 || n < want && slices.Max(got[n:]) != 0 {
			t.Errorf("%d bytes become %d; want %d", n, len(got), want)
		}
	}
}
