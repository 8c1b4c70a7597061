package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/beside"
)

// TestSwitchNames switches systems on a file system that is not mounted, as the
// boot after an installation does, and again where that was cut.
func TestSwitchNames(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "losetup")
	device := loopWithSystems(t)
	m := &machine{root: Device{Name: filepath.Base(device)}, loader: startLoader(nil, 1, nil)}
	m.cmd.Switch = "7f"
	for range 2 {
		if err := m.system(); err != nil {
			t.Fatal(err)
		}
		names, err := topLevel(device)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		if got, want := strings.Join(names, " "), "@ @.old-7f @home @nix"; got != want {
			t.Errorf("names %s; want %s", got, want)
		}
	}
	m.cmd = Cmdline{Back: "7f"}
	m.config.Mounts = []config.Mount{{Subvolume: "@", Target: "/"}, {Subvolume: "@home", Target: "/home"}, {Subvolume: "@nix", Target: "/nix"}}
	if err := m.system(); err != nil {
		t.Fatal(err)
	}
	plan, err := Plan(m.config, Cmdline{RootFlags: "subvol=@", Subvolume: m.cmd.Subvolume}, device)
	if err != nil || !slices.Contains(plan[0].Options, "subvol=@.old-7f") {
		t.Errorf("plan %v, %v; want the old root", plan, err)
	}
	m.cmd = Cmdline{Back: "80"}
	if err := m.system(); fault.HintOf(err) != "boot the default entry" {
		t.Errorf("no such system: %v", err)
	}
}

// loopWithSystems returns a loop device with a system and a new one beside it.
func loopWithSystems(t *testing.T) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "root.img"), t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	run("mkfs.btrfs", "-q", image)
	device := run("losetup", "-f", "--show", image)
	t.Cleanup(func() { run("losetup", "-d", device) })
	run("mount", device, dir)
	for _, name := range []string{"@", "@home", beside.New("@", "7f"), beside.New("@nix", "7f")} {
		run("btrfs", "subvolume", "create", filepath.Join(dir, name))
	}
	run("umount", dir)
	return device
}
