package restore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/resticrepo"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

const (
	testPassword = "correct horse"
	testHost     = "fox"
	skelText     = "# of the skeleton\n"
)

// backup is a home and a repository with a snapshot of it, made once for all
// tests.
type backup struct {
	home, repo, password string
	id                   string
}

// testDir is where it is, once it is made.
var testDir string

var testBackup = sync.OnceValues(func() (backup, error) {
	dir, err := os.MkdirTemp("", "restore-test")
	if err != nil {
		return backup{}, err
	}
	testDir = dir
	b := backup{home: filepath.Join(dir, "home"), repo: filepath.Join(dir, "repo"), password: filepath.Join(dir, "password")}
	if err := os.WriteFile(b.password, []byte(testPassword+"\n"), 0o600); err != nil {
		return b, err
	}
	if err := makeHome(b.home); err != nil {
		return b, err
	}
	if _, err := b.restic("init"); err != nil {
		return b, err
	}
	if err := resticrepo.CheapKey(b.repo, testPassword); err != nil {
		return b, err
	}
	// The snapshot that says it is newer was made first: clocks go wrong.
	out, err := b.restic("backup", "--pack-size=4", "--host="+testHost, "--time=2035-01-02 03:04:05", b.home)
	if err != nil {
		return b, err
	}
	if before, _, ok := strings.Cut(out, " saved"); ok {
		b.id = before[strings.LastIndex(before, " ")+1:]
	}
	for _, host := range []string{testHost, "other"} {
		if _, err := b.restic("backup", "--host="+host, "--time=2020-01-01 00:00:00", "--exclude=alice", b.home); err != nil {
			return b, err
		}
	}
	return b, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if testDir != "" {
		os.RemoveAll(testDir)
	}
	os.Exit(code)
}

// restic runs the system's restic, which is older than ours.
func (b backup) restic(args ...string) (string, error) {
	cmd := exec.Command("restic", append([]string{"--repo=" + b.repo, "--password-file=" + b.password, "--no-cache"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("restic %q: %w: %s", args, err, out)
	}
	return string(out), nil
}

// makeHome makes homes with all that restic keeps.
func makeHome(dir string) error {
	random := func(n int, seed uint64) []byte {
		text, r := make([]byte, n), rand.NewPCG(seed, 0)
		for i := range text {
			text[i] = byte(r.Uint64())
		}
		return text
	}
	files := map[string][]byte{
		"README": []byte("at the top\n"), "alice/.bashrc": []byte("# mine\n"), "alice/empty": nil, "alice/big": random(9<<20, 1),
		"alice/a": random(1<<16, 2), "alice/not \xff\xfe UTF-8": []byte("x"), "alice/new\nline": []byte("y"), "alice/closed/f": []byte("z"),
		"alice/setuid": []byte("#!\n"), "bob/.profile": []byte(skelText), "bob/notes": random(1<<18, 3), "carol/notes": []byte("old notes\n"),
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, text, 0o640); err != nil {
			return err
		}
	}
	alice := filepath.Join(dir, "alice")
	sparse, err := os.Create(filepath.Join(alice, "sparse"))
	if err != nil {
		return err
	}
	defer sparse.Close()
	for _, err := range []error{
		sparse.Truncate(64 << 20), writeAt(sparse, "data", 40<<20),
		os.Symlink("/nowhere/at all", filepath.Join(alice, "link")),
		os.Link(filepath.Join(alice, "a"), filepath.Join(alice, "closed/other name")),
		unix.Mkfifo(filepath.Join(alice, "fifo"), 0o600),
		unix.Mknod(filepath.Join(alice, "socket"), unix.S_IFSOCK|0o600, 0),
		unix.Setxattr(filepath.Join(alice, "a"), "user.note", []byte("\x00kept"), 0),
		os.Mkdir(filepath.Join(dir, "lost+found"), 0o700),
		own(alice, 1000), own(filepath.Join(dir, "bob"), 1001), own(filepath.Join(dir, "carol"), 1002),
		unix.Chmod(filepath.Join(alice, "setuid"), 0o4751), os.Chmod(filepath.Join(alice, "closed"), 0o500), os.Chmod(alice, 0o710),
	} {
		if err != nil {
			return err
		}
	}
	return date(dir)
}

func writeAt(f *os.File, text string, at int64) error {
	_, err := f.WriteAt([]byte(text), at)
	return err
}

func own(dir string, id int) error {
	return filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, id, id)
	})
}

// date gives everything a time of its own, directories after what is in them.
func date(dir string) error {
	var names []string
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	for i := len(names) - 1; i >= 0 && err == nil; i-- {
		at := unix.NsecToTimespec(1_600_000_000_123_456_789 + int64(i)*1_000_000_007)
		err = unix.UtimesNanoAt(unix.AT_FDCWD, names[i], []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

// machine is a system on a btrfs of its own, with a backup disk.
type machine struct {
	t      testing.TB
	backup backup
	image  string
	mount  *imgtest.Mounted
	c      *firstboot.Config
	s      System
	device string // of the backup disk
	logs   []string
}

// newMachine makes one whose backup disk has a copy of the repository that is
// changed first.
func newMachine(t *testing.T, change func(repo string)) *machine {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "restic", "mkfs.btrfs", "mkfs.ext4", "losetup", "cp", "btrfs")
	b, err := testBackup()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, backup: b, image: filepath.Join(t.TempDir(), "system.img")}
	m.s = System{
		Now: time.Now, DropCaches: func() error { return nil },
		Log: func(line string) { m.logs = append(m.logs, line) },
	}
	m.c = &firstboot.Config{Image: "fox-1", Restore: &firstboot.Restore{
		Disk: "LABEL=back up", Repository: "restic/fox", Host: testHost, Path: b.home, Password: "backup",
		Homes: []firstboot.Home{{Path: b.home + "/alice", UID: 1000, GID: 1000}, {Path: b.home + "/dave", UID: 1003, GID: 1003}},
	}}
	m.makeSystem(2 << 30)
	m.plug(m.makeDisk(change))
	return m
}

func (m *machine) makeSystem(size int64) {
	m.t.Helper()
	must(m.t, os.WriteFile(m.image, nil, 0o600), os.Truncate(m.image, size))
	m.command("mkfs.btrfs", "-q", m.image)
	m.attach()
	home := m.path("")
	must(m.t, os.MkdirAll(filepath.Dir(home), 0o755))
	m.command("btrfs", "subvolume", "create", home)
	m.write(m.in("etc/skel/.bashrc"), skelText)
	m.write(m.in("etc/skel/.config/app"), skelText)
	m.write(m.in("run/secrets/backup"), testPassword+"\n")
}

// attach mounts the image.
func (m *machine) attach() {
	m.t.Helper()
	m.mount = imgtest.MountImage(m.t, m.image, imgtest.MountOptions{})
	m.s.Root = m.mount.Dir
	if m.device != "" {
		m.plug(m.device)
	}
}

// cutPower makes the machine one whose disk has what is on it now: not what the
// kernel still holds in memory.
func (m *machine) cutPower(image string) {
	m.t.Helper()
	m.mount.Unmount(m.t)
	m.image = image
	m.attach()
}

// copyImage copies what is on the disk.
func (m *machine) copyImage(name string) string {
	m.t.Helper()
	to := filepath.Join(m.t.TempDir(), name)
	m.command("cp", "--sparse=always", m.image, to)
	return to
}

// makeDisk returns an image of an ext4 with the repository.
func (m *machine) makeDisk(change func(repo string)) string {
	m.t.Helper()
	dir := m.t.TempDir()
	repo := filepath.Join(dir, "disk/restic/fox")
	must(m.t, os.MkdirAll(filepath.Dir(repo), 0o755))
	m.command("cp", "-a", m.backup.repo, repo)
	if change != nil {
		change(repo)
	}
	return m.loop(m.mkfs("ext4", filepath.Join(dir, "disk")))
}

// mkfs returns an image of a file system with what is in a directory.
func (m *machine) mkfs(kind, from string) string {
	m.t.Helper()
	image := filepath.Join(m.t.TempDir(), kind+".img")
	must(m.t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 256<<20))
	flag := map[string]string{"ext4": "-d", "btrfs": "--rootdir"}[kind]
	m.command("mkfs."+kind, "-q", flag, from, image)
	return image
}

// loop returns a loop device of an image, until the end of the test.
func (m *machine) loop(image string, args ...string) string {
	m.t.Helper()
	device := strings.TrimSpace(m.command("losetup", append(append([]string{"--find", "--show"}, args...), image)...))
	m.t.Cleanup(func() { m.command("losetup", "--detach", device) })
	return device
}

// plug makes a device the backup disk.
func (m *machine) plug(device string) {
	m.t.Helper()
	m.device = device
	link := m.in(firstboot.DevicePath(m.c.Restore.Disk))
	must(m.t, os.MkdirAll(filepath.Dir(link), 0o755), os.RemoveAll(link), os.Symlink(device, link))
}

func (m *machine) in(name string) string   { return filepath.Join(m.s.Root, name) }
func (m *machine) path(name string) string { return filepath.Join(m.s.Root, m.c.Restore.Path, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	must(m.t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
}

func (m *machine) command(name string, args ...string) string {
	m.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// run runs the restore, whose error has to have a code. 0 is none.
func (m *machine) run(want firstboot.Code) error {
	m.t.Helper()
	err := Run(context.Background(), m.c, m.s)
	if got := firstboot.CodeOf(err); got != want || (err == nil) != (want == 0) {
		m.t.Fatalf("Run: code %d, %v; expected code %d\nlog: %s", got, err, want, strings.Join(m.logs, "\n     "))
	}
	if _, statErr := os.Stat(filepath.Join(m.in(firstboot.BackupDir), "restic")); statErr == nil {
		m.t.Error("the backup disk is still mounted")
	}
	return err
}

// list returns the lines of a tree, but for sockets, which restic leaves out.
func list(t testing.TB, dir string) string {
	t.Helper()
	var out bytes.Buffer
	must(t, listtree.List(&out, dir))
	var kept strings.Builder
	for text := range strings.Lines(out.String()) {
		if !strings.HasPrefix(text, `"socket" `) {
			kept.WriteString(text)
		}
	}
	return kept.String()
}

// same fails unless directories below the home are those of the backup.
func (m *machine) same(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.sameAt(name, m.path(name))
	}
}

func (m *machine) sameAt(name, at string) {
	m.t.Helper()
	if diff := cmp.Diff(list(m.t, filepath.Join(m.backup.home, name)), list(m.t, at)); diff != "" {
		m.t.Errorf("%s (-backup +restored):\n%s", name, diff)
	}
}

// top returns the names at the top of the home.
func (m *machine) top() string {
	m.t.Helper()
	entries, err := os.ReadDir(m.path(""))
	must(m.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func (m *machine) text(name string) string {
	m.t.Helper()
	text, err := os.ReadFile(name)
	must(m.t, err)
	return string(text)
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
