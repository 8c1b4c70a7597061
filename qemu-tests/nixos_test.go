package qemutests

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture"
)

// nixos is a machine with a NixOS that was made out of a binary cache.
type nixos struct {
	nixfixture.Fixture
	stage      nixfixture.Stage1
	profileDir string
	image      string
	repository repository
}

// nixosProfile is what the owner of the machine writes: the kernel of the fixture has
// no more modules than these.
const nixosProfile = `extends = "bandit-minimal"

[nix]
trusted-public-keys = ["%[1]s"]

[initramfs]
from = "%[4]s"
modules = ["nvme", "sd_mod", "usb_storage", "uas", "xhci_pci", "virtio_pci", "virtio_blk", "btrfs", "overlay"]

[age]
recipient = "%[2]s"
sources = ["medium"]
timeout = 20

[[secrets]]
name = "restic-password"
file = "%[3]s"
key = "restic-password"

`

// nixosRestore is the rest of it where the home comes back from a backup. A secret has to be used.
const (
	nixosRestore = `[restore]
disk = "LABEL=backup"
repository = "%s"
password = "restic-password"
`
	nixosBackup = `[[backup]]
name = "usb"
disk = "LABEL=backup"
repository = "%s"
password = "restic-password"
`
)

// newNixOS makes the profile of such a machine, whose home comes back from a backup or
// is backed up; from is its initramfs.from.
func newNixOS(t testing.TB, stage nixfixture.Stage1, from string, restore bool) *nixos {
	t.Helper()
	n := &nixos{Fixture: nixfixture.Make(t, nixfixture.Options{Stage1: stage}), stage: stage, profileDir: t.TempDir()}
	recipient := regexp.MustCompile(`age1[0-9a-z]+`).FindString(nixfixture.AgeKey())
	secrets := filepath.Join(n.profileDir, "secrets.yaml")
	check(t, os.WriteFile(secrets, nixfixture.Secrets(), 0o600))
	profile := fmt.Sprintf(nixosProfile, n.Key, recipient, secrets, from)
	if restore {
		n.repository = makeRepository(t, repositoryOptions{files: 500, password: nixfixture.ResticPassword})
		profile += fmt.Sprintf(nixosRestore, repositoryPath)
	} else {
		profile += fmt.Sprintf(nixosBackup, repositoryPath)
	}
	check(t, os.WriteFile(filepath.Join(n.profileDir, "nixos.toml"), []byte(profile), 0o644))
	return n
}

// source is the system in its cache.
func (n *nixos) source() string { return "cache:file://" + n.Cache + "#" + n.Toplevel }

// build makes the image.
func (n *nixos) build(t testing.TB) {
	t.Helper()
	n.image = n.buildFrom(t, n.source())
}

// buildFrom makes an image where no program of Nix can be found, and returns its name.
func (n *nixos) buildFrom(t testing.TB, source string, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "disk.img")
	cmd := exec.CommandContext(t.Context(), builtMkimage(t), append([]string{"build", "nixos", "--quiet", "--profile-dir", n.profileDir,
		"--source", source, "--cache-dir", filepath.Join(dir, "cache"), "-o", image}, more...)...)
	cmd.Env = []string{"PATH=", "HOME=" + dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkimage build --source %s: %v\n%s", source, err, out)
	}
	return image
}

// sameFromEverywhere wants the image that is started out of a cache by HTTP and out of
// a store too.
func (n *nixos) sameFromEverywhere(t testing.TB) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(n.Cache)))
	defer server.Close()
	want := digestData(t, n.image)
	for _, image := range []string{
		n.buildFrom(t, "cache:"+server.URL+"#"+n.Toplevel),
		n.buildFrom(t, "nix:"+n.Toplevel, "--set", "nix.store="+n.Store, "--check-sigs"),
	} {
		if got := digestData(t, image); got != want {
			t.Errorf("%s: SHA-256 %s; want %s, as out of a folder", image, got, want)
		}
		check(t, os.Remove(image))
	}
}

// start starts the machine with its key medium and its backup.
func (n *nixos) start(t *testing.T) *VM {
	t.Helper()
	dir := t.TempDir()
	disk := rawDisk(n.image).copyTo(t, filepath.Join(dir, "disk.img"), 8<<30)
	disks := []Disk{{File: string(disk), Write: true}, medium(t, nixfixture.AgeKey())}
	if n.repository.dir != "" {
		disks = append(disks, Disk{File: backupDisk(t, n.repository, diskOptions{}).file, Bus: USB, Serial: "BACKUP"}, listtreeDisk(t))
	}
	return startVM(t, Config{Name: "nixos", Agent: true, OldAgent: true, Keep: keepDir(t), Dir: dir, Disks: disks})
}

// report waits for what the fixture says of a boot.
func (n *nixos) report(t testing.TB, vm *VM) map[string]string {
	t.Helper()
	expect(t, vm, `FIXTURE-OK`)
	check(t, vm.WaitAgent(step(t)))
	out, err := vm.Output(step(t), "echo FIXTURE-BEGIN; cat /run/fixture-report; echo FIXTURE-OK")
	check(t, err)
	facts, err := nixfixture.ParseReport(out)
	check(t, err)
	return facts
}

// wantFacts compares some facts; the value of one that ends in * may go on.
func wantFacts(t testing.TB, facts, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for key, text := range want {
		got[key] = facts[key]
		if begin, ok := strings.CutSuffix(text, "*"); ok && strings.HasPrefix(facts[key], begin) {
			got[key] = text
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// TestNixOS builds a system of each kind of stage 1 out of its cache, boots it by our
// initramfs, and has it live on as a NixOS: its store and database are whole, a collection
// of garbage leaves it alone, and a generation that it builds itself boots, by its own
// initrd, as the first one does then.
func TestNixOS(t *testing.T) {
	for _, stage := range []nixfixture.Stage1{nixfixture.Systemd, nixfixture.Scripted, nixfixture.NixosInit} {
		if stage != nixfixture.Systemd && !imgtest.Full() {
			continue
		}
		t.Run(string(stage), func(t *testing.T) {
			n := newNixOS(t, stage, "own", imgtest.Full())
			n.build(t)
			if imgtest.Full() {
				n.sameFromEverywhere(t)
			}
			vm := n.start(t)
			first := n.report(t, vm)
			t.Logf("%v", slices.Sorted(maps.Keys(first)))
			if imgtest.Full() { // what is being restored holds up the end of the boot
				n.restored(t, vm)
			}
			running(t, vm)
			wantFacts(t, first, n.firstFacts(stage, first))
			n.collects(t, vm)
			n.second(t, vm, first)
		})
	}
}

// firstFacts are what is true of the first boot, as far as all boots have it.
func (n *nixos) firstFacts(stage nixfixture.Stage1, got map[string]string) map[string]string {
	return map[string]string{
		"stage1": string(stage), "current-system": n.Toplevel, "booted-system": n.Toplevel,
		"profile": "system-1-link", "generation.system-1-link": n.Toplevel, "verify": "0*", "signatures": "0*", "secret": nixfixture.Secret,
		"valid-paths": got["paths-on-disk"], "closure": got["paths-on-disk"], "swap": "/swap/swapfile file *", "store": "*",
		"entries": "mkimage-nixos-factory.conf mkimage-nixos-rescue.conf nixos-generation-1-specialisation-debug.conf nixos-generation-1.conf",
		"default": "nixos-generation-1.conf",
	}
}

// restored waits for the home.
func (n *nixos) restored(t *testing.T, vm *VM) {
	t.Helper()
	out, err := vm.Output(step(t), "systemctl start mkimage-restore.service; /var/lib/mkimage/bin/mkimage-firstboot status")
	check(t, err)
	t.Log(out)
	wantHome(t, belowUser(n.repository.list), guestHome(t, vm, "/home/"+homeUser))
}

// collects wants garbage to go, and nothing else.
func (n *nixos) collects(t *testing.T, vm *VM) {
	t.Helper()
	const garbage = "echo garbage >/root/garbage && nix-store --add /root/garbage"
	path, err := vm.Output(step(t), garbage)
	check(t, err)
	output(t, vm, "nix-store --gc >/dev/null 2>&1; test -e "+path+" && echo is left; nix-store --verify --check-contents >/dev/null 2>&1; echo $?", "0")
	output(t, vm, "test $(nix-store -q --requisites /run/current-system | wc -l) = $(ls /nix/store | grep -vc '^\\.links$') && echo all", "all")
}

// second has the system build another generation, and boots both.
func (n *nixos) second(t *testing.T, vm *VM, first map[string]string) {
	t.Helper()
	top, err := vm.Output(step(t), "fixture-second second 2>/run/second.log || { cat /run/second.log >&2; exit 1; }")
	check(t, err)
	entries, err := vm.Output(step(t), "cd /boot/loader/entries && ls | xargs; sed -n 's/^default //p' ../loader.conf; ls /boot/EFI/nixos | grep mkimage; true")
	check(t, err)
	want := "mkimage-nixos-factory.conf mkimage-nixos-rescue.conf nixos-generation-1-specialisation-debug.conf nixos-generation-1.conf " +
		"nixos-generation-2-specialisation-debug.conf nixos-generation-2.conf\nnixos-generation-2.conf"
	if entries != want {
		t.Errorf("menu %q; want %q", entries, want)
	}
	if !imgtest.Full() {
		return
	}
	check(t, vm.Reboot(step(t)))
	wantFacts(t, n.report(t, vm), map[string]string{
		"state": "running", "failed": "", "current-system": top, "booted-system": top, "version": "second", "profile": "system-2-link", "verify": "0*", "secret": nixfixture.Secret,
	})
	check(t, vm.BootOnce(step(t), "nixos-generation-1.conf"))
	check(t, vm.Reboot(step(t)))
	wantFacts(t, n.report(t, vm), map[string]string{
		"state": "running", "failed": "", "current-system": n.Toplevel, "booted-system": n.Toplevel, "version": first["version"], "verify": "0*", "secret": nixfixture.Secret,
	})
}
