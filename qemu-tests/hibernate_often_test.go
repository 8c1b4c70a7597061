package qemutests

import (
	"fmt"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestHibernateOften hibernates one machine ten times, with writes in between.
func TestHibernateOften(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	s := newSleeper(t, sleeperImage(t), VirtioBlk, 512)
	s.wake()
	s.grown()
	s.work()
	for i := range 10 {
		output(t, s.vm, fmt.Sprintf("cp /home/kept /home/copy-%d && rm -f /home/copy-%d && btrfs subvolume snapshot -r /home /home/.snapshot-%d >/dev/null", i, i-2, i), "")
		s.sleep()
		s.wake()
		s.wasAsleep()
	}
	s.off()
}

// TestHibernateElsewhere hibernates a machine whose swapfile moves, and cuts its
// power as it hibernates.
func TestHibernateElsewhere(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	s := newSleeper(t, sleeperImage(t), VirtioBlk, 512)
	s.wake()
	s.grown()
	s.work()
	t.Log("another swapfile")
	output(t, s.vm, `swapoff /swap/swapfile && mv /swap/swapfile /swap/old &&
btrfs filesystem mkswapfile --size 512M /swap/swapfile >/dev/null && rm /swap/old && swapon /swap/swapfile`, "")
	s.sleepsAt(true)
	t.Log("a full balance while it is not in use")
	output(t, s.vm, "swapoff /swap/swapfile && btrfs balance start --full-balance / >/dev/null && swapon /swap/swapfile", "")
	s.sleepsAt(true)
	t.Log("a full balance while it is in use: the kernel leaves it where it is")
	_, err := s.vm.Run(step(t), "btrfs balance start --full-balance / 2>&1")
	check(t, err)
	s.sleepsAt(false)
	t.Log("a power cut while it is written")
	s.work()
	s.fallAsleep()
	expect(t, s.vm, `PM: Image saving progress: +[3-9]0%`)
	s.vm.PowerCut()
	check(t, s.vm.Close())
	s.disk.mustBe(t, s.before.offset, swapSignature)
	s.wake()
	s.anew(`the system hibernated, and is not in the swapfile`, "running")
	s.off()
}

// sleepsAt hibernates to a swapfile that may have moved.
func (s *sleeper) sleepsAt(moved bool) {
	s.t.Helper()
	was := s.before.offset
	// The watch is told when the swapfile is in use again. What is not committed
	// is not seen on the disk, and the kernel commits before it hibernates.
	output(s.t, s.vm, "sync; until [ $(cat /sys/power/resume_offset) = $(btrfs inspect-internal map-swapfile -r /swap/swapfile) ]; do sleep 0.1; done", "")
	s.before = s.look()
	if (s.before.offset != was) != moved {
		s.t.Errorf("offset %s, was %s; want another: %v", s.before.offset, was, moved)
	}
	s.sameOffset()
	s.sleep()
	s.wake()
	s.wasAsleep()
}

// TestLateRoot hibernates a machine whose disk is plugged in only once the
// initramfs misses it. Without a disk there is no firmware to start from, so the
// kernel is started directly, each time.
func TestLateRoot(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	image := sleeperImage(t)
	s := newSleeper(t, image, USB, 512)
	s.config.Direct = rawDisk(image).kernel(t)
	s.plug = true
	s.wake()
	s.grown()
	s.work()
	s.bootedOffset()
	s.sleep()
	s.wake()
	s.wasAsleep()
	s.off()
}
