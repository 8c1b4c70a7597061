package qemutests

import (
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// sleeperDisk and sleeperRAM are what the first boot of a sleeper has to grow to,
// in bytes.
const (
	sleeperDisk = 20 << 30
	sleeperRAM  = 1 << 30
)

// TestHibernate grows an image to its disk at the first boot, sends the machine
// to sleep with work in its memory, and finds it again.
func TestHibernate(t *testing.T) {
	imgtest.Need(t, Binary, "qemu-img")
	image := buildImage(t, bootCase{profile: "bandit-minimal", args: []string{"--set", "swap.policy=hibernate"}})
	for _, tt := range []struct {
		bus  Bus
		full bool
	}{
		{VirtioBlk, false},
		{NVMe, true},
		{USB, true},
	} {
		if tt.full && !imgtest.Full() {
			continue
		}
		t.Run(string(tt.bus), func(t *testing.T) {
			s := newSleeper(t, image)
			s.wake(tt.bus)
			s.grown()
			s.work()
			s.sleep()
			s.wake(tt.bus)
			s.wasAsleep()
		})
	}
}

// sleeper is a machine that hibernates, over several of its starts.
type sleeper struct {
	t      *testing.T
	config Config
	vm     *VM
	before work
}

// work is what a hibernated system must still have.
type work struct {
	bootID  string
	counter int
	offset  string // of the swapfile in pages, as the running system counts
}

func newSleeper(t *testing.T, image string) *sleeper {
	return &sleeper{t: t, config: Config{
		Name: "sleeper", Agent: true, Keep: keepDir(t), Dir: filepath.Join(t.TempDir()),
		Memory: sleeperRAM >> 20,
		Disks:  []Disk{{File: image, Size: sleeperDisk}},
	}}
}

// wake switches the machine on, with its disk on a bus.
func (s *sleeper) wake(bus Bus) {
	s.t.Helper()
	s.config.Disks[0].Bus = bus
	s.vm = startVM(s.t, s.config)
	check(s.t, s.vm.WaitAgent(step(s.t)))
}

// grown makes sure that the first boot left nothing of the disk to waste.
func (s *sleeper) grown() {
	s.t.Helper()
	// The agent is there before /swap is.
	output(s.t, s.vm, "systemctl is-system-running --wait", "running")
	out, err := s.vm.Output(step(s.t), "findmnt -bno SIZE /; stat -c %s /swap/swapfile; lsblk -ndo PARTFLAGS $(findmnt -nvo SOURCE /)")
	check(s.t, err)
	fields := strings.Fields(out)
	if len(fields) < 2 {
		s.t.Fatalf("sizes: got %q", out)
	}
	size, err := strconv.ParseInt(fields[0], 10, 64)
	check(s.t, err)
	const least = sleeperDisk - 2<<30 // the ESP, and what is lost to alignment
	if size < least || size > sleeperDisk {
		s.t.Errorf("the file system has %d bytes; want %d to %d", size, int64(least), int64(sleeperDisk))
	}
	if want := strconv.Itoa(sleeperRAM); fields[1] != want {
		s.t.Errorf("the swapfile has %s bytes; want %s", fields[1], want)
	}
	if len(fields) > 2 && fields[2] != "0x0" {
		s.t.Errorf("the entry of the root has attributes %s; want none, the first boot is over", fields[2])
	}
	if s.vm.Console.Seen(regexp.MustCompile(`mkimage-init: \S+ first boot finished`)) == nil {
		s.t.Error("the console does not say that the first boot is finished")
	}
}

// counting is a unit whose only memory is that of its process.
const counting = `systemd-run --quiet --unit=counting sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/run/counter; sleep 0.2; done'
head -c 20000000 /dev/urandom >/dev/shm/kept
sha256sum /dev/shm/kept >/dev/shm/sum
`

// work starts what must go on after the sleep.
func (s *sleeper) work() {
	s.t.Helper()
	output(s.t, s.vm, counting, "")
	s.before = s.look()
	s.sameOffset()
}

func (s *sleeper) look() (w work) {
	s.t.Helper()
	out, err := s.vm.Output(step(s.t), "cat /proc/sys/kernel/random/boot_id /run/counter; btrfs inspect-internal map-swapfile -r /swap/swapfile")
	check(s.t, err)
	fields := strings.Fields(out)
	if len(fields) != 3 {
		s.t.Fatalf("boot id, counter and offset: got %q", out)
	}
	w.bootID, w.offset = fields[0], fields[2]
	w.counter, err = strconv.Atoi(fields[1])
	check(s.t, err)
	return w
}

// consoleOffset is in the line that every boot prints of its swapfile.
var consoleOffset = regexp.MustCompile(`mkimage-init: \S+ swapfile @swap/swapfile offset (\d+)`)

// sameOffset compares all who say where the swapfile is.
func (s *sleeper) sameOffset() {
	s.t.Helper()
	output(s.t, s.vm, "cat /sys/power/resume_offset", s.before.offset)
	if m := s.vm.Console.Seen(consoleOffset); m == nil || m[1] != s.before.offset {
		s.t.Errorf("the console says %q; want offset %s", m, s.before.offset)
	}
}

// sleep lets the system hibernate, which ends in the machine being off.
func (s *sleeper) sleep() {
	s.t.Helper()
	// The answer must be there before the processes are frozen.
	output(s.t, s.vm, "systemd-run --quiet --on-active=1 systemctl hibernate", "")
	_, err := s.vm.WaitEvent(step(s.t), "SUSPEND_DISK")
	check(s.t, err)
	check(s.t, s.vm.Wait(step(s.t)))
	check(s.t, s.vm.Close())
}

// wasAsleep makes sure that the system went on where it was.
func (s *sleeper) wasAsleep() {
	s.t.Helper()
	after := s.look()
	if after.bootID != s.before.bootID {
		s.t.Fatalf("boot id %s; want %s, the machine booted anew", after.bootID, s.before.bootID)
	}
	if after.counter < s.before.counter {
		s.t.Errorf("counter %d; want at least %d", after.counter, s.before.counter)
	}
	if after.offset != s.before.offset {
		s.t.Errorf("offset %s; want %s", after.offset, s.before.offset)
	}
	output(s.t, s.vm, "sha256sum --quiet -c /dev/shm/sum && systemctl is-active counting", "active")
	output(s.t, s.vm, "btrfs scrub start -B / >/dev/null && echo clean", "clean")
	ctx, cancel := context.WithTimeout(s.t.Context(), stepLimit)
	defer cancel()
	check(s.t, s.vm.PowerDown(ctx))
}
