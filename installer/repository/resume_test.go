package repository

import (
	"errors"
	"io/fs"
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

// eachRegular calls a function with each regular file below a directory.
func eachRegular(dir string, call func(name string, size int64) error) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return call(name, info.Size())
	})
}

// zeroed makes all of a file zeros, as a power cut may leave it.
func zeroed(name string, size int64) error {
	return keepTime(name, func() error { return firstError(os.Truncate(name, 0), os.Truncate(name, size)) })
}

// of replaces what a restore puts into some places by something of another type.
func of(make func(name string) error) func(in func(string) string) error {
	return func(in func(string) string) error {
		for _, name := range []string{"alice/small", "alice/link", "alice/fifo", "bob/d", "void", "bob/second name", "alice/first name", "alice/sparse"} {
			if err := firstError(os.RemoveAll(in(name)), make(in(name))); err != nil {
				return err
			}
		}
		return nil
	}
}

// defaultACL is the attribute of a directory that what is made in it inherits.
const defaultACL = "system.posix_acl_default"

// Whatever is there is made what restic makes where nothing is.
func TestResume(t *testing.T) {
	m := wholeRepository(t)
	canary := filepath.Join(t.TempDir(), "canary")
	must(t, os.Mkdir(canary, 0o755), os.WriteFile(filepath.Join(canary, "f"), []byte("canary"), 0o644))
	alive := treeOf(t, filepath.Dir(canary))
	for name, change := range map[string]func(in func(string) string) error{
		"everything": func(func(string) string) error { return nil },
		"zeros":      func(in func(string) string) error { return eachRegular(in(""), zeroed) },
		"longer": func(in func(string) string) error {
			return eachRegular(in(""), func(name string, size int64) error { return overwrite(name, "more", size) })
		},
		"shorter": func(in func(string) string) error {
			return eachRegular(in(""), func(name string, size int64) error { return os.Truncate(name, size/2) })
		},
		"modes of nobody": func(in func(string) string) error {
			return firstError(os.Chmod(in("alice/small"), 0), os.Chmod(in("bob/d/e"), 0), os.Chmod(in("bob"), 0))
		},
		"directories":              of(func(name string) error { return os.Mkdir(name, 0o700) }),
		"files":                    of(func(name string) error { return os.WriteFile(name, []byte("file"), 0o600) }),
		"symlinks":                 of(func(name string) error { return os.Symlink(canary, name) }),
		"symlinks to a file":       of(func(name string) error { return os.Symlink(canary+"/f", name) }),
		"FIFOs":                    of(func(name string) error { return unix.Mkfifo(name, 0o600) }),
		"a file is another's name": func(in func(string) string) error { return linkedTo(in("alice/big"), in("alice/small")) },
		"names of another file": func(in func(string) string) error {
			return firstError(linkedTo(in("README"), in("bob/second name")), linkedTo(in("bob/d/e/f"), in("alice/empty")))
		},
		"names that are files of their own": func(in func(string) string) error {
			return firstError(unlinked(in("alice/first name")), unlinked(in("bob/third name")))
		},
		"more attributes": func(in func(string) string) error {
			return firstError(
				setXattr(in("README"), "user.more", []byte("m")), setXattr(in("bob"), "user.more", []byte("m")), setXattr(in("void"), "user.more", []byte{}),
				setXattr(in("alice/small"), "user.note", []byte("longer than it was")), setXattr(in("alice/big"), accessACL, aclOf(6)), setXattr(in("alice"), defaultACL, aclOf(6)),
			)
		},
		"an access list to inherit": func(in func(string) string) error {
			return firstError(setXattr(in(""), defaultACL, aclOf(6)), os.RemoveAll(in("alice")), os.RemoveAll(in("void")))
		},
		"an access list alone": func(in func(string) string) error {
			return firstError(os.RemoveAll(in("")), os.Mkdir(in(""), 0o700), setXattr(in(""), defaultACL, aclOf(6)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := m.copied(t)
			must(t, change(func(name string) string { return filepath.Join(dir, name) }))
			_, err := m.ours(dir)
			must(t, err)
			same(t, m.restored, dir)
			if diff := cmp.Diff(alive, treeOf(t, filepath.Dir(canary))); diff != "" {
				t.Errorf("outside (-want +got):\n%s", diff)
			}
		})
	}
}

// linkedTo makes a path another name of a file.
func linkedTo(file, path string) error {
	return replace(path, func() error { return os.Link(file, path) })
}

// What is right is not read from the backup, and stays the file that it is.
func TestResumeRight(t *testing.T) {
	m := wholeRepository(t)
	c := m.own(t)
	for _, name := range c.dataPacks(t) {
		must(t, os.Remove(name))
	}
	to := filepath.Join(t.TempDir(), "alice")
	if out, err := exec.Command("cp", "-a", filepath.Join(m.restored, "alice"), to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before := inodes(t, to)
	_, err := c.repository().Restore(t.Context(), Restoring{Snapshot: m.id, From: m.home + "/alice", To: to}, nil)
	must(t, err)
	if diff := cmp.Diff(before, inodes(t, to)); diff != "" {
		t.Errorf("numbers of files (-want +got):\n%s", diff)
	}
	same(t, filepath.Join(m.restored, "alice"), to)
}

func inodes(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	must(t, eachRegular(dir, func(name string, _ int64) error {
		var st unix.Stat_t
		err := unix.Lstat(name, &st)
		all[name] = st.Ino
		return err
	}))
	return all
}

// A directory with something in it is nobody's to remove: it is named, and all else
// is restored.
func TestResumeFullDirectory(t *testing.T) {
	m := wholeRepository(t)
	for _, at := range []string{"alice/small", "alice/link", "alice/fifo", "bob/third name"} {
		dir := m.copied(t)
		in := func(name string) string { return filepath.Join(dir, name) }
		must(t, os.Remove(in(at)), os.MkdirAll(in(at+"/d"), 0o700), zeroed(in("alice/big"), 3<<20))
		_, err := m.ours(dir)
		if firstboot.CodeOf(err) != firstboot.CodeIncomplete || !strings.Contains(err.Error(), "1 errors, the first with /"+at+": ") || !errors.Is(os.Remove(in(at)), unix.ENOTEMPTY) {
			t.Errorf("%s: code %d, %v", at, firstboot.CodeOf(err), err)
		}
		rest := func(dir string) []string {
			return slices.DeleteFunc(strings.Split(treeOf(t, dir), "\n"), func(line string) bool { return strings.HasPrefix(line, `"`+at) })
		}
		if diff := cmp.Diff(rest(m.restored), rest(dir)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", at, diff)
		}
	}
}

// What cannot be made a directory may be a symlink to elsewhere: nothing goes there.
func TestResumeNoDirectory(t *testing.T) {
	imgtest.NeedRoot(t)
	m := wholeRepository(t)
	dir, outside := m.copied(t), t.TempDir()
	bob := filepath.Join(dir, "bob")
	must(t, os.RemoveAll(filepath.Join(bob, "d")), os.Symlink(outside, filepath.Join(bob, "d")), keep(bob, true))
	_, err := m.ours(dir)
	must(t, keep(bob, false))
	if firstboot.CodeOf(err) != firstboot.CodeIncomplete || !strings.Contains(err.Error(), "1 errors, the first with /bob: ") {
		t.Errorf("code %d, %v", firstboot.CodeOf(err), err)
	}
	if names, err := os.ReadDir(outside); err != nil || len(names) != 0 {
		t.Errorf("outside are %v, %v; expected nothing", names, err)
	}
	same(t, filepath.Join(m.restored, "alice"), filepath.Join(dir, "alice"))
}

// keep makes a directory one that nobody can change, or that again.
func keep(dir string, is bool) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	flags &^= unix.STATX_ATTR_IMMUTABLE // FS_IMMUTABLE_FL has the same value
	if is {
		flags |= unix.STATX_ATTR_IMMUTABLE
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags))
}
