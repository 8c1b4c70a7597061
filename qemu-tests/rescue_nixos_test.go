package qemutests

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture"
)

// TestRescueNixOS is a laptop with NixOS that was lost: all of it is brought back, then
// what it starts by is destroyed and repaired, and the system is entered.
func TestRescueNixOS(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.Need(t, Binary, "qemu-img")
	n := newNixOS(t, nixfixture.Systemd, "own", true)
	m := newMediumFrom(t, n.source(), "nixos", "", "--profile-dir", n.profileDir, "--cache-dir", t.TempDir())
	target := emptyDisk(t, installedSize)
	backup := Disk{File: backupDisk(t, n.repository, diskOptions{}).file, Bus: USB, Serial: "BACKUP", Write: true}
	key := medium(t, nixfixture.AgeKey())
	c := m.config(t, target, key, backup)
	before := digestFiles(t, backup.File)
	r := startRescue(t, m, c)
	if out, status := r.runFor(t, "mkimage-rescue recover --erase TARGET </dev/null", recoverLimit); status != 0 {
		t.Fatalf("recover: status %d\n%s", status, out)
	}
	if out := r.must(t, "mkimage-rescue boot --yes"); !strings.Contains(out, "is as it should be") && !strings.Contains(out, "done: firmware") {
		t.Errorf("a system that was just installed does not start:\n%s", out)
	}
	r.must(t, "dd if=/dev/zero of=/dev/nvme0n1p1 bs=1048576 count=4 && sync")
	if out := r.must(t, "mkimage-rescue boot --yes"); !strings.Contains(out, "done: ") {
		t.Errorf("nothing was repaired:\n%s", out)
	}
	if out := r.must(t, "mkimage-rescue enter -- readlink /run/current-system"); !strings.Contains(out, n.Toplevel+"\n") {
		t.Errorf("the system is not activated:\n%s", out)
	}
	r.must(t, "mkimage-rescue enter -- nix-env --profile /nix/var/nix/profiles/system --list-generations")
	r.must(t, "mkimage-rescue generation --list")
	check(t, r.Quit(step(t)))
	if after := digestFiles(t, backup.File); after[backup.File] != before[backup.File] {
		t.Error("the backup disk has changed")
	}
	rawDisk(target).intact(t)

	c.Disks, c.Agent, c.OldAgent = []Disk{c.Disks[1], backup, listtreeDisk(t)}, true, true
	vm := startVM(t, c)
	wantFacts(t, n.report(t, vm), map[string]string{
		"state": "running", "failed": "", "stage1": string(n.stage), "current-system": n.Toplevel, "booted-system": n.Toplevel,
		"profile": "system-1-link", "verify": "0*", "secret": nixfixture.Secret,
	})
	wantHome(t, belowUser(n.repository.list), guestHome(t, vm, "/home/"+homeUser))
	check(t, vm.PowerDown(step(t)))
}
