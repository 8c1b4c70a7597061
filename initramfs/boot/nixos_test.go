package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestPrepareRoot runs the program in a root of its own.
func TestPrepareRoot(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "busybox")
	const system = "/nix/store/00000000000000000000000000000000-nixos-system-fox"
	for _, tt := range []struct {
		name, init, script string
		mode               os.FileMode
		ran                bool
		err                string
	}{
		{"runs", system + "/init", "echo $IN_NIXOS_SYSTEMD_STAGE1 $(pwd) $# > /said; test -e " + system + "/init", 0o555, true, ""},
		{"by a link", "/init", "echo true / 0 > /said", 0o555, true, ""},
		{"fails", system + "/init", "echo no; exit 3", 0o555, true, system + "/prepare-root: exit status 3"},
		{"is no program", system + "/init", "", 0o444, false, "expected a program"},
		{"is not there", system + "/init", "", 0, false, ""},
		{"no NixOS", "/bin/sh", "exit 3", 0o555, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			fill(t, root, system[1:]+"/init", []byte("x"))
			fill(t, root, "prepare-root", []byte("#!/bin/sh\nexit 4\n")) // beside what only leads there
			if tt.mode != 0 {
				fill(t, root, system[1:]+"/prepare-root", []byte("#!/bin/sh\n"+tt.script+"\n"))
				if err := os.Chmod(filepath.Join(root, system, "prepare-root"), tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(system+"/init", filepath.Join(root, "init")); err != nil {
				t.Fatal(err)
			}
			putShell(t, root)
			console, err := os.Create(filepath.Join(root, "console"))
			if err != nil {
				t.Fatal(err)
			}
			defer console.Close()
			n, err := nixosOf(root, tt.init)
			ran := false
			if n != nil && err == nil {
				ran, err = n.runPrepareRoot(console)
			}
			if ran != tt.ran || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("runPrepareRoot: %v, %v; want %v, %q", ran, err, tt.ran, tt.err)
			}
			if err != nil && fault.HintOf(err) == "" {
				t.Error("no hint")
			}
			if !tt.ran || tt.err != "" {
				return
			}
			if said, err := os.ReadFile(filepath.Join(root, "said")); string(said) != "true / 0\n" {
				t.Errorf("it saw %q, %v", said, err)
			}
		})
	}
}

// putShell puts a shell into a root.
func putShell(t *testing.T, root string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, root, "bin/sh", program)
	if err := os.Chmod(filepath.Join(root, "bin/sh"), 0o755); err != nil {
		t.Fatal(err)
	}
}
