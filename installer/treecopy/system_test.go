package treecopy_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

// newBtrfs mounts a new btrfs.
func newBtrfs(t testing.TB, size int64, options ...string) string {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "mount")
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, size))
	run(t, "mkfs.btrfs", "-q", image)
	return imgtest.Mount(t, image, options...)
}

func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// plantAsRoot makes what only root can, on btrfs.
func plantAsRoot(t testing.TB, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_bind_service+ep
	for _, name := range []string{"capable", "acl", "nocow", "raw", "zstd", "fixed", "log", "kept", "linked"} {
		must(t, os.WriteFile(at(name), nil, 0o755))
	}
	must(t, os.Mkdir(at("dir"), 0o755), os.Mkdir(at("nocowdir"), 0o755), os.Mkdir(at("fixeddir"), 0o755), os.Mkdir(at("acldir"), 0o750))
	run(t, "chattr", "+C", at("nocow"), at("nocowdir"))
	run(t, "chattr", "+m", at("raw"))
	must(t, unix.Setxattr(at("zstd"), "btrfs.compression", []byte("zstd"), 0), unix.Setxattr(at("dir"), "btrfs.compression", []byte("lzo"), 0))
	for _, name := range []string{"nocow", "raw", "zstd", "fixed", "linked"} {
		must(t, os.WriteFile(at(name), bytes.Repeat([]byte(name), 20_000), 0o755))
	}
	must(t, os.WriteFile(at("fixeddir/in"), []byte("in"), 0o600), os.WriteFile(at("dir/in"), []byte("in"), 0o600), os.Link(at("linked"), at("fixeddir/linked")))
	must(t, os.Chown(at("capable"), 1000, 70_000), unix.Setxattr(at("capable"), "security.capability", capability, 0))
	must(t, os.Chown(at("fixed"), 5, 6), unix.Chmod(at("fixed"), 0o6755), unix.Setxattr(at("fixed"), "trusted.t", []byte("t"), 0))
	run(t, "setfacl", "-m", "u:1234:rwx,g:5:r", at("acl"))
	run(t, "setfacl", "-d", "-m", "u:1234:rwx", at("acldir"))
	must(t, os.WriteFile(at("acldir/inherits"), nil, 0o600), os.WriteFile(at("acldir/none"), nil, 0o600))
	run(t, "setfacl", "-b", at("acldir/none"))
	must(t, unix.Mknod(at("char"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.Mknod(at("block"), unix.S_IFBLK|0o640, int(unix.Mkdev(259, 70_000))))
	must(t, os.Symlink("x", at("owned")), os.Lchown(at("owned"), 7, 8), unix.Lsetxattr(at("owned"), "trusted.link", []byte("l"), 0))
	must(t, setTimes(at("char")), setTimes(at("fixed")), setTimes(at("fixeddir")), setTimes(at("acldir")))
	run(t, "chattr", "+i", at("fixed"), at("linked"), at("fixeddir"))
	run(t, "chattr", "+a", at("log"))
	run(t, "chattr", "+A", at("kept"))
	t.Cleanup(func() { run(t, "chattr", "-i", "-a", at("fixed"), at("linked"), at("fixeddir"), at("log")) })
}

// TestBtrfs compares copies between two btrfs with those of cp -a.
func TestBtrfs(t *testing.T) {
	imgtest.Need(t, "chattr", "lsattr", "setfacl", "cp")
	from, to := newBtrfs(t, 512<<20), newBtrfs(t, 512<<20, "compress=zstd:3")
	src := filepath.Join(from, "src")
	must(t, os.Mkdir(src, 0o755))
	plant(t, src)
	plantAsRoot(t, src)
	must(t, setTimes(src))
	ours, cp := filepath.Join(to, "ours"), filepath.Join(to, "cp")
	must(t, os.Mkdir(ours, 0o700), os.Mkdir(cp, 0o700))
	run(t, "cp", "-a", src+"/.", cp)
	run(t, "setfacl", "-d", "-m", "u:99:rwx", ours) // files that are made here inherit that
	must(t, unix.Setxattr(ours, "btrfs.compression", []byte("zlib"), 0))
	digests := copyTree(t, src, ours, treecopy.Options{})
	must(t, unix.Syncfs(int(open(t, to).Fd())))
	want := strings.Split(list(t, src), "\n")
	if diff := cmp.Diff(want, strings.Split(list(t, ours), "\n")); diff != "" {
		t.Errorf("(-source +copy):\n%s", diff)
	}
	if diff := cmp.Diff(strings.Split(list(t, cp), "\n"), strings.Split(list(t, ours), "\n")); diff != "" {
		t.Errorf("(-cp +copy):\n%s", diff)
	}
	// btrfs itself gives +m to what is not worth compressing.
	flags := func(dir string) []string {
		out, err := exec.Command("lsattr", "-R", "-a", dir).Output()
		must(t, err)
		lines := strings.Split(strings.NewReplacer(dir, "", "-m ", "-- ").Replace(string(out)), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasSuffix(l, "/..") }) // of what is above the top
		slices.Sort(lines)
		return lines
	}
	if diff := cmp.Diff(flags(src), flags(ours)); diff != "" {
		t.Errorf("flags (-source +copy):\n%s", diff)
	}
	if got := run(t, "lsattr", filepath.Join(ours, "raw")); !strings.Contains(got, "m ") {
		t.Errorf("flags of raw: %s; want m", got)
	}
	for _, name := range []string{"zstd", "dir"} {
		a, b := make([]byte, 9), make([]byte, 9)
		n, err1 := unix.Getxattr(filepath.Join(src, name), "btrfs.compression", a)
		m, err2 := unix.Getxattr(filepath.Join(ours, name), "btrfs.compression", b)
		if errors.Join(err1, err2) != nil || string(a[:n]) != string(b[:m]) {
			t.Errorf("%s: compression %q, %v; want %q, %v", name, b, err2, a, err1)
		}
	}
	if found := differences(t, src, ours, digests, treecopy.Options{}); found != nil {
		t.Errorf("Compare: %q", found)
	}
	run(t, "chattr", "-i", filepath.Join(ours, "fixed"))
	if found := differences(t, src, ours, digests, treecopy.Options{}); len(found) != 1 || !strings.HasPrefix(found[0], `"fixed": got flags`) {
		t.Errorf("Compare without +i = %q", found)
	}
	run(t, "chattr", "-i", "-a", filepath.Join(ours, "linked"), filepath.Join(ours, "fixeddir"), filepath.Join(ours, "log"))
}

// TestSubvolumes: a nested subvolume becomes one, or is left out, and what is
// mounted is never entered.
func TestSubvolumes(t *testing.T) {
	from, to := newBtrfs(t, 256<<20), newBtrfs(t, 256<<20)
	run(t, "btrfs", "subvolume", "create", from+"/top")
	run(t, "btrfs", "subvolume", "create", from+"/top/nested")
	must(t, os.Mkdir(from+"/top/mounted", 0o755), os.WriteFile(from+"/top/nested/f", []byte("f"), 0o600), os.WriteFile(from+"/top/f", []byte("other"), 0o600))
	must(t, setTimes(from+"/top/nested"), setTimes(from+"/top"))
	must(t, unix.Mount("tmpfs", from+"/top/mounted", "tmpfs", 0, ""))
	defer unix.Unmount(from+"/top/mounted", unix.MNT_DETACH)
	run(t, "btrfs", "subvolume", "create", from+"/other")
	must(t, os.Mkdir(from+"/top/other", 0o755), unix.Mount(from+"/other", from+"/top/other", "", unix.MS_BIND, ""))
	defer unix.Unmount(from+"/top/other", unix.MNT_DETACH)
	for name, o := range map[string]treecopy.Options{
		"made": {Subvolume: func(dir int, name string) error {
			run(t, "btrfs", "subvolume", "create", filepath.Join(to, "made", name))
			return nil
		}},
		"left out": {},
	} {
		var notes []string
		o.Note = func(path, why string) { notes = append(notes, path+": "+why) }
		dst := filepath.Join(to, name)
		run(t, "btrfs", "subvolume", "create", dst)
		digests := copyTree(t, from+"/top", dst, o)
		text, err := os.ReadFile(dst + "/nested/f")
		want := []string{"mounted: another file system", "other: another file system"}
		if made := o.Subvolume != nil; made != (string(text) == "f") {
			t.Errorf("%s: the file in the nested subvolume: %q, %v", name, text, err)
		} else if !made {
			want = append(want, "nested: a subvolume")
		}
		slices.Sort(notes)
		slices.Sort(want)
		if !slices.Equal(notes, want) {
			t.Errorf("%s: notes %q; want %q", name, notes, want)
		}
		if found := differences(t, from+"/top", dst, digests, o); found != nil {
			t.Errorf("%s: Compare: %q", name, found)
		}
	}
}

// TestShared: within one file system no data is copied.
func TestShared(t *testing.T) {
	dir := newBtrfs(t, 256<<20)
	run(t, "btrfs", "subvolume", "create", dir+"/a")
	run(t, "btrfs", "subvolume", "create", dir+"/b")
	plant(t, dir+"/a")
	must(t, os.WriteFile(dir+"/a/shared", bytes.Repeat([]byte("no zeros"), 4<<20), 0o600)) // 32 MiB
	run(t, "sync", "-f", dir)
	var before, after unix.Statfs_t
	must(t, unix.Statfs(dir, &before))
	copyTree(t, dir+"/a", dir+"/b", treecopy.Options{})
	run(t, "sync", "-f", dir)
	must(t, unix.Statfs(dir, &after))
	if got := (int64(before.Bfree) - int64(after.Bfree)) * before.Bsize; got > 8<<20 {
		t.Errorf("the copy takes %d bytes, expected that data is shared", got)
	}
	if diff := cmp.Diff(list(t, dir+"/a"), list(t, dir+"/b")); diff != "" {
		t.Error(diff)
	}
}
