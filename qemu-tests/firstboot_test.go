package qemutests

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// firstBootCuts are the lines of a first boot at which the power fails. All
// that a first boot writes, write by write, is cut on the host: see
// builder/gpt/grow and initramfs/boot.
var firstBootCuts = []string{
	`root found`,
	`grow partition \S+ from`,
	`mounted \d+ file systems`,
	`swapfile @swap/swapfile enlarged`,
	`first boot finished`,
}

// TestFirstBootCut cuts the power of first boots, and lets the next one finish.
func TestFirstBootCut(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	image := sleeperImage(t)
	for _, at := range firstBootCuts {
		t.Run(at, func(t *testing.T) {
			s := newSleeper(t, image, VirtioBlk, 512)
			s.start()
			expect(t, s.vm, `mkimage-init: \S+ `+at)
			s.vm.PowerCut()
			check(t, s.vm.Close())
			s.wake()
			s.grown()
			s.off()
		})
	}
}
