package qemutests

import (
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sleeperDisk is the disk that the first boot of a sleeper has to grow to, in
// bytes.
const sleeperDisk = 20 << 30

// sleeper is a machine that hibernates, over several of its starts.
type sleeper struct {
	t      *testing.T
	disk   rawDisk
	config Config
	vm     *VM
	plug   bool // the disk is on USB, and plugged in once the machine misses it
	before work
}

// work is what a hibernated system must still have.
type work struct {
	bootID  string
	counter int
	offset  string // of the swapfile in pages, as the running system counts
}

// newSleeper is a machine with a disk that an image was copied to.
func newSleeper(t *testing.T, image string, bus Bus, memory int) *sleeper {
	t.Helper()
	dir := t.TempDir()
	disk := rawDisk(image).copyTo(t, filepath.Join(dir, "disk.img"), sleeperDisk)
	return &sleeper{t: t, disk: disk, config: Config{
		Name: "sleeper", Agent: true, Keep: keepDir(t), Dir: dir, Memory: memory,
		Disks: []Disk{{File: string(disk), Bus: bus, Write: true}},
	}}
}

// fork returns a second machine in the state of one that is off.
func (s *sleeper) fork(t *testing.T) *sleeper {
	t.Helper()
	dir := t.TempDir()
	f := *s
	f.t, f.vm = t, nil
	f.disk = s.disk.copyTo(t, filepath.Join(dir, "disk.img"), 0)
	command(t, "cp", filepath.Join(s.config.Dir, "vars.fd"), dir)
	f.config.Dir, f.config.Keep = dir, keepDir(t)
	f.config.Disks = []Disk{{File: string(f.disk), Bus: s.config.Disks[0].Bus, Write: true}}
	return &f
}

// start switches the machine on.
func (s *sleeper) start() {
	s.t.Helper()
	if !s.plug {
		s.vm = startVM(s.t, s.config)
		return
	}
	c := s.config
	c.Disks = nil
	s.vm = startVM(s.t, c)
	expect(s.t, s.vm, `mkimage-init: \S+ root \S+ is not there after`)
	check(s.t, s.vm.Attach(step(s.t), "late", s.config.Disks[0]))
}

// wake switches the machine on and waits until its system answers.
func (s *sleeper) wake() {
	s.t.Helper()
	s.start()
	check(s.t, s.vm.WaitAgent(step(s.t)))
}

// settled waits until all units are started, and wants this state of them.
func (s *sleeper) settled(state string) {
	s.t.Helper()
	r, err := s.vm.Run(step(s.t), "systemctl is-system-running --wait")
	check(s.t, err)
	if got := strings.TrimSpace(r.Stdout); got != state {
		failed, _ := s.vm.Output(step(s.t), "systemctl --failed --no-legend --plain")
		s.t.Errorf("the system is %s; want %s\n%s", got, state, failed)
	}
}

// grown makes sure that the first boot left nothing of the disk to waste.
func (s *sleeper) grown() {
	s.t.Helper()
	s.settled("running")
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
	if want := strconv.Itoa(s.config.Memory << 20); fields[1] != want {
		s.t.Errorf("the swapfile has %s bytes; want %s", fields[1], want)
	}
	if len(fields) > 2 && fields[2] != "0x0" {
		s.t.Errorf("the entry of the root has attributes %s; want none, the first boot is over", fields[2])
	}
}

// working is a unit whose only memory is that of its process, a file in memory
// and one on the disk.
const working = `systemctl stop counting 2>/dev/null
systemd-run --quiet --collect --unit=counting sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/run/counter; sleep 0.2; done'
for dir in /dev/shm /home; do
	head -c 20000000 /dev/urandom >$dir/kept
	(cd $dir && sha256sum kept >sum)
done
sync
until [ -s /run/counter ]; do sleep 0.1; done
`

// work starts what must go on after the sleep.
func (s *sleeper) work() {
	s.t.Helper()
	output(s.t, s.vm, working, "")
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

// sameOffset compares all who say where the swapfile is.
func (s *sleeper) sameOffset() {
	s.t.Helper()
	output(s.t, s.vm, "cat /sys/power/resume_offset", s.before.offset)
	output(s.t, s.vm, "/run/mkimage/mkimage-hibernate check /swap/swapfile | cut -d ' ' -f 3-4", "offset "+s.before.offset)
	s.disk.mustBe(s.t, s.before.offset, swapSignature)
}

// The signatures of swap space: that of mkswap, and that of a hibernated system.
const (
	swapSignature   = "SWAPSPACE2"
	asleepSignature = "S1SUSPEND"
)

// consoleOffset is in the line that every boot prints of its swapfile.
var consoleOffset = regexp.MustCompile(`mkimage-init: \S+ swapfile @swap/swapfile offset (\d+)`)

// bootedOffset compares what the boot has printed.
func (s *sleeper) bootedOffset() {
	s.t.Helper()
	if m := s.vm.Console.Seen(consoleOffset); m == nil || m[1] != s.before.offset {
		s.t.Errorf("the console says %q; want offset %s", m, s.before.offset)
	}
}

// fallAsleep begins to hibernate.
func (s *sleeper) fallAsleep() {
	s.t.Helper()
	// The answer must be there before the processes are frozen.
	output(s.t, s.vm, "systemd-run --quiet --collect --on-active=1 systemctl hibernate", "")
}

// sleep lets the system hibernate, which ends in the machine being off. The
// kernel gives that up when a thread of its own does not stop within 20 seconds,
// as kcompactd in little memory on a slow host: nothing is lost then, and who
// wants to sleep tries again.
func (s *sleeper) sleep() {
	s.t.Helper()
	s.fallAsleep()
	for try := 1; !s.isOff(); try++ {
		if try == 3 {
			s.t.Fatalf("the kernel could not freeze its threads %d times", try)
		}
		s.t.Log("the kernel could not freeze its threads; once more")
		s.fallAsleep()
	}
	check(s.t, s.vm.Close())
	s.disk.mustBe(s.t, s.before.offset, asleepSignature)
	if note := command(s.t, builtMkimage(s.t), "cat", string(s.disk)+":@swap/swapfile.asleep"); !strings.Contains(note, `"offset":`+s.before.offset) {
		s.t.Errorf("the note of the system that sleeps is %s; want offset %s in it", note, s.before.offset)
	}
}

// isOff waits until the machine is off, having hibernated. It returns false when
// the kernel has given that up.
func (s *sleeper) isOff() bool {
	s.t.Helper()
	if _, err := s.vm.Expect(step(s.t), `Freezing .* failed after`); err == nil {
		return false
	}
	_, err := s.vm.WaitEvent(step(s.t), "SUSPEND_DISK")
	check(s.t, err)
	check(s.t, s.vm.Wait(step(s.t)))
	return true
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
	output(s.t, s.vm, "for dir in /dev/shm /home; do (cd $dir && sha256sum --quiet -c sum); done; systemctl is-active counting", "active")
	s.noNote()
	output(s.t, s.vm, "btrfs scrub start -B / >/dev/null && echo clean", "clean")
}

// noNote waits until the system has taken the note away that it sleeps.
func (s *sleeper) noNote() {
	s.t.Helper()
	output(s.t, s.vm, "while [ -e /swap/swapfile.asleep ]; do sleep 0.1; done", "")
}

// off switches the machine off as its owner does, and looks for damage.
func (s *sleeper) off() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), stepLimit)
	defer cancel()
	check(s.t, s.vm.PowerDown(ctx))
	check(s.t, s.vm.Close())
	s.disk.intact(s.t)
}

// mountsRoot is what the kernel says when it mounts the file system, and gaveUp
// what mkimage-init says once nothing can be resumed any more.
var (
	mountsRoot = regexp.MustCompile(`(?m)^.*BTRFS info \(device \S+\): first mount of filesystem`)
	gaveUp     = regexp.MustCompile(`(?m)^.*mkimage-init: \S+ resume (dropped the hibernated system|failed, the machine boots anew|not needed)`)
)

// anew makes sure that the machine booted anew, with all that was on its disk,
// and said why. Nothing may have been mounted before the hibernated system was
// given up.
func (s *sleeper) anew(why, state string) {
	s.t.Helper()
	expect(s.t, s.vm, why)
	expect(s.t, s.vm, `bandit@bandit:`)
	s.settled(state)
	out, err := s.vm.Output(step(s.t), "cat /proc/sys/kernel/random/boot_id")
	check(s.t, err)
	if out == s.before.bootID {
		s.t.Errorf("boot id %s; want another, as the machine should boot anew", out)
	}
	output(s.t, s.vm, "cd /home && sha256sum --quiet -c sum && ls /dev/shm/kept 2>/dev/null | wc -l", "0")
	s.noNote()
	log, err := s.vm.Output(step(s.t), "dmesg --notime")
	check(s.t, err)
	mounted, given := mountsRoot.FindStringIndex(log), gaveUp.FindStringIndex(log)
	if mounted == nil || given == nil || given[0] > mounted[0] {
		s.t.Errorf("order of giving up (%v) and mounting (%v); want the first before the second\n%s", given, mounted, log)
	}
}
