package repository

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// setXattr changes an attribute of a path; nil removes it.
func setXattr(path, name string, value []byte) error {
	return keepTime(path, func() error {
		if value == nil {
			return unix.Lremovexattr(path, name)
		}
		return unix.Lsetxattr(path, name, value, 0)
	})
}

// unlinked gives a name a copy of its file.
func unlinked(path string) error {
	return keepTime(path, func() error {
		if out, err := exec.Command("cp", "-a", path, path+".own").CombinedOutput(); err != nil {
			return &os.PathError{Op: string(out), Path: path, Err: err}
		}
		return os.Rename(path+".own", path)
	})
}

var metaChanges = []changed{
	{
		name:   "mode of a file",
		change: func(in func(string) string) error { return os.Chmod(in("alice/small"), 0o641) },
		odd:    []string{"/alice/small"},
	},
	{
		name:   "set-user-ID",
		change: func(in func(string) string) error { return os.Chmod(in("alice/set"), 0o751) },
		odd:    []string{"/alice/set"},
	},
	{
		name: "set-group-ID",
		change: func(in func(string) string) error {
			return os.Chmod(in("alice/set"), 0o751|os.ModeSetuid|os.ModeSetgid)
		},
		odd: []string{"/alice/set"},
	},
	{
		name:   "sticky",
		change: func(in func(string) string) error { return os.Chmod(in("void"), 0o770) },
		odd:    []string{"/void"},
	},
	{
		name:   "mode of a FIFO",
		change: func(in func(string) string) error { return os.Chmod(in("alice/fifo"), 0o666) },
		odd:    []string{"/alice/fifo"},
	},
	{
		name: "a nanosecond",
		change: func(in func(string) string) error {
			var st unix.Stat_t
			if err := unix.Lstat(in("alice/small"), &st); err != nil {
				return err
			}
			return touch(in("alice/small"), st.Mtim.Nano()+1)
		},
		odd: []string{"/alice/small"},
	},
	{
		name:   "time of a directory",
		change: func(in func(string) string) error { return touch(in("bob/d"), 1) },
		odd:    []string{"/bob/d"},
	},
	{
		name:   "time of a symlink",
		change: func(in func(string) string) error { return touch(in("alice/link"), 1) },
		odd:    []string{"/alice/link"},
	},
	{
		name:   "time of the top, which is not of the snapshot",
		change: func(in func(string) string) error { return touch(in(""), 1) },
	},
	{
		name: "two",
		change: func(in func(string) string) error {
			return firstError(touch(in("bob/d"), 1), touch(in("alice/link"), 1))
		},
		odd: []string{"/alice/link", "/bob/d"},
	},
	{
		name: "time of a file of several names",
		change: func(in func(string) string) error {
			return touch(in("bob/third name"), 1)
		},
		odd: []string{"/alice/first name", "/bob/second name", "/bob/third name"},
	},
	{
		name: "value of an attribute",
		change: func(in func(string) string) error {
			return setXattr(in("alice/small"), "user.note", []byte("\x00kepT"))
		},
		odd: []string{"/alice/small"},
	},
	{
		name: "longer value of an attribute",
		change: func(in func(string) string) error {
			return setXattr(in("alice/small"), "user.note", []byte("\x00kept."))
		},
		odd: []string{"/alice/small"},
	},
	{
		name:   "empty attribute",
		change: func(in func(string) string) error { return setXattr(in("alice/small"), "user.empty", nil) },
		odd:    []string{"/alice/small"},
	},
	{
		name:   "attribute of a directory",
		change: func(in func(string) string) error { return setXattr(in("bob"), "user.dir", nil) },
		odd:    []string{"/bob"},
	},
	{
		name:   "ACL",
		change: func(in func(string) string) error { return setXattr(in("bob/d/e/f"), accessACL, aclOf(0)) },
		odd:    []string{"/bob/d/e/f"},
	},
	{
		name:   "no ACL",
		change: func(in func(string) string) error { return setXattr(in("bob/d/e/f"), accessACL, nil) },
		odd:    []string{"/bob/d/e/f"},
	},
	{
		name:   "one attribute more",
		change: func(in func(string) string) error { return setXattr(in("README"), "user.more", []byte("m")) },
		odd:    []string{"/README"},
	},
	{
		name:   "second name is a file of its own",
		change: func(in func(string) string) error { return unlinked(in("bob/second name")) },
		odd:    []string{"/bob/second name"},
	},
	{
		name:   "first name is a file of its own",
		change: func(in func(string) string) error { return unlinked(in("alice/first name")) },
		odd:    []string{"/bob/second name", "/bob/third name"},
	},
}

var rootMetaChanges = []changed{
	{
		name:   "owner",
		change: func(in func(string) string) error { return os.Lchown(in("alice/link"), 1001, 1000) },
		odd:    []string{"/alice/link"},
	},
	{
		name:   "group",
		change: func(in func(string) string) error { return os.Lchown(in("bob"), 1001, 1001) },
		odd:    []string{"/bob"},
	},
	{
		name:   "attribute of a symlink",
		change: func(in func(string) string) error { return setXattr(in("alice/link"), "trusted.link", []byte("m")) },
		odd:    []string{"/alice/link"},
	},
	{
		name: "attribute that the kernel sets",
		change: func(in func(string) string) error {
			return setXattr(in("alice/small"), "security.selinux", []byte("system_u:object_r:user_home_t:s0\x00"))
		},
	},
	{
		name: "capabilities",
		change: func(in func(string) string) error {
			return setXattr(in("alice/small"), "security.capability", []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		},
		odd: []string{"/alice/small"},
	},
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Each change beside the content is found and is no failure.
func TestVerifyMeta(t *testing.T) {
	m := wholeRepository(t)
	changes := metaChanges
	if os.Geteuid() == 0 {
		changes = slices.Concat(changes, rootMetaChanges)
	}
	for _, tt := range changes {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, m) })
	}
}

// The time of access stays, which restic has restored.
func TestVerifyKeepsAccess(t *testing.T) {
	m := wholeRepository(t)
	dir := m.copied(t)
	name := filepath.Join(dir, "alice/small")
	var before, after unix.Stat_t
	must(t, unix.Lstat(name, &before))
	if _, err := m.verify(dir); err != nil {
		t.Fatal(err)
	}
	must(t, unix.Lstat(name, &after))
	if before.Atim != after.Atim {
		t.Errorf("accessed at %v, expected %v", after.Atim, before.Atim)
	}
}

// openFiles returns how many files this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// A directory that was left open would be one for each run.
func TestVerifyClosesAll(t *testing.T) {
	m := wholeRepository(t)
	dir := m.copied(t)
	for _, damage := range []func() error{
		func() error { return nil },
		func() error { return overwrite(filepath.Join(dir, "bob/third name"), "!", 0) },
	} {
		must(t, damage())
		before := openFiles(t)
		if _, err := m.verify(dir); err != nil {
			t.Fatal(err)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d files are open, expected %d", after, before)
		}
	}
}
