package imgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// mkfs makes an empty btrfs image of size bytes with the kernel's tools.
func mkfs(t *testing.T, size int64, options ...string) string {
	t.Helper()
	Need(t, "mkfs.btrfs")
	image := filepath.Join(t.TempDir(), "test.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	mustRun(t, append(append([]string{"mkfs.btrfs", "-q"}, options...), image)...)
	return image
}

// TestCompareEveryCase has the kernel write every case to its own btrfs and
// read it back after a new mount: the comparison must find nothing.
func TestCompareEveryCase(t *testing.T) {
	NeedRoot(t)
	KernelLog(t)
	image := mkfs(t, 512<<20)
	tree := EveryCase(t)
	m := MountImage(t, image, MountOptions{})
	Materialize(t, tree.Root(), m.Dir)
	m.Unmount(t)
	BtrfsCheck(t, image)
	dir := Mount(t, image, "ro")
	CompareMounted(t, tree, nil, dir, CompareOptions{})
	CompareMounted(t, tree, tree.Lookup("directories"), dir+"/directories", CompareOptions{})
}

// plantSample plants one of each, small.
func plantSample(p *planter) {
	p.full("file", 300_000, Random, 1)
	p.full("small", 100, Text, 2)
	p.file("holes", Piece{16 * sector, 16 * sector, Text, 3}).Size = 64 * sector
	p.symlink("sym", "target")
	p.device("dev", fstree.TypeChar|0o600, 10, 300)
	p.full("dir/inside", 10, Text, 4)
	p.full("dir/other", 10, Text, 5)
	p.node("empty", fstree.TypeDir|0o700)
	first := p.full("hard-1", 10, Text, 6)
	p.link("hard-2", first)
	p.full("same-as-hard", 10, Text, 6)
	first.Xattrs = []fstree.Xattr{{Name: "user.a", Value: []byte("1")}, {Name: "user.b", Value: []byte("2")}}
}

// TestCompareFinds changes one thing on a mounted file system at a time. Each
// must be found, and told in a line that has the path and the words.
func TestCompareFinds(t *testing.T) {
	NeedRoot(t)
	keepTime := func(do func(dir string) error, paths ...string) func(string) error {
		return func(dir string) error {
			var times [][]unix.Timespec
			for _, p := range paths {
				var st unix.Stat_t
				if err := unix.Lstat(dir+"/"+p, &st); err != nil {
					return err
				}
				times = append(times, []unix.Timespec{st.Mtim, st.Mtim})
			}
			if err := do(dir); err != nil {
				return err
			}
			for i, p := range paths {
				if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/"+p, times[i], unix.AT_SYMLINK_NOFOLLOW); err != nil {
					return err
				}
			}
			return nil
		}
	}
	write := func(name string, off int64, data string) func(string) error {
		return keepTime(func(dir string) error {
			f, err := os.OpenFile(dir+"/"+name, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte(data), off)
			return err
		}, name)
	}
	tests := []struct {
		name   string
		change func(dir string) error
		want   []string // each in a line of its own, and no line more
	}{
		{"nothing", func(string) error { return nil }, nil},
		{"last byte", write("file", 299_999, "?"), []string{`"file": content: byte 299999: got 0x3f, expected`}},
		{"byte of a small file", write("small", 99, "?"), []string{`"small": content: byte 99: got 0x3f`}},
		{"byte in a hole", write("holes", 5*sector+7, "\x01"), []string{`"holes": segments of data: got`, `"holes": content: byte 20487: got 0x01, expected 0x00`}},
		{"zero in a hole", write("holes", 5*sector, "\x00"), []string{`"holes": segments of data: got`}},
		{"hole in data", keepTime(func(dir string) error {
			f, err := os.OpenFile(dir+"/file", os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, sector)
		}, "file"), []string{`"file": segments of data: got`, `"file": content: byte 0: got 0x00`}},
		{"longer", keepTime(func(dir string) error { return os.Truncate(dir+"/small", 101) }, "small"), []string{`"small": size: got 101, expected 100`}},
		{"shorter", keepTime(func(dir string) error { return os.Truncate(dir+"/small", 99) }, "small"), []string{`"small": size: got 99, expected 100`}},
		{"mode", func(dir string) error { return os.Chmod(dir+"/small", 0o640) }, []string{`"small": mode: got 0640, expected 0644`}},
		{"set-user-ID", func(dir string) error { return unix.Chmod(dir+"/small", 0o4644) }, []string{`"small": mode: got 4644, expected 0644`}},
		{"mode of a directory", func(dir string) error { return os.Chmod(dir+"/empty", 0o755) }, []string{`"empty": mode: got 0755, expected 0700`}},
		{"user", func(dir string) error { return os.Lchown(dir+"/sym", 1, 0) }, []string{`"sym": owner: got 1:0, expected 0:0`}},
		{"group", func(dir string) error { return os.Lchown(dir+"/dir", 0, 1) }, []string{`"dir": owner: got 0:1, expected 0:0`}},
		{"a nanosecond", func(dir string) error {
			var st unix.Stat_t
			if err := unix.Lstat(dir+"/sym", &st); err != nil {
				return err
			}
			st.Mtim.Nsec++
			return unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/sym", []unix.Timespec{st.Mtim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
		}, []string{`"sym": modification time: got`}},
		{"xattr value", func(dir string) error { return unix.Lsetxattr(dir+"/hard-1", "user.a", []byte("2"), 0) }, []string{`"hard-1": xattr "user.a": got "2"`}},
		{"xattr more", func(dir string) error { return unix.Lsetxattr(dir+"/dir", "user.n", nil, 0) }, []string{`"dir": xattr "user.n" is not in the tree`}},
		{"xattr less", func(dir string) error { return unix.Lremovexattr(dir+"/hard-1", "user.b") }, []string{`"hard-1": xattr "user.b" is missing`}},
		{"extra file", keepTime(func(dir string) error { return os.WriteFile(dir+"/dir/more", nil, 0o600) }, "dir"), []string{`"dir/more": is not in the tree`}},
		{"missing file", keepTime(func(dir string) error { return os.Remove(dir + "/dir/inside") }, "dir"), []string{`"dir/inside": is missing`}},
		{"missing directory", keepTime(func(dir string) error { return os.RemoveAll(dir + "/dir") }, "."), []string{`"dir": is missing`}},
		{"name", keepTime(func(dir string) error { return os.Rename(dir+"/dir/inside", dir+"/dir/insidf") }, "dir"), []string{`"dir/inside": is missing`, `"dir/insidf": is not in the tree`}},
		{"two files swapped", keepTime(func(dir string) error {
			return unix.Renameat2(unix.AT_FDCWD, dir+"/dir/inside", unix.AT_FDCWD, dir+"/dir/other", unix.RENAME_EXCHANGE)
		}, "dir"), []string{`"dir/inside": modification time`, `"dir/inside": content`, `"dir/other": modification time`, `"dir/other": content`}},
		{"type", keepTime(func(dir string) error {
			return replace(dir+"/small", func() error { return os.Symlink("x", dir+"/small") })
		}, "."), []string{`"small": type: got 120000, expected 100000`}},
		{"symlink target", keepTime(func(dir string) error {
			return replace(dir+"/sym", func() error { return os.Symlink("targes", dir+"/sym") })
		}, ".", "sym"), nil}, // completed below: keepTime cannot keep a time across inodes
		{"device number", keepTime(func(dir string) error {
			return replace(dir+"/dev", func() error { return unix.Mknod(dir+"/dev", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 301))) })
		}, ".", "dev"), nil},
		{"broken hard link", keepTime(func(dir string) error {
			return replace(dir+"/hard-2", func() error { return os.WriteFile(dir+"/hard-2", nil, 0o644) })
		}, "."), []string{`"hard-2": is inode`, `"hard-1": link count: got 1, expected 2`}},
		{"joined hard link", keepTime(func(dir string) error {
			return replace(dir+"/same-as-hard", func() error { return os.Link(dir+"/hard-1", dir+"/same-as-hard") })
		}, "."), []string{`"same-as-hard": is a hard link of "hard-1"`, `"same-as-hard": modification time`, `"same-as-hard": xattr "user.a" is not`, `"same-as-hard": xattr "user.b" is not`, `"hard-1": link count: got 3, expected 2`, `"same-as-hard": link count: got 3, expected 1`}},
		{"mode of the root", func(dir string) error { return os.Chmod(dir, 0o700) }, []string{`"": mode: got 0700, expected 0755`}},
	}
	for i := range tests {
		switch tests[i].name {
		case "symlink target":
			tests[i].want = []string{`"sym": symlink: got "targes" (<nil>), expected "target"`}
		case "device number":
			tests[i].want = []string{`"dev": device: got 10:301, expected 10:300`}
		}
	}
	sample := newPlanter()
	plantSample(sample)
	mounted := Mount(t, mkfs(t, 256<<20))
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := fmt.Sprintf("%s/%d", mounted, i)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			Materialize(t, sample.tree.Root(), dir)
			if err := tt.change(dir); err != nil {
				t.Fatal(err)
			}
			expectLines(t, compareMounted(sample.tree.Root(), dir, CompareOptions{}), tt.want)
		})
	}
}

func replace(path string, with func() error) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return with()
}

// expectLines expects lines that begin with the wanted ones, in any order.
func expectLines(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d differences, expected %d", len(got), len(want))
	}
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || strings.HasPrefix(g, w)
		}
		if !found {
			t.Errorf("nothing begins with %q", w)
		}
	}
	if t.Failed() {
		t.Logf("got:\n%s", strings.Join(got, "\n"))
	}
}

func TestCompareOptions(t *testing.T) {
	NeedRoot(t)
	sample := newPlanter()
	plantSample(sample)
	root := sample.tree.Root()
	dir := Mount(t, mkfs(t, 256<<20))
	Materialize(t, root, dir)
	for _, p := range []string{"dir/inside", "dir/other"} {
		if err := os.Remove(dir + "/" + p); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir+"/more/below", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	d := root.Child("dir")
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/dir", []unix.Timespec{{}, {Sec: d.Sec, Nsec: int64(d.Nsec)}}, 0); err != nil {
		t.Fatal(err)
	}
	all := CompareOptions{Elsewhere: []string{"dir"}, Extra: []string{"more"}, IgnoreRoot: true}
	expectLines(t, compareMounted(root, dir, all), nil)
	expectLines(t, compareMounted(root, dir, CompareOptions{Extra: all.Extra, IgnoreRoot: true}), []string{`"dir/inside": is missing`, `"dir/other": is missing`})
	expectLines(t, compareMounted(root, dir, CompareOptions{Elsewhere: all.Elsewhere, IgnoreRoot: true}), []string{`"more": is not in the tree`})
	expectLines(t, compareMounted(root, dir, CompareOptions{Elsewhere: all.Elsewhere, Extra: all.Extra}), []string{`"": mode`, `"": modification time`})
	if err := os.WriteFile(dir+"/dir/x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expectLines(t, compareMounted(root, dir, all), []string{`"dir/x": is not in the tree`, `"dir": modification time`})
}

// TestCompareMoreHoles punches a hole where the source has zeros as data.
func TestCompareMoreHoles(t *testing.T) {
	NeedRoot(t)
	p := newPlanter()
	p.sparseFile("z", 64*sector, Piece{8 * sector, 8 * sector, Zeros, 0}, Piece{16 * sector, sector, Text, 1})
	dir := Mount(t, mkfs(t, 256<<20))
	Materialize(t, p.tree.Root(), dir)
	f, err := os.OpenFile(dir+"/sparse/z", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 8*sector, 8*sector); err != nil {
		t.Fatal(err)
	}
	e := p.tree.Lookup("sparse/z")
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, f.Name(), []unix.Timespec{{}, {Sec: e.Sec, Nsec: int64(e.Nsec)}}, 0); err != nil {
		t.Fatal(err)
	}
	expectLines(t, compareMounted(p.tree.Root(), dir, CompareOptions{MoreHoles: true}), nil)
	expectLines(t, compareMounted(p.tree.Root(), dir, CompareOptions{}), []string{`"sparse/z": segments of data`})
	if _, err := f.WriteAt(make([]byte, sector), 40*sector); err != nil {
		t.Fatal(err)
	}
	expectLines(t, compareMounted(p.tree.Root(), dir, CompareOptions{MoreHoles: true}),
		[]string{`"sparse/z": modification time`, `"sparse/z": data at [163840, +4096), expected a hole`})
}

func TestCompareStopsTelling(t *testing.T) {
	tree := Wide(50)
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/wide", 0o755); err != nil {
		t.Fatal(err)
	}
	got := compareMounted(tree.Root(), dir, CompareOptions{IgnoreRoot: true})
	if len(got) != maxDifferences+1 || !strings.HasSuffix(got[maxDifferences], "more differences") {
		t.Errorf("%d lines, the last %q; want %d and a count", len(got), got[len(got)-1], maxDifferences+1)
	}
}
