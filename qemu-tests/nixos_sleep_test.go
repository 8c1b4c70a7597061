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
	n := newNixOS(t, nixfixture.Systemd, false)
	n.build(t)
	s := newSleeper(t, n.image, VirtioBlk, 1024)
	s.config.OldAgent = true
	s.config.Disks = append(s.config.Disks, medium(t, nixfixture.AgeKey()))
	s.wake()
	s.grown()
	expect(t, s.vm, `mkimage-init: \S+ first boot finished`)
	s.work()
	s.bootedOffset()
	s.sleep()
	s.wake()
	s.wasAsleep()
	output(t, s.vm, "cat "+nixfixture.SecretPath, nixfixture.Secret)
	s.off()
}
