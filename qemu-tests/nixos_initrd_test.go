package qemutests

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture"
)

// TestNixOSSourceInitramfs boots a system by its own initrd, with our prelude to that: the
// first boot is done, the key is there before the activation, and the system has the
// units that we left it, which its initrd starts none of. Later boots find nothing to do,
// and the generation that it builds itself boots without us.
func TestNixOSSourceInitramfs(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	for _, stage := range []nixfixture.Stage1{nixfixture.Systemd, nixfixture.NixosInit} {
		t.Run(string(stage), func(t *testing.T) { sourceInitramfs(t, stage) })
	}
}

func sourceInitramfs(t *testing.T, stage nixfixture.Stage1) {
	n := newNixOS(t, stage, "source", true)
	n.build(t)
	vm := n.start(t)
	first := n.report(t, vm)
	running(t, vm)
	wantFacts(t, first, n.firstFacts(stage, first))
	output(t, vm, "dmesg | grep -o 'mkimage-init: .* first boot finished' | grep -c .", "1")
	output(t, vm, "dmesg | grep -o 'mkimage-init: .* the system.s own initrd goes on' | grep -c .", "1")
	output(t, vm, "test -d /mkimage || grep ' /mkimage' /proc/mounts || echo gone", "gone")
	// Its disk was there in the initrd already, and nobody else starts it.
	output(t, vm, "test -e /var/lib/mkimage/complete && echo complete", "complete")
	output(t, vm, "journalctl -b -o cat -u mkimage-restore.service | grep -c Starting", "1")
	output(t, vm, "systemctl is-active mkimage-swap-watch.service", "active")
	wantHome(t, belowUser(n.repository.list), guestHome(t, vm, "/home/"+homeUser))
	n.collects(t, vm)

	check(t, vm.Reboot(step(t)))
	wantFacts(t, n.report(t, vm), map[string]string{
		"state": "running", "failed": "", "current-system": n.Toplevel, "booted-system": n.Toplevel, "verify": "0*", "secret": nixfixture.Secret,
	})
	output(t, vm, "dmesg | grep 'mkimage-init: ' | grep -c -e 'first boot' -e failed; true", "0")
	n.second(t, vm, first)
}
