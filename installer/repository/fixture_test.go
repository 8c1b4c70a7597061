package repository

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/resticrepo"
)

// The programs of restic that repositories are made by: the one that is put into
// images (make programs builds it), and the system's, which is older.
const (
	oursProgram   = "../../.cache/programs/restic"
	systemProgram = "restic"
)

const testPassword = "correct horse"

// made is a home, a repository with a snapshot of it, and what restic itself has
// restored of that.
type made struct {
	program                        string
	home, repo, password, restored string
	id                             string
}

// making says how a repository is made.
type making struct {
	program string
	init    []string                // more arguments of restic init
	backup  []string                // more arguments of restic backup
	before  func(m *made) error     // of the backup
	after   func(m *made) error     // of it, before it is restored
	fill    func(home string) error // nil is makeHome
}

// make makes one in a directory.
func (how making) make(dir string) (*made, error) {
	program, err := exec.LookPath(how.program)
	if err != nil {
		return nil, err
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	m := &made{program: program, home: filepath.Join(dir, "home"), repo: filepath.Join(dir, "repo"), password: filepath.Join(dir, "password"), restored: filepath.Join(dir, "restored")}
	if how.fill == nil {
		how.fill = makeHome
	}
	nothing := func(*made) error { return nil }
	if how.before == nil {
		how.before = nothing
	}
	if how.after == nil {
		how.after = nothing
	}
	for _, step := range []func() error{
		func() error { return os.WriteFile(m.password, []byte(testPassword+"\n"), 0o600) },
		func() error { return how.fill(m.home) },
		func() error { return m.restic(nil, append([]string{"init"}, how.init...)...) },
		func() error { return resticrepo.CheapKey(m.repo, testPassword) },
		func() error { return how.before(m) },
		func() error { return m.backup(how.backup...) },
		func() error { return how.after(m) },
		func() error { return m.byRestic(m.restored, m.home) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// backup makes the snapshot.
func (m *made) backup(args ...string) error {
	var out bytes.Buffer
	if err := m.restic(&out, append([]string{"backup", "--json", m.home}, args...)...); err != nil {
		return err
	}
	_, after, _ := strings.Cut(out.String(), `"snapshot_id":"`)
	m.id, _, _ = strings.Cut(after, `"`)
	if len(m.id) == 8 { // as the older prints it
		names, err := filepath.Glob(filepath.Join(m.repo, "snapshots", m.id+"*"))
		if err != nil || len(names) != 1 {
			return fmt.Errorf("snapshot %s: %q, %w", m.id, names, err)
		}
		m.id = filepath.Base(names[0])
	}
	return nil
}

func (m *made) restic(out *bytes.Buffer, args ...string) error {
	cmd := exec.Command(m.program, append([]string{"--repo=" + m.repo, "--password-file=" + m.password, "--no-cache"}, args...)...)
	var text bytes.Buffer
	if out == nil {
		out = &text
	}
	cmd.Stdout, cmd.Stderr = out, &text
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("restic %q: %w: %s", args, err, text.Bytes())
	}
	return nil
}

// byRestic has restic restore a directory of the snapshot.
func (m *made) byRestic(to, from string, args ...string) error {
	by := *m
	by.program, _ = filepath.Abs(oursProgram) // the older one has no --sparse
	return by.restic(nil, append([]string{"restore", m.id + ":" + from, "--target=" + to, "--sparse"}, args...)...)
}

// ours has ours restore the home.
func (m *made) ours(to string) (Counts, error) {
	what := m.restoring()
	what.To = to
	return m.repository().Restore(context.Background(), what, nil)
}

func (m *made) repository() *Repository {
	program, _ := filepath.Abs(oursProgram)
	return &Repository{Program: program, Dir: m.repo, PasswordFile: m.password, Names: Names{
		Disk: "LABEL=backup", Repository: "fox", Password: "the secret backup", PasswordHint: "keys check", Again: "again",
	}}
}

func (m *made) restoring() Restoring {
	return Restoring{Snapshot: m.id, From: m.home, To: m.restored}
}

// verify compares what was restored, or another directory.
func (m *made) verify(dir string) (Verdict, error) {
	p := Proof{Restoring: m.restoring(), Name: "/home"}
	p.To = dir
	return m.repository().Verify(context.Background(), p)
}

// whole is what most tests take, made once.
var whole = sync.OnceValues(func() (*made, error) {
	dir, err := os.MkdirTemp("", "repository-test")
	if err != nil {
		return nil, err
	}
	testDir = dir
	return making{program: oursProgram, backup: []string{"--pack-size=4"}}.make(dir)
})

var testDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if testDir != "" {
		os.RemoveAll(testDir)
	}
	os.Exit(code)
}

// wholeRepository returns it.
func wholeRepository(t testing.TB) *made {
	t.Helper()
	imgtest.Need(t, oursProgram, "cp")
	m, err := whole()
	must(t, err)
	return m
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func random(n int, seed uint64) []byte {
	text, r := make([]byte, n), rand.NewPCG(seed, 0)
	for i := range text {
		text[i] = byte(r.Uint64())
	}
	return text
}

// makeHome makes homes with all that restic keeps, as far as an ordinary user can.
func makeHome(dir string) error {
	for name, text := range map[string][]byte{
		"README": []byte("at the top\n"), "alice/big": random(3<<20, 1), "alice/other": random(5<<20, 4), "alice/small": []byte("small"), "alice/empty": nil,
		"alice/first name": random(1<<16, 2), "alice/not \xff\xfe UTF-8": []byte("x"), "alice/quo\"te\\": []byte("q"), "alice/new\nline": []byte("y"),
		"alice/set": []byte("#!\n"), "alice/U+FFFD \uFFFD": []byte("r"), "bob/d/e/f": []byte("deep"), "bob/\xff/g": []byte("in no UTF-8"),
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, text, 0o640); err != nil {
			return err
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	sparse, err := os.Create(in("alice/sparse"))
	if err != nil {
		return err
	}
	defer sparse.Close()
	for _, err := range []error{
		sparse.Truncate(20 << 20), writeAt(sparse, "data", 9<<20),
		os.Symlink("/nowhere/at all", in("alice/link")), os.Symlink("no \xff UTF-8", in("alice/raw link")),
		os.Link(in("alice/first name"), in("bob/second name")), os.Link(in("alice/first name"), in("bob/third name")),
		unix.Mkfifo(in("alice/fifo"), 0o600), os.Mkdir(in("void"), 0o700), os.Chmod(in("alice/set"), 0o751|os.ModeSetuid), os.Chmod(in("void"), 0o770|os.ModeSticky),
		unix.Setxattr(in("alice/small"), "user.note", []byte("\x00kept"), 0), unix.Setxattr(in("alice/small"), "user.empty", nil, 0), unix.Setxattr(in("bob"), "user.dir", []byte("d"), 0),
		unix.Setxattr(in("bob/d/e/f"), accessACL, aclOf(4), 0),
	} {
		if err != nil {
			return err
		}
	}
	if os.Geteuid() == 0 {
		if err := makeRootsHome(dir); err != nil {
			return err
		}
	}
	return date(dir)
}

// accessACL is the attribute that has what POSIX calls an access ACL.
const accessACL = "system.posix_acl_access"

// aclOf returns the value of one that gives user 1001 some permissions, and others
// those of 0640: include/uapi/linux/posix_acl_xattr.h of Linux.
func aclOf(user uint16) []byte {
	text := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, permissions uint16
		id               uint32
	}{{1, 6, 1<<32 - 1}, {2, user, 1001}, {4, 4, 1<<32 - 1}, {16, 4, 1<<32 - 1}, {32, 0, 1<<32 - 1}} {
		text = binary.LittleEndian.AppendUint16(text, e.tag)
		text = binary.LittleEndian.AppendUint16(text, e.permissions)
		text = binary.LittleEndian.AppendUint32(text, e.id)
	}
	return text
}

// makeRootsHome adds what root alone can make.
func makeRootsHome(dir string) error {
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		unix.Mknod(in("bob/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.Mknod(in("bob/loop"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 300))),
		unix.Mknod(in("bob/socket"), unix.S_IFSOCK|0o600, 0), os.Lchown(in("bob"), 1001, 1002), os.Lchown(in("alice/link"), 1000, 1000),
		unix.Lsetxattr(in("alice/link"), "trusted.link", []byte("l"), 0),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func writeAt(f *os.File, text string, at int64) error {
	_, err := f.WriteAt([]byte(text), at)
	return err
}

// date gives everything a time of its own, directories after what is in them.
func date(dir string) error {
	var names []string
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	for i := len(names) - 1; i >= 0 && err == nil; i-- {
		err = touch(names[i], 1_600_000_000_123_456_789+int64(i)*1_000_000_007)
	}
	return err
}

// touch sets both times of a path, in nanoseconds.
func touch(path string, at int64) error {
	ts := unix.NsecToTimespec(at)
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// copied returns a copy of what was restored.
func (m *made) copied(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", m.restored, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}
