package imgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Scrub reads everything in a mounted file system, all copies, and fails the
// test on any error.
func Scrub(t testing.TB, dir string) {
	t.Helper()
	out := mustRun(t, "btrfs", "scrub", "start", "-B", "-R", dir)
	for _, p := range scrubProblems(out) {
		t.Errorf("scrub %s: %s", dir, p)
	}
}

var scrubCounter = regexp.MustCompile(`(?m)^\s*((?:\w+_errors)): (\d+)$`)

func scrubProblems(out string) (problems []string) {
	counters := scrubCounter.FindAllStringSubmatch(out, -1)
	for _, c := range counters {
		if c[2] != "0" {
			problems = append(problems, c[1]+": "+c[2])
		}
	}
	if len(counters) == 0 || !strings.Contains(out, "finished") {
		problems = append(problems, "no result: "+out)
	}
	return problems
}

// SwapfileOffset returns what the kernel needs as resume_offset for a swapfile
// in a mounted file system, as btrfs-progs finds it.
func SwapfileOffset(t testing.TB, file string) int64 {
	t.Helper()
	out := mustRun(t, "btrfs", "inspect-internal", "map-swapfile", "-r", file)
	n, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		t.Fatalf("map-swapfile %s: %v", file, err)
	}
	return n
}

// Swapon puts a swapfile into use until the end of the test, or until Swapoff,
// and fails the test when the kernel does not want it.
func Swapon(t testing.TB, file string) {
	t.Helper()
	NeedRoot(t)
	Need(t, "swapon", "swapoff")
	mustRun(t, "swapon", file)
	t.Cleanup(func() { _ = command("swapoff", file) })
	if !swapInUse(t, file) {
		t.Errorf("swapon %s: not in /proc/swaps", file)
	}
}

// Swapoff takes a swapfile out of use.
func Swapoff(t testing.TB, file string) {
	t.Helper()
	mustRun(t, "swapoff", file)
	if swapInUse(t, file) {
		t.Errorf("swapoff %s: still in /proc/swaps", file)
	}
}

func swapInUse(t testing.TB, file string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/swaps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b, []byte(file+" "))
}

// LiveInIt mounts an image and uses it as years of service would: small
// changes in what room there is, growing to twice the size, files written,
// linked, cloned and deleted, snapshots made and deleted, a subvolume sent and
// received, everything relocated by a full balance, a scrub, and a second
// mount in which all is still there. subvolume is the path, from the top
// level, of the subvolume that is snapshotted and sent; "" takes the top level.
// Run BtrfsCheck after it.
func LiveInIt(t testing.TB, image, subvolume string) {
	t.Helper()
	info, err := os.Stat(image)
	if err != nil {
		t.Fatal(err)
	}
	m := MountImage(t, image, MountOptions{Options: []string{"subvolid=5", "compress=zstd:3"}})
	l := life{t, m.Dir, filepath.Join(m.Dir, subvolume)}
	l.changeLittle()
	m.Grow(t, image, 2*max(info.Size(), 256<<20))
	l.writeAndClone()
	l.snapshotAndSend()
	mustRun(t, "btrfs", "balance", "start", "--full-balance", m.Dir)
	Scrub(t, m.Dir)
	mustRun(t, "sync", "-f", m.Dir)
	m.Unmount(t)

	m = MountImage(t, image, MountOptions{Options: []string{"subvolid=5"}})
	l.dir, l.home = m.Dir, filepath.Join(m.Dir, subvolume)
	l.expect("lived/in.new", 300_000, 2)
	l.expect("lived/clone", 3<<20, 3)
	m.Unmount(t)
}

// life is one mounted file system and the subvolume that is lived in.
type life struct {
	t         testing.TB
	dir, home string
}

func (l life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l life) content(size int64, seed uint64) []byte {
	b := make([]byte, size)
	Piece{Length: size, Kind: Mixed, Seed: seed}.fill(b, 0)
	return b
}

func (l life) expect(name string, size int64, seed uint64) {
	l.t.Helper()
	got, err := os.ReadFile(filepath.Join(l.home, name))
	if err != nil || !bytes.Equal(got, l.content(size, seed)) {
		l.t.Errorf("%s: %d bytes that differ, expected %d, or %v", name, len(got), size, err)
	}
}

// changeLittle does what must work in an image without any room for data: the
// kernel reserves room before it knows that a small file goes into metadata.
func (l life) changeLittle() {
	l.t.Helper()
	small := filepath.Join(l.home, "lived-small")
	l.must(os.Mkdir(small, 0o755))
	l.must(os.WriteFile(filepath.Join(small, "empty"), nil, 0o644))
	l.must(os.Symlink("empty", filepath.Join(small, "sym")))
	l.must(unix.Lsetxattr(small, "user.lived", []byte("a little"), 0))
	mustRun(l.t, "sync", "-f", l.home)
	l.must(os.RemoveAll(small))
	mustRun(l.t, "sync", "-f", l.home)
}

func (l life) writeAndClone() {
	l.t.Helper()
	dir := filepath.Join(l.home, "lived")
	in := func(name string) string { return filepath.Join(dir, name) }
	l.must(os.Mkdir(dir, 0o755))
	for i := range 300 {
		l.must(os.WriteFile(in(number("f", i)), l.content(int64(i)*50, uint64(i)), 0o644))
	}
	l.must(os.WriteFile(in("in"), l.content(300_000, 2), 0o644))
	l.must(os.Link(in("in"), in("in.link")))
	l.must(os.Rename(in("in"), in("in.new")))
	l.must(unix.Lsetxattr(in("in.new"), "user.lived", []byte("yes"), 0))
	l.must(os.WriteFile(in("large"), l.content(3<<20, 3), 0o644))
	l.must(cloneFile(in("large"), in("clone")))
	l.must(cloneSomeFile(l.home, in("clone-of-old")))
	l.must(os.Remove(in("large")))
	for i := 0; i < 300; i += 2 {
		l.must(os.Remove(in(number("f", i))))
	}
	mustRun(l.t, "sync", "-f", dir)
}

func cloneFile(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())); err != nil {
		return fmt.Errorf("clone %s: %w", from, err)
	}
	return nil
}

// cloneSomeFile clones the first file with data that the image came with, which
// takes one more reference to an extent of the writer's, and then writes into
// the clone.
func cloneSomeFile(home, to string) error {
	return filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.Contains(path, "/lived/") {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Size < 2*sector || st.Blocks == 0 {
			return err
		}
		err = cloneFile(path, to)
		if errors.Is(err, unix.EINVAL) { // NODATACOW, as a swapfile
			return nil
		}
		if err == nil {
			err = overwrite(to)
		}
		if err == nil {
			err = filepath.SkipAll
		}
		return err
	})
}

func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(bytes.Repeat([]byte("x"), sector), sector)
	return errors.Join(err, f.Close())
}

func (l life) snapshotAndSend() {
	l.t.Helper()
	at := func(name string) string { return filepath.Join(l.dir, name) }
	mustRun(l.t, "btrfs", "subvolume", "snapshot", l.home, at("lived-rw"))
	l.must(os.RemoveAll(at("lived-rw/lived")))
	mustRun(l.t, "btrfs", "subvolume", "snapshot", "-r", l.home, at("lived-ro"))
	stream := filepath.Join(l.t.TempDir(), "stream")
	mustRun(l.t, "btrfs", "send", "-q", "-f", stream, at("lived-ro"))
	l.must(os.Mkdir(at("lived-received"), 0o755))
	mustRun(l.t, "btrfs", "receive", "-q", "-f", stream, at("lived-received"))
	sent, received := l.listing(at("lived-ro")), l.listing(at("lived-received/lived-ro"))
	if diff := firstDifference(sent, received); diff != "" {
		l.t.Errorf("a received subvolume differs from what was sent: %s", diff)
	}
	mustRun(l.t, "btrfs", "subvolume", "delete", "--commit-after", at("lived-rw"), at("lived-received/lived-ro"))
	mustRun(l.t, "btrfs", "subvolume", "sync", l.dir)
}

// nestedSubvolume is the inode that a snapshot shows where a subvolume lies in
// what was snapshotted; it is not sent.
const nestedSubvolume = 2

// listing has one line for each entry below dir, in order.
func (l life) listing(dir string) (lines []string) {
	l.t.Helper()
	l.must(filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if err != nil || st.Ino == nestedSubvolume {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			st.Size = 0 // differs with the name of a nested subvolume
		}
		lines = append(lines, fmt.Sprintf("%q %o %d:%d %d %d %d.%09d %d", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, st.Size, st.Nlink, st.Mtim.Sec, st.Mtim.Nsec, st.Rdev))
		return nil
	}))
	return lines
}

func firstDifference(a, b []string) string {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return "also has " + b[i]
		case i >= len(b):
			return "lacks " + a[i]
		case a[i] != b[i]:
			return a[i] + " became " + b[i]
		}
	}
	return ""
}
