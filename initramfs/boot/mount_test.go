package boot

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// private runs f in mounts of its own, which end with it.
func private(t *testing.T, f func()) {
	t.Helper()
	imgtest.NeedRoot(t)
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its mounts
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestMounterBind(t *testing.T) {
	root := system(t, "etc/present", "var/lib/", "persist/etc/", "etc/link -> /srv", "srv/")
	imgtest.NeedRoot(t)
	if err := os.Chown(filepath.Join(root, "var/lib"), 12, 34); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(filepath.Join(root, "var/lib"), 0o1710); err != nil {
		t.Fatal(err)
	}
	private(t, func() {
		var m mounter
		plan := []Action{
			{Op: OpMount, Type: "tmpfs", Source: "x", Target: "/persist", Root: root, Options: []string{"mode=755"}},
			{Op: OpBind, Source: "/persist/var/lib", Target: "/var/lib", Root: root},
			{Op: OpBind, Source: "/persist/new", Target: "/etc/new/dir", Root: root},
			{Op: OpFile, Source: "/persist/etc/machine-id", Target: "/etc/machine-id", Root: root},
			{Op: OpFile, Source: "/persist/through", Target: "/etc/link/file", Root: root},
		}
		if err := m.do(plan); err != nil {
			t.Error(err)
			return
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(root, "persist/var/lib"), &st); err != nil || st.Mode&0o7777 != 0o1710 || st.Uid != 12 || st.Gid != 34 {
			t.Errorf("persist/var/lib: %v, mode %o, owner %d:%d; want 1710 12:34", err, st.Mode, st.Uid, st.Gid)
		}
		for at, in := range map[string]string{
			"var/lib/f": "persist/var/lib/f", "etc/new/dir/f": "persist/new/f",
			"etc/machine-id": "persist/etc/machine-id", "srv/file": "persist/through",
		} {
			if err := os.WriteFile(filepath.Join(root, at), []byte(at), 0o644); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(filepath.Join(root, in)); string(got) != at {
				t.Errorf("%s, written at %s: %q, %v", in, at, got, err)
			}
		}
		m.undo()
		if _, err := os.Stat(filepath.Join(root, "var/lib/f")); err == nil {
			t.Error("var/lib is mounted after undo")
		}
	})
}

func TestMounterRefuses(t *testing.T) {
	root := system(t, "etc/file", "etc/dir/", "persist/")
	tests := []struct {
		name string
		in   Action
		err  string
	}{
		{"file on directory", Action{Op: OpFile, Source: "/persist/x", Target: "/etc/dir", Root: root}, "does not fit"},
		{"directory on file", Action{Op: OpBind, Source: "/persist/x", Target: "/etc/file", Root: root}, "does not fit"},
		{"mode", Action{Op: OpDir, Target: root + "/d", Mode: "79"}, "octal"},
		{"unknown", Action{Op: "x", Target: "/"}, "unknown operation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m mounter
			err := m.do([]Action{tt.in})
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.HasPrefix(err.Error(), tt.in.String()) {
				t.Errorf("do = %v; want the action and %q", err, tt.err)
			}
		})
	}
}

func TestWriteFactoryFstab(t *testing.T) {
	root := system(t, "etc/fstab -> /real", "real")
	text := "UUID=1 / btrfs subvol=@ 0 0\n"
	if err := os.WriteFile(filepath.Join(root, "real"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a boot that is tried again
		if err := writeFactoryFstab(root); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(root, "real")); string(got) != fstabHead+"#factory# "+text || err != nil {
			t.Errorf("fstab %q, %v", got, err)
		}
	}
	if err := writeFactoryFstab(t.TempDir()); err != nil {
		t.Errorf("without fstab: %v", err)
	}
}

// The files of the initramfs go; what is mounted below it stays.
func TestEmpty(t *testing.T) {
	root := system(t)
	private(t, func() {
		sub := filepath.Join(root, "a/sub")
		for _, dir := range []string{root, sub} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Error(err)
			}
			if err := unix.Mount("x", dir, "tmpfs", 0, ""); err != nil {
				t.Error(err)
				return
			}
			if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
				t.Error(err)
			}
		}
		if err := os.Symlink(sub, filepath.Join(root, "link")); err != nil {
			t.Error(err)
		}
		fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		empty(fd)
		left, err := os.ReadDir(root)
		if err != nil || len(left) != 1 || left[0].Name() != "a" {
			t.Errorf("left in the initramfs: %v, %v; want a", left, err)
		}
		if _, err := os.Stat(filepath.Join(sub, "file")); err != nil {
			t.Errorf("what was mounted: %v", err)
		}
	})
}

// A disk is never emptied, whatever root was before.
func TestEmptyDisk(t *testing.T) {
	root := system(t, "file")
	var sfs unix.Statfs_t
	if err := unix.Statfs(root, &sfs); err != nil || sfs.Type == unix.TMPFS_MAGIC {
		t.Skipf("%s is in memory, %v", root, err)
	}
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	empty(fd)
	if _, err := os.Stat(filepath.Join(root, "file")); err != nil {
		t.Error(err)
	}
}

func TestMountPoint(t *testing.T) {
	root := system(t, "present/", "file", "link -> /etc")
	for name, ok := range map[string]bool{"present": true, "new": true, "file": false, "link": false} {
		if err := mountPoint(filepath.Join(root, name)); (err == nil) != ok {
			t.Errorf("mountPoint(%s) = %v; want ok %v", name, err, ok)
		}
	}
}
