package elfclosure

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// TestReference collects programs of a Debian system and runs each where nothing else
// is. What a program needs is what the system's own loader says.
func TestReference(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "chroot")
	u := userland.Reference(t)
	tree, err := fstree.ScanDir(context.Background(), u.Dir, fstree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tree.Freeze()
	tests := []struct {
		name string
		args []string // of a run
		want string
	}{
		{"btrfs", []string{"--version"}, "btrfs-progs v"},
		{"sshd", []string{"-V"}, "OpenSSH_"},
		{"udevadm", []string{"--version"}, ""}, // RUNPATH leads to libsystemd-shared
		{"restic", []string{"version"}, "restic "},
		{"pam-auth-update", nil, ""}, // perl
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Collect(context.Background(), Params{Tree: tree, Programs: []Program{{Name: tt.name}}})
			if err != nil {
				t.Fatal(err)
			}
			if tt.args == nil {
				if len(c.Absent) != 1 || !strings.Contains(c.Absent[0].Reason.Error(), "is a script for /usr/bin/perl") {
					t.Errorf("absent %+v; want the program, since it is a script of perl", c.Absent)
				}
				return
			}
			if len(c.Programs) != 1 {
				t.Fatalf("absent: %+v", c.Absent)
			}
			t.Logf("%d files, %d bytes", len(c.Files), c.Size)
			checkNeeded(t, u.Dir, c)
			root := t.TempDir()
			unpack(t, c, root)
			if err := os.Mkdir(root+"/dev", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+"/dev/null", nil, 0o666); err != nil { // sshd opens it
				t.Fatal(err)
			}
			out, err := exec.Command("chroot", append([]string{root, c.Programs[0].Path}, tt.args...)...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%s: %v, %q; want %q", tt.name, err, out, tt.want)
			}
		})
	}
}

// checkNeeded compares the libraries of a closure with those that ld.so finds in the
// system: none is missing.
func checkNeeded(t *testing.T, system string, c *Closure) {
	t.Helper()
	out, err := exec.Command("chroot", system, "/lib64/ld-linux-x86-64.so.2", "--list", c.Programs[0].Path).Output()
	if err != nil {
		t.Logf("ld.so --list: %v (a static program)", err)
		return
	}
	have := listing(c)
	for line := range strings.Lines(string(out)) {
		_, at, ok := strings.Cut(line, " => /")
		if !ok {
			continue
		}
		at = strings.Fields(at)[0]
		found := slices.ContainsFunc(have, func(f string) bool { f, _, _ = strings.Cut(f, " "); return f == at || "usr/"+at == f })
		if !found {
			t.Errorf("%s is not in the closure:\n%s", at, strings.Join(have, "\n"))
		}
	}
}

// unpack writes the files of a closure below root.
func unpack(t *testing.T, c *Closure, root string) {
	t.Helper()
	for _, f := range c.Files {
		at := filepath.Join(root, f.Path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if f.Entry == nil {
			if err := os.Symlink(f.Link, at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := f.Entry.Read(f.Entry.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, data, os.FileMode(f.Entry.Mode&0o777)); err != nil {
			t.Fatal(err)
		}
	}
}
