package boot

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// someProgram is a program that says with what it was called.
func someProgram(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mkimage-hibernate")
	if err := os.WriteFile(name, []byte("#!/bin/sh\necho \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLeaveUnits(t *testing.T) {
	run, program := t.TempDir(), someProgram(t)
	for range 2 { // a step can be run again
		if err := leaveUnits(run, program, "/swap/swapfile"); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := filepath.WalkDir(run, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(run, path)
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			if _, missing := os.Stat(path); err != nil || missing != nil {
				t.Errorf("%s: %v, %v", name, err, missing)
			}
			name += " -> " + target
		}
		got = append(got, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"mkimage/mkimage-hibernate",
		"systemd/system/mkimage-hibernate-check.service",
		"systemd/system/mkimage-swap-watch.service",
		"systemd/system/swap.target.wants/mkimage-swap-watch.service -> ../mkimage-swap-watch.service",
		"systemd/system/systemd-hibernate.service.requires/mkimage-hibernate-check.service -> ../mkimage-hibernate-check.service",
		"systemd/system/systemd-hybrid-sleep.service.requires/mkimage-hibernate-check.service -> ../mkimage-hibernate-check.service",
		"systemd/system/systemd-suspend-then-hibernate.service.wants/mkimage-hibernate-check.service -> ../mkimage-hibernate-check.service",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left in /run (-want +got):\n%s", diff)
	}
	for name, line := range map[string]string{"mkimage-swap-watch": "watch", "mkimage-hibernate-check": "prepare"} {
		text, err := os.ReadFile(filepath.Join(run, "systemd/system", name+".service"))
		want := "\nExecStart=" + run + "/mkimage/mkimage-hibernate " + line + " \"/swap/swapfile\"\n"
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v; want it to contain %q", name, text, err, want)
		}
	}
	out, err := exec.Command(filepath.Join(run, "mkimage/mkimage-hibernate"), "yes").Output()
	if string(out) != "yes\n" || err != nil {
		t.Errorf("program says %q, %v", out, err)
	}
}

// TestUnitsVerify has systemd read the units.
func TestUnitsVerify(t *testing.T) {
	imgtest.Need(t, "systemd-analyze")
	run := t.TempDir()
	if err := leaveUnits(run, someProgram(t), `/swap/100% $x "y" \z`); err != nil {
		t.Fatal(err)
	}
	for _, u := range unitsLeft {
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", filepath.Join(run, "systemd/system", u.name)).CombinedOutput()
		if err != nil || strings.Contains(string(out), u.name) {
			t.Errorf("%s: %v: %s", u.name, err, out)
		}
	}
}

// TestLeaveUnitsNoexec: programs in a /run that is mounted as others mount it
// cannot be started.
func TestLeaveUnitsNoexec(t *testing.T) {
	imgtest.NeedRoot(t)
	run := t.TempDir()
	if err := unix.Mount("run", run, "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, "size=8m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Unmount(filepath.Join(run, "mkimage"), 0)
		if err := unix.Unmount(run, 0); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		if err := leaveUnits(run, someProgram(t), "/swap/swapfile"); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(filepath.Join(run, "mkimage/mkimage-hibernate"), "yes").Output()
	if string(out) != "yes\n" || err != nil {
		t.Errorf("program says %q, %v", out, err)
	}
}

func TestLeaveUnitsFails(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, run string) (program string)
		want    string
	}{
		{"no program", func(*testing.T, string) string { return "/no/such/program" }, "open /no/such/program"},
		{"a file in the way", func(t *testing.T, run string) string {
			if err := os.WriteFile(filepath.Join(run, "mkimage"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			return someProgram(t)
		}, "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := t.TempDir()
			if err := leaveUnits(run, tt.prepare(t, run), "/swap/swapfile"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("leaveUnits: %v; want %q", err, tt.want)
			}
			if _, err := os.Lstat(filepath.Join(run, "systemd")); err == nil {
				t.Error("units are left without the program that they start")
			}
		})
	}
}

func TestRunsSystemd(t *testing.T) {
	const store, program = "nix/store/x-system", "nix/store/x-systemd/lib/systemd/systemd"
	tests := []struct {
		name string
		init string   // that is asked for
		in   []string // files, or NAME -> TARGET
		want bool
	}{
		{"merged", "", []string{"usr/lib/systemd/systemd"}, true},
		{"not merged", "", []string{"lib/systemd/systemd"}, true},
		{"by an absolute symlink", "", []string{"opt/systemd", "usr/lib/systemd/systemd -> /opt/systemd"}, true},
		{"by one that leads nowhere", "", []string{"usr/lib/systemd/systemd -> /usr/bin/env-of-the-host"}, false},
		{"NixOS", "/" + store + "/init", []string{program, store + "/systemd -> /nix/store/x-systemd"}, true},
		{"NixOS by its profile", "/nix/var/nix/profiles/system/init", []string{program, store + "/systemd -> /nix/store/x-systemd", "nix/var/nix/profiles/system -> /" + store}, true},
		{"a store alone", "", []string{program, store + "/systemd -> /nix/store/x-systemd"}, false},
		{"another system of a store", "/" + store + "/init", []string{program, store + "/init"}, false},
		{"Nix on another system", "/sbin/init", []string{program, "sbin/init"}, false},
		{"another init", "", []string{"sbin/init", "usr/lib/systemd/systemd-udevd"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, file := range tt.in {
				name, target, link := strings.Cut(file, " -> ")
				name = filepath.Join(root, name)
				err := os.MkdirAll(filepath.Dir(name), 0o755)
				if err == nil && link {
					err = os.Symlink(target, name)
				} else if err == nil {
					err = os.WriteFile(name, nil, 0o755)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := runsSystemd(root, tt.init); got != tt.want {
				t.Errorf("runsSystemd = %v; want %v", got, tt.want)
			}
		})
	}
}

func TestUnitWord(t *testing.T) {
	for in, want := range map[string]string{
		"/swap/swapfile": `"/swap/swapfile"`,
		`/a b%c$d"e\f`:   `"/a b%%c$$d\"e\\f"`,
	} {
		if got := unitWord(in); got != want {
			t.Errorf("unitWord(%s) = %s; want %s", in, got, want)
		}
	}
}

// TestCopyUnits copies twice, as a step can be run again, and overwrites nothing.
func TestCopyUnits(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"a.service": "A", "b.service": "B"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join("x.target.wants", "a.service")
	if err := errors.Join(os.Mkdir(filepath.Join(from, "x.target.wants"), 0o700), os.Symlink("../a.service", filepath.Join(from, link)),
		os.WriteFile(filepath.Join(to, "b.service"), []byte("there"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := copyUnits(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"a.service": "A", link: "A", "b.service": "there"} {
		if text, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(text) != want {
			t.Errorf("%s has %q, %v; want %q", name, text, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(to, "a.service")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v; want 0644", info.Mode(), err)
	}
	if err := copyUnits(filepath.Join(from, "none"), to); err == nil {
		t.Error("a folder that is not there was copied")
	}
}
