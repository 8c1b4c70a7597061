package qemutests

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture"
)

// installNixOS installs a NixOS on a disk, from a medium that nobody watches, and returns
// the machine that runs it, with the key medium still plugged in.
func installNixOS(t *testing.T, n *nixos, target string) *VM {
	t.Helper()
	m := newMediumFrom(t, n.source(), "nixos", "", "--profile-dir", n.profileDir, "--cache-dir", t.TempDir())
	c := m.config(t, target, medium(t, nixfixture.AgeKey()))
	c.OldAgent = true
	vm := startVM(t, c)
	expect(t, vm, `is installed`)
	wantFacts(t, n.report(t, vm), map[string]string{
		"state": "running", "failed": "", "stage1": string(n.stage), "current-system": n.Toplevel, "booted-system": n.Toplevel,
		"profile": "system-1-link", "generation.system-1-link": n.Toplevel, "verify": "0*", "secret": nixfixture.Secret,
		"default": "nixos-generation-1.conf",
	})
	running(t, vm)
	return vm
}

// TestNixOSInstall installs a NixOS on an empty disk, and replaces it by another one, of
// the other kind of stage 1: the home stays to the byte, and the menu leads back to the
// system before.
func TestNixOSInstall(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.Need(t, Binary, "qemu-img")
	older, newer := newNixOS(t, nixfixture.Systemd, "own", false), newNixOS(t, nixfixture.Scripted, "own", false)
	target := emptyDisk(t, installedSize)

	vm := installNixOS(t, older, target)
	output(t, vm, makeKeptHome, "")
	before, err := vm.Output(step(t), identityOfSystem)
	check(t, err)
	t.Log(before)
	output(t, vm, marks, "2")
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)

	vm = installNixOS(t, newer, target)
	output(t, vm, identityOfSystem, before)
	output(t, vm, marks, "0")
	entry, err := vm.Output(step(t), "cd /boot/loader/entries && ls *-before-*.conf")
	check(t, err)
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)

	// Without the stick, whose own boot loader would use up the choice.
	vm = startVM(t, Config{
		Name: "alone", Agent: true, OldAgent: true, Keep: keepDir(t), Memory: 1024,
		Disks: []Disk{{File: target, Bus: NVMe, Serial: "TARGET", Write: true}},
	})
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	check(t, vm.BootOnce(step(t), entry))
	check(t, vm.Reboot(step(t)))
	wantFacts(t, older.report(t, vm), map[string]string{
		"state": "running", "failed": "", "stage1": string(older.stage), "current-system": older.Toplevel, "booted-system": older.Toplevel,
		"verify": "0*", "secret": nixfixture.Secret,
	})
	output(t, vm, marks, "2")
	output(t, vm, identityOfSystem, before)
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)
}
