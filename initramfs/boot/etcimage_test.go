package boot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture/etcimage"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// testSystem is the toplevel of the systems of these tests.
const testSystem = "/nix/store/00000000000000000000000000000000-nixos-system-fox"

// etcFiles is an /etc with all kinds of files.
var etcFiles = []etcimage.File{
	{Path: "", Mode: etcimage.Dir | 0o755},
	{Path: "pam.d", Mode: etcimage.Dir | 0o755},
	{Path: "pam.d/login", Mode: etcimage.Symlink | 0o777, Target: "/nix/store/x/login"},
	{Path: "small", Mode: etcimage.Regular | 0o640, Data: "inline"},
	{Path: "shadow", Mode: etcimage.Regular | 0o600, Redirect: "/shadow", Size: 6},
}

// etcRoot makes the root of a system with such an /etc, in mounts of its own.
func etcRoot(t *testing.T, files ...etcimage.File) *nixos {
	t.Helper()
	image, err := etcimage.Make(append(files, etcFiles...))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	fill(t, root, testSystem+"/init", []byte(elfMagic+"more"))
	fill(t, root, testSystem+"/nixos-version", []byte("26.05"))
	fill(t, root, "nix/store/image", image)
	fill(t, root, "nix/store/base/shadow", []byte("secret"))
	fill(t, root, "etc/brought", nil)
	for name, target := range map[string]string{"etc-metadata-image": "/nix/store/image", "etc-basedir": "/nix/store/base"} {
		if err := os.Symlink(target, filepath.Join(root, testSystem, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"dev", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	n, err := nixosOf(root, testSystem+"/init")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mountEtcImage mounts the /etc of a system, and the devices that it takes.
func mountEtcImage(t *testing.T, n *nixos, mounts *mounter) (writable, ok bool) {
	t.Helper()
	if err := unix.Mount("/dev", filepath.Join(n.root, "dev"), "", unix.MS_BIND, ""); err != nil {
		t.Error(err)
		return false, false
	}
	image, base := n.etcPaths()
	writable, err := n.mountEtc(mounts, image, base)
	if err != nil {
		t.Errorf("mountEtc: %v", err)
	}
	return writable, err == nil
}

// sees returns what the files of a system have in them, symlinks what they lead to.
func (n *nixos) sees(names ...string) map[string]string {
	got := map[string]string{}
	for _, name := range names {
		at := filepath.Join(n.root, name)
		text, err := os.Readlink(at)
		if err != nil {
			var data []byte
			data, err = os.ReadFile(at)
			text = string(data)
		}
		if err != nil {
			text = errors.Unwrap(err).Error()
		}
		got[name] = text
	}
	return got
}

func TestMountEtcWritable(t *testing.T) {
	n := etcRoot(t)
	private(t, func() {
		var mounts mounter
		writable, ok := mountEtcImage(t, n, &mounts)
		if !ok {
			return
		}
		want := map[string]string{"etc/pam.d/login": "/nix/store/x/login", "etc/small": "inline", "etc/shadow": "secret", "etc/brought": ""}
		if diff := cmp.Diff(want, n.sees("etc/pam.d/login", "etc/small", "etc/shadow", "etc/brought")); diff != "" || !writable {
			t.Errorf("writable: %v, files (-want +got):\n%s", writable, diff)
		}
		if st, err := os.Stat(filepath.Join(n.root, "etc/shadow")); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("shadow: %v, %v; want mode 0600", st, err)
		}
		fill(t, n.root, "etc/new", []byte("new"))
		if got := n.sees(".rw-etc/upper/new")[".rw-etc/upper/new"]; got != "new" {
			t.Errorf("upper layer: %q", got)
		}
		mounts.undo()
		if list, err := os.ReadDir(filepath.Join(n.root, "etc")); err != nil || len(list) > 0 {
			t.Errorf("after undo: %v, %v", list, err)
		}
		// Again, as after a shell: what was written is there.
		if _, ok := mountEtcImage(t, n, &mounts); ok && n.sees("etc/new")["etc/new"] != "new" {
			t.Error("what was written is lost")
		}
		mounts.undo()
	})
}

// TestMountEtcActivated: links that an activation has left are out of sight.
func TestMountEtcActivated(t *testing.T) {
	n := etcRoot(t)
	if err := os.Symlink(testSystem+"/etc", filepath.Join(n.root, "etc/static")); err != nil {
		t.Fatal(err)
	}
	private(t, func() {
		var mounts mounter
		if _, ok := mountEtcImage(t, n, &mounts); !ok {
			return
		}
		if got := n.sees("etc/static")["etc/static"]; got != "no such file or directory" {
			t.Errorf("static: %q", got)
		}
		mounts.undo()
		if got := n.sees("etc/static")["etc/static"]; got != testSystem+"/etc" {
			t.Errorf("static after undo: %q", got)
		}
	})
}

// TestMountEtcOpaque: what was made where there was nothing does not hide what is there now.
func TestMountEtcOpaque(t *testing.T) {
	n := etcRoot(t)
	private(t, func() {
		for _, dir := range []string{"pam.d", "own"} {
			at := filepath.Join(n.root, etcWritten, "upper", dir)
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Error(err)
			}
			if err := unix.Setxattr(at, opaque, []byte("y"), 0); err != nil {
				t.Error(err)
			}
		}
		fill(t, n.root, etcWritten+"/upper/small/in", nil) // a directory where the image has a file
		var mounts mounter
		defer mounts.undo()
		if _, ok := mountEtcImage(t, n, &mounts); !ok {
			return
		}
		if got := n.sees("etc/pam.d/login")["etc/pam.d/login"]; got != "/nix/store/x/login" {
			t.Errorf("pam.d/login: %q", got)
		}
		if _, err := unix.Getxattr(filepath.Join(n.root, etcWritten, "upper/own"), opaque, make([]byte, 8)); err != nil {
			t.Errorf("mark of a directory that the image has not: %v", err)
		}
	})
}

// TestMountEtcOpaqueStays: no mark is taken off what a link of the upper layer leads to.
func TestMountEtcOpaqueStays(t *testing.T) {
	n := etcRoot(t, etcimage.File{Path: "pam.d/more", Mode: etcimage.Dir | 0o755})
	private(t, func() {
		outside := filepath.Join(t.TempDir(), "more")
		upper := filepath.Join(n.root, etcWritten, "upper")
		err := errors.Join(os.MkdirAll(upper, 0o755), os.Mkdir(outside, 0o755), os.Symlink(filepath.Dir(outside), filepath.Join(upper, "pam.d")))
		if err = errors.Join(err, unix.Setxattr(outside, opaque, []byte("y"), 0)); err != nil {
			t.Error(err)
			return
		}
		var mounts mounter
		defer mounts.undo()
		mountEtcImage(t, n, &mounts)
		if _, err := unix.Getxattr(outside, opaque, make([]byte, 8)); err != nil {
			t.Errorf("mark of a directory outside: %v", err)
		}
	})
}

// TestMountEtcMetacopy: the mode of a file that is changed is kept without its content, as
// NixOS has it.
func TestMountEtcMetacopy(t *testing.T) {
	n := etcRoot(t)
	private(t, func() {
		var mounts mounter
		defer mounts.undo()
		if _, ok := mountEtcImage(t, n, &mounts); !ok {
			return
		}
		if err := os.Chmod(filepath.Join(n.root, "etc/shadow"), 0o640); err != nil {
			t.Error(err)
		}
		if _, err := unix.Lgetxattr(filepath.Join(n.root, etcWritten, "upper/shadow"), "trusted.overlay.metacopy", make([]byte, 64)); err != nil {
			t.Errorf("what was changed has a copy of its content: %v", err)
		}
		if got := n.sees("etc/shadow")["etc/shadow"]; got != "secret" {
			t.Errorf("shadow: %q", got)
		}
	})
}

// TestBindEtc: what is kept of /etc, where that can be written to and where not.
func TestBindEtc(t *testing.T) {
	binds := []config.Bind{{From: "/p/machine-id", To: "/etc/machine-id", File: true}, {From: "/p/nixos", To: "/etc/nixos"}}
	for _, writable := range []bool{true, false} {
		n := etcRoot(t, etcimage.File{Path: "machine-id", Mode: etcimage.Regular | 0o444})
		n.said = said(t, &writable)
		fill(t, n.root, "p/machine-id", []byte("0123"))
		fill(t, n.root, "p/nixos/flake.nix", []byte("{ }"))
		private(t, func() {
			if err := unix.Mount("/dev", filepath.Join(n.root, "dev"), "", unix.MS_BIND, ""); err != nil {
				t.Error(err)
				return
			}
			var mounts mounter
			defer mounts.undo()
			got, err := n.mountEtc(&mounts, "/nix/store/image", "/nix/store/base")
			if err != nil || got != writable {
				t.Errorf("mountEtc: %v, %v", got, err)
				return
			}
			lost, err := n.bindEtc(&mounts, binds, writable)
			want, wantLost := map[string]string{"etc/machine-id": "0123", "etc/nixos/flake.nix": "{ }"}, []string(nil)
			if !writable {
				want["etc/nixos/flake.nix"], wantLost = "no such file or directory", []string{"/etc/nixos"}
			}
			if diff := cmp.Diff(want, n.sees("etc/machine-id", "etc/nixos/flake.nix")); diff != "" || err != nil || !slices.Equal(lost, wantLost) {
				t.Errorf("writable %v: lost %q, %v; files (-want +got):\n%s", writable, lost, err, diff)
			}
			if _, err := n.bindEtc(&mounts, []config.Bind{{From: "/p/nixos", To: "/etc/shadow"}}, writable); err == nil {
				t.Error("a directory was bound on a file")
			}
		})
	}
}

func TestMountEtcReadOnly(t *testing.T) {
	n := etcRoot(t, etcimage.File{Path: "machine-id", Mode: etcimage.Regular | 0o444})
	private(t, func() {
		var mounts mounter
		defer mounts.undo()
		writable, ok := mountEtcImage(t, n, &mounts)
		if !ok {
			return
		}
		if err := os.WriteFile(filepath.Join(n.root, "etc/new"), nil, 0o644); writable || !errors.Is(err, unix.EROFS) {
			t.Errorf("writable: %v, %v; want %v", writable, err, unix.EROFS)
		}
		if got := n.sees("etc/shadow")["etc/shadow"]; got != "secret" {
			t.Errorf("shadow: %q", got)
		}
		if _, err := os.Lstat(filepath.Join(n.root, etcWritten)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v; want none", etcWritten, err)
		}
	})
}

func TestEtcIsWritable(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name, machineID string
		said            *bool
		want            bool
	}{
		{"no machine-id", "none", nil, true},
		{"an empty one", "", nil, false},
		{"one", "0123", nil, true},
		{"says that it is", "", &yes, true},
		{"says that it is not", "none", &no, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, n := t.TempDir(), &nixos{said: said(t, tt.said)}
			if tt.machineID != "none" {
				fill(t, dir, "machine-id", []byte(tt.machineID))
			}
			if got := n.etcIsWritable(dir); got != tt.want {
				t.Errorf("etcIsWritable = %v; want %v", got, tt.want)
			}
		})
	}
}

// TestMountEtcMemory: a root that is an overlay takes no other one's changes.
func TestMountEtcMemory(t *testing.T) {
	n := etcRoot(t)
	private(t, func() {
		memory := t.TempDir()
		if err := unix.Mount("x", memory, "tmpfs", 0, ""); err != nil {
			t.Error(err)
			return
		}
		defer unix.Unmount(memory, unix.MNT_DETACH)
		upper, work := filepath.Join(memory, "upper"), filepath.Join(memory, "work")
		if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("overlay", n.root, "overlay", 0, strings.Join([]string{"lowerdir=" + n.root, "upperdir=" + upper, "workdir=" + work}, ",")); err != nil {
			t.Error(err)
			return
		}
		defer unix.Unmount(n.root, unix.MNT_DETACH)
		var mounts mounter
		defer mounts.undo()
		if writable, ok := mountEtcImage(t, n, &mounts); !ok || !writable {
			return
		}
		fill(t, n.root, "etc/new", []byte("new"))
		if got := n.sees("etc/new", "etc/shadow"); got["etc/new"] != "new" || got["etc/shadow"] != "secret" {
			t.Errorf("files: %q", got)
		}
	})
}

// TestMountEtcRefuses: what is no image leaves nothing behind.
func TestMountEtcRefuses(t *testing.T) {
	n := etcRoot(t)
	fill(t, n.root, "nix/store/image", make([]byte, 8192))
	private(t, func() {
		if err := unix.Mount("/dev", filepath.Join(n.root, "dev"), "", unix.MS_BIND, ""); err != nil {
			t.Error(err)
			return
		}
		var mounts mounter
		image, base := n.etcPaths()
		if _, err := n.mountEtc(&mounts, image, base); err == nil || !strings.Contains(err.Error(), "mount ") || len(mounts.mounted) > 0 {
			t.Errorf("mountEtc: %v, mounted %q", err, mounts.mounted)
		}
	})
}

func TestBindsBelow(t *testing.T) {
	got := bindsBelow([]config.Bind{{From: "/p/etc/a", To: "/etc/a"}, {From: "/p/etc/b", To: "/etc/b", File: true}, {From: "/p/etcetera", To: "/etcetera"}, {From: "/p/etc", To: "/etc"}}, "/etc", newRoot)
	want := []Action{{Op: OpBind, Source: "/p/etc/a", Target: "/etc/a", Root: newRoot}, {Op: OpFile, Source: "/p/etc/b", Target: "/etc/b", Root: newRoot}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bindsBelow (-want +got):\n%s", diff)
	}
}
