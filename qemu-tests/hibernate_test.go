package qemutests

import (
	"fmt"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// sleeperCase is a laptop that hibernates.
var sleeperCase = bootCase{profile: "bandit-minimal"}

// sleeperImage builds its image.
func sleeperImage(t *testing.T) string {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, Binary, "qemu-img", "mcopy", "sgdisk", "losetup", "btrfs")
	return buildImage(t, sleeperCase)
}

// TestHibernate grows an image to its disk at the first boot, sends the machine
// to sleep with work in its memory, and finds it again. What one of the machines
// left on its disk is then damaged in every way.
func TestHibernate(t *testing.T) {
	image := sleeperImage(t)
	rawDisk(image).builtOffset(t)
	for _, tt := range []struct {
		bus    Bus
		memory int // MiB
		full   bool
	}{
		{VirtioBlk, 512, false},
		{VirtioBlk, 2048, true},
		{NVMe, 512, true},
		{NVMe, 2048, true},
		{USB, 512, true},
		{USB, 2048, true},
	} {
		if tt.full && !imgtest.Full() {
			continue
		}
		t.Run(fmt.Sprintf("%s-%d", tt.bus, tt.memory), func(t *testing.T) {
			s := newSleeper(t, image, tt.bus, tt.memory)
			s.wake()
			s.grown()
			expect(t, s.vm, `mkimage-init: \S+ first boot finished`)
			refusesWithoutSwapfile(s)
			s.work()
			s.bootedOffset()
			s.sleep()
			if tt.bus == VirtioBlk && tt.memory == 512 {
				t.Run("faults", func(t *testing.T) { testFaults(t, s) })
			}
			s.wake()
			s.wasAsleep()
			s.off()
		})
	}
}

// refusesWithoutSwapfile takes the swapfile out of use: what is left is zram,
// which the profile has.
func refusesWithoutSwapfile(s *sleeper) {
	s.t.Helper()
	output(s.t, s.vm, "swapoff /swap/swapfile && awk 'NR > 1 {print $1}' /proc/swaps", "/dev/zram0")
	output(s.t, s.vm, "systemctl hibernate && echo hibernated; /run/mkimage/mkimage-hibernate check /swap/swapfile 2>&1; true",
		"hibernation refused: /swap/swapfile is not in use as swap space (/dev/zram0 is memory); try: swapon /swap/swapfile")
	output(s.t, s.vm, "swapon /swap/swapfile && systemctl is-active mkimage-swap-watch", "active")
}

// hibernateFault is what happens to a machine while it is off, or as it starts.
type hibernateFault struct {
	name  string
	full  bool
	do    func(t *testing.T, s *sleeper)
	why   string // pattern of what the console says
	woken bool   // the hibernated system goes on all the same
	state string // of the units after a boot anew, "running" when empty
}

var hibernateFaults = []hibernateFault{
	{name: "noresume", do: bootWith("noresume"), why: `the hibernated system is given up: noresume is on the command line`},
	{name: "wrong resume_offset", full: true, do: bootWith("resume_offset=4711"), woken: true,
		why: `command line offset 4711 on \S+: nothing to resume there; what counts is swapfile @swap/swapfile offset \d+`},
	{name: "image out of reach", full: true, do: editHeader(loseImage), why: `resume failed, the machine boots anew: .*PM: `},
	{name: "swap header damaged", full: true, do: editHeader(loseArea), woken: true, why: `swapfile @swap/swapfile offset \d+ on \S+: header of swap space`},
	{name: "header gone", full: true, do: editHeader(loseAll), state: "degraded",
		why: `hibernation: not possible: swapfile @swap/swapfile: header of swap space`},
	{name: "moved to NVMe", full: true, do: func(_ *testing.T, s *sleeper) { s.config.Disks[0].Bus = NVMe },
		why: `the hibernated system is given up: its disk was at \S+ and is at \S+ now`},
	{name: "power cut while it is read", do: cutWhileReading, why: `the system hibernated`},
}

func bootWith(words string) func(*testing.T, *sleeper) {
	return func(t *testing.T, s *sleeper) { s.disk.bootWith(t, words) }
}

func editHeader(edit func(page []byte)) func(*testing.T, *sleeper) {
	return func(t *testing.T, s *sleeper) { s.disk.editHeader(t, edit) }
}

func cutWhileReading(t *testing.T, s *sleeper) {
	s.start()
	expect(t, s.vm, `PM: Image loading progress: +[2-9]0%`)
	s.vm.PowerCut()
	check(t, s.vm.Close())
}

// testFaults boots copies of a machine that is asleep.
func testFaults(t *testing.T, asleep *sleeper) {
	for _, tt := range hibernateFaults {
		if tt.full && !imgtest.Full() {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			s := asleep.fork(t)
			tt.do(t, s)
			s.wake()
			if tt.woken {
				expect(t, s.vm, tt.why)
				s.wasAsleep()
			} else {
				state := tt.state
				if state == "" {
					state = "running"
				}
				s.anew(tt.why, state)
			}
			s.off()
		})
	}
}
