package qemutests

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture"
)

// TestNixOSHibernate sends a NixOS to sleep with work in its memory, and finds it again:
// its first boot has made the swapfile as large as the memory, and our initramfs resumes.
func TestNixOSHibernate(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	n := newNixOS(t, nixfixture.Systemd, "own", false)
	n.build(t)
	s := newSleeper(t, n.image, VirtioBlk, 1024)
	s.config.OldAgent = true
	s.config.Disks = append(s.config.Disks, medium(t, nixfixture.AgeKey()))
	s.wake()
	s.grown()
	s.work()
	// The system wants nothing but errors on its console.
	output(t, s.vm, "dmesg | grep -o 'first boot finished'; dmesg | grep -o '@swap/swapfile offset [0-9]*' | tail -n 1",
		"first boot finished\n@swap/swapfile offset "+s.before.offset)
	s.sleep()
	s.wake()
	s.wasAsleep()
	output(t, s.vm, "cat "+nixfixture.SecretPath, nixfixture.Secret)
	s.off()
}
