package keephome

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// damagedSystem is a btrfs with a system whose root has lost /usr, a snapshot of
// when it had it, and a subvolume that somebody has made in it.
func damagedSystem(t testing.TB) (top string) {
	t.Helper()
	top = newBtrfs(t, 512<<20)
	for _, name := range []string{"@", "@home", "@nix", "@var", "@swap"} {
		run(t, "btrfs", "subvolume", "create", filepath.Join(top, name))
	}
	write(t, top, map[string]string{"@/usr/bin/ls": "list", "@home/alice/notes": "mine", "@/etc/motd": "hello"})
	run(t, "btrfs", "subvolume", "snapshot", "-r", filepath.Join(top, "@"), filepath.Join(top, "@factory"))
	write(t, top, map[string]string{"@/etc/machine-id": "0123\n", "@/etc/ssh/ssh_host_ed25519_key": "secret", "@/etc/ssh/sshd_config": "changed"})
	run(t, "btrfs", "subvolume", "create", filepath.Join(top, "@/srv"))
	write(t, top, map[string]string{"@/srv/data": "kept"})
	must(t, os.RemoveAll(filepath.Join(top, "@/usr")))
	return top
}

func rollbackOf(t testing.TB, top string) *Rollback {
	return &Rollback{Top: top, Plan: planOf(t, "btrfs-laptop", nil), Name: "@", Snapshot: "@factory", ID: "7f"}
}

func TestRollback(t *testing.T) {
	top := damagedSystem(t)
	before := list(t, filepath.Join(top, "@"))
	factory, home := list(t, filepath.Join(top, "@factory")), list(t, filepath.Join(top, "@home"))
	r := rollbackOf(t, top)
	for _, again := range []string{"first", "again"} {
		got, err := r.Run(t.Context())
		must(t, err)
		if diff := cmp.Diff(&Rolled{Old: "@.old-7f", Nested: []string{"srv"}}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", again, diff)
		}
		for name, want := range map[string]string{"@": factory, "@factory": factory, "@home": home, "@.old-7f": before} {
			if diff := cmp.Diff(want, list(t, filepath.Join(top, name))); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", again, name, diff)
			}
		}
	}
	write(t, top, map[string]string{"@/usr/new": "it can be written"})
}

// TestRollbackIdentity wants what the machine is known by in the new root, and
// nothing else of the old one.
func TestRollbackIdentity(t *testing.T) {
	top := damagedSystem(t)
	r := rollbackOf(t, top)
	r.Identity = true
	_, err := r.Run(t.Context())
	must(t, err)
	for name, want := range map[string]string{"@/etc/machine-id": "0123\n", "@/etc/ssh/ssh_host_ed25519_key": "secret", "@/usr/bin/ls": "list"} {
		if got := read(t, filepath.Join(top, name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(top, "@/etc/ssh/sshd_config")); !os.IsNotExist(err) {
		t.Errorf("sshd_config: %v; want none, since it is no identity", err)
	}
}

// TestRollbackCut has the power fail between the steps, of which each leaves one
// of these states.
func TestRollbackCut(t *testing.T) {
	for name, leave := range map[string]func(top string) error{
		"half made": func(top string) error {
			run(t, "btrfs", "subvolume", "create", filepath.Join(top, "@.new-7f"))
			return os.WriteFile(filepath.Join(top, "@.new-7f/half"), nil, 0o600)
		},
		"made": func(top string) error {
			run(t, "btrfs", "subvolume", "snapshot", filepath.Join(top, "@factory"), filepath.Join(top, "@.old-7f"))
			return nil
		},
		"exchanged": func(top string) error {
			run(t, "btrfs", "subvolume", "snapshot", filepath.Join(top, "@factory"), filepath.Join(top, "@.old-7f"))
			return unix.Renameat2(unix.AT_FDCWD, filepath.Join(top, "@"), unix.AT_FDCWD, filepath.Join(top, "@.old-7f"), unix.RENAME_EXCHANGE)
		},
	} {
		t.Run(name, func(t *testing.T) {
			top := damagedSystem(t)
			before, factory := list(t, filepath.Join(top, "@")), list(t, filepath.Join(top, "@factory"))
			must(t, leave(top))
			_, err := rollbackOf(t, top).Run(t.Context())
			must(t, err)
			if list(t, filepath.Join(top, "@")) != factory || list(t, filepath.Join(top, "@.old-7f")) != before {
				t.Error("got another root, or another old one")
			}
			names, err := filepath.Glob(filepath.Join(top, "@*.new-*"))
			must(t, err)
			if len(names) != 0 {
				t.Errorf("left: %q", names)
			}
		})
	}
}

func TestRollbackRefused(t *testing.T) {
	top := damagedSystem(t)
	must(t, os.Symlink("@home", filepath.Join(top, "link")))
	before := list(t, top)
	for _, tt := range []struct {
		name   string
		change func(r *Rollback)
		class  fault.Class
		want   string
	}{
		{"ID", func(r *Rollback) { r.ID = "A" }, fault.Internal, "letters and digits"},
		{"nested name", func(r *Rollback) { r.Name = "@/srv" }, fault.Usage, `subvolume "@/srv"`},
		{"no name", func(r *Rollback) { r.Name = "" }, fault.Usage, `subvolume ""`},
		{"no subvolume", func(r *Rollback) { r.Name = "@root" }, fault.Target, "@root: no such file"},
		{"itself", func(r *Rollback) { r.Snapshot = "./@" }, fault.Usage, `snapshot "./@"`},
		{"outside", func(r *Rollback) { r.Snapshot = "../etc" }, fault.Usage, `snapshot "../etc"`},
		{"no snapshot", func(r *Rollback) { r.Snapshot = "@gone" }, fault.Usage, "snapshot @gone: no such file"},
		{"a directory", func(r *Rollback) { r.Snapshot = "@/etc" }, fault.Usage, "@/etc: a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rollbackOf(t, top)
			tt.change(r)
			_, err := r.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.class != fault.Internal && fault.ClassOf(err) != tt.class {
				t.Errorf("got %v (class %v), want %q of class %v", err, fault.ClassOf(err), tt.want, tt.class)
			}
			if diff := cmp.Diff(before, list(t, top)); diff != "" {
				t.Errorf("it was changed (-before +after):\n%s", diff)
			}
		})
	}
}
