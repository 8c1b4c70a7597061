package qemutests

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// rescued is a machine that runs the rescue environment of its stick.
type rescued struct {
	*VM
	asked int // commands that were typed, so that no answer is taken for another one's
}

// rescueConf makes the menu of the medium start its rescue environment at once.
const rescueConf = "timeout 0\ndefault mkimage-test-installer-recovery.conf\neditor no\n"

// rescueFirst makes a stick start its rescue environment.
func (m installMedium) rescueFirst(t testing.TB, stick string) {
	t.Helper()
	imgtest.Need(t, "mcopy")
	conf := filepath.Join(t.TempDir(), "loader.conf")
	check(t, os.WriteFile(conf, []byte(rescueConf), 0o644))
	at := rawDisk(m.image).partition(t, espNumber).Start
	command(t, "mcopy", "-o", "-i", stick+"@@"+strconv.FormatInt(at, 10), conf, "::/loader/loader.conf")
}

// startRescue starts a machine from the stick of a configuration, which m.config has
// made, and returns it with a shell of the rescue environment on its console.
func startRescue(t testing.TB, m installMedium, c Config) *rescued {
	t.Helper()
	m.rescueFirst(t, c.Disks[0].File)
	return startRescueOf(t, c)
}

// startRescueOf is startRescue with a stick that rescueFirst was called for.
func startRescueOf(t testing.TB, c Config) *rescued {
	t.Helper()
	imgtest.Need(t, Binary, "qemu-img")
	c.Agent = false
	r := &rescued{VM: startVM(t, c)}
	r.menu(t)
	r.shell(t)
	return r
}

// menu waits for the menu.
func (r *rescued) menu(t testing.TB) {
	t.Helper()
	expect(t, r.VM, `rescue> `)
}

// shell takes the menu's entry for a shell.
func (r *rescued) shell(t testing.TB) {
	t.Helper()
	check(t, r.Console.Send("shell\n"))
	expect(t, r.VM, `If a session sleeps on a disk .*\n`)
}

// run types a command into the shell and returns what it prints and its exit status.
func (r *rescued) run(t testing.TB, command string) (out string, status int) {
	t.Helper()
	return r.runFor(t, command, stepLimit)
}

// runFor is run with a limit of its own.
func (r *rescued) runFor(t testing.TB, command string, limit time.Duration) (out string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	r.asked++
	// What is typed shows: the marks in it must not be those of the answer.
	check(t, r.Console.Send(fmt.Sprintf("echo BEGIN''%d; %s; echo END''%d=$?\n", r.asked, command, r.asked)))
	m, err := r.Expect(ctx, fmt.Sprintf(`BEGIN%d\r?\n((?s:.*?))END%d=(\d+)\r?\n`, r.asked, r.asked))
	check(t, err)
	status, err = strconv.Atoi(m[2])
	check(t, err)
	return strings.ReplaceAll(m[1], "\r", ""), status
}

// must runs a command that must succeed.
func (r *rescued) must(t testing.TB, command string) string {
	t.Helper()
	out, status := r.run(t, command)
	t.Logf("%s:\n%s", command, out)
	if status != 0 {
		t.Fatalf("%s: status %d", command, status)
	}
	return out
}

// laptopDisk makes a disk of a laptop with a system of a profile on it.
func laptopDisk(t testing.TB, profile string, args ...string) string {
	t.Helper()
	image := buildImage(t, bootCase{profile: profile, args: args})
	name := filepath.Join(t.TempDir(), "laptop.img")
	rawDisk(image).copyTo(t, name, installedSize)
	imgtest.Need(t, "sgdisk")
	command(t, "sgdisk", "--move-second-header", name) // as the first boot does
	return name
}

// bootDamages are what may keep a laptop from starting, as commands that do it, and what a
// repair then says that it did.
var bootDamages = []struct{ name, command, done string }{
	{"firmware that knows no disk", "true", "firmware"},
	{"ESP that was formatted", "mkfs.vfat /dev/nvme0n1p1", "."},
	{"ESP that is zeros", "dd if=/dev/zero of=/dev/nvme0n1p1 bs=1048576 count=4", "."},
	{"no loader", "mount -t vfat /dev/nvme0n1p1 /mnt && rm -r /mnt/EFI && umount /mnt", "."},
	{"no entries", "mount -t vfat /dev/nvme0n1p1 /mnt && rm -r /mnt/loader/entries && umount /mnt", "."},
	{"no table at the start", "dd if=/dev/zero of=/dev/nvme0n1 bs=1048576 count=1", "."},
	{"no table at all", "dd if=/dev/zero of=/dev/nvme0n1 bs=1048576 count=1 && dd if=/dev/zero of=/dev/nvme0n1 bs=1048576 count=1 seek=20479", "."},
}

// TestRescueBoot damages what a laptop starts by, repairs it, and starts the laptop by the
// entry that the repair has put into the firmware, which knows nothing of the disk before.
func TestRescueBoot(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	m := newMedium(t, "bandit-minimal", "")
	laptop := laptopDisk(t, "bandit-minimal")
	c := m.config(t, laptop)
	m.rescueFirst(t, c.Disks[0].File)
	for _, damage := range bootDamages {
		t.Run(strings.ReplaceAll(damage.name, " ", "-"), func(t *testing.T) {
			c := c
			c.Dir, c.Keep = t.TempDir(), keepDir(t)
			r := startRescueOf(t, c)
			r.must(t, "mkdir -p /mnt && "+damage.command+" && sync")
			if out := r.must(t, "mkimage-rescue boot --yes /dev/nvme0n1"); !regexp.MustCompile(`(?m)^done: ` + damage.done).MatchString(out) {
				t.Error("nothing was repaired")
			}
			if out := r.must(t, "mkimage-rescue boot"); !strings.Contains(out, "is as it should be") {
				t.Error("something is left")
			}
			check(t, r.Quit(step(t)))
			rawDisk(laptop).intact(t)

			c.Disks, c.Agent = c.Disks[1:], true
			vm := startVM(t, c)
			expect(t, vm, `BdsDxe: starting Boot\w+ "mkimage bandit-minimal"`)
			check(t, vm.WaitAgent(step(t)))
			running(t, vm)
			check(t, vm.PowerDown(step(t)))
		})
	}
}

// bystander makes a disk of another machine: nothing of it may change.
func bystander(t testing.TB) Disk {
	t.Helper()
	imgtest.Need(t, "mkfs.btrfs")
	name := filepath.Join(t.TempDir(), "bystander.img")
	makeFile(t, name, 512<<20)
	command(t, "mkfs.btrfs", "--quiet", "--label", "nixos", name)
	return Disk{File: name, Bus: USB, Serial: "BYSTANDER", Write: true}
}

// TestRescueSystem brings a system back whose /usr is gone, from its factory snapshot,
// and does what else is done to a system that does not run.
func TestRescueSystem(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	m := newMedium(t, "bandit-minimal", "")
	laptop, other := laptopDisk(t, "bandit-minimal"), bystander(t)
	before := digestData(t, other.File)
	c := m.config(t, laptop, other)
	r := startRescue(t, m, c)
	r.must(t, "mkdir -p /mnt && mount -t btrfs -o subvolid=5 /dev/nvme0n1p2 /mnt && rm -rf /mnt/@/usr && umount /mnt")
	r.must(t, "mkimage-rescue rollback --list")
	if out, status := r.run(t, "mkimage-rescue rollback --yes none"); status == 0 || !strings.Contains(out, "hint: one of @") {
		t.Errorf("rollback to what there is not: status %d\n%s", status, out)
	}
	r.must(t, "mkimage-rescue rollback --yes factory")
	if out := r.must(t, "mkimage-rescue enter -- cat /etc/hostname /proc/1/comm"); !strings.Contains(out, "bandit\n") {
		t.Errorf("entered another system:\n%s", out)
	}
	r.must(t, "mkimage-rescue enter -- sh -c 'echo entered >/home/entered'")
	if out, status := r.run(t, "mkimage-rescue enter --read-only -- sh -c 'touch /usr/x /home/x'"); status == 0 || !strings.Contains(out, "Read-only file system") {
		t.Errorf("entered read-only: status %d\n%s", status, out)
	}
	if _, status := r.run(t, "mkimage-rescue enter -- sh -c 'exit 7'"); status != 7 {
		t.Errorf("the exit code of what was entered with: %d; want 7", status)
	}
	if out := r.must(t, "mkimage-rescue swapfile --yes --size 67108864"); !strings.Contains(out, "has 64.0 MiB") {
		t.Errorf("swapfile:\n%s", out)
	}
	r.must(t, "mkimage-rescue generation --yes mkimage-bandit-minimal-factory")
	if out := r.must(t, "mkimage-rescue generation --list"); !strings.Contains(out, "* mkimage-bandit-minimal-factory") {
		t.Errorf("generations:\n%s", out)
	}
	r.must(t, "mkimage-rescue generation --yes mkimage-bandit-minimal")
	if out := r.must(t, "cat /proc/mounts"); strings.Contains(out, "/dev/nvme") || strings.Contains(out, "/dev/loop") {
		t.Errorf("something is mounted still:\n%s", out)
	}
	check(t, r.Quit(step(t)))
	if digestData(t, other.File) != before {
		t.Error("the disk of another machine has changed")
	}
	rawDisk(laptop).intact(t)

	c.Disks, c.Agent = c.Disks[1:2], true
	vm := startVM(t, c)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	output(t, vm, "cat /home/entered; ls -d /usr/bin; grep -c mkimage.factory /proc/cmdline; true", "entered\n/usr/bin\n0")
	check(t, vm.PowerDown(step(t)))
}

// TestRescueHibernated looks at a laptop whose session sleeps. Nothing of its disk may
// change, and it wakes afterwards.
func TestRescueHibernated(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	s := newSleeper(t, sleeperImage(t), NVMe, 512)
	s.wake()
	s.grown()
	s.work()
	s.sleep()
	before := digestData(t, string(s.disk))
	m := newMedium(t, "bandit-minimal", "")
	r := startRescue(t, m, m.config(t, string(s.disk)))
	if out := r.must(t, "mkimage-rescue inventory --problems"); !strings.Contains(out, "DANGER") || !strings.Contains(out, "sleeps") {
		t.Errorf("nobody is warned:\n%s", out)
	}
	for _, command := range []string{"rollback --yes factory", "generation --yes mkimage-bandit-minimal-factory", "swapfile --yes", "enter -- true"} {
		if out, status := r.run(t, "mkimage-rescue "+command); status != 5 || !strings.Contains(out, "a session sleeps") {
			t.Errorf("%s: status %d\n%s", command, status, out)
		}
	}
	// The firmware of the stick's machine knows no entry of the laptop's.
	if out, status := r.run(t, "mkimage-rescue boot --yes"); status != 5 || !strings.Contains(out, "a session sleeps") {
		t.Errorf("boot: status %d\n%s", status, out)
	}
	if out := r.must(t, "mkimage-rescue enter --read-only -- cat /etc/hostname"); !strings.Contains(out, "bandit\n") {
		t.Errorf("entered read-only:\n%s", out)
	}
	check(t, r.Quit(step(t)))
	if digestData(t, string(s.disk)) != before {
		t.Error("the disk of a session that sleeps has changed")
	}
	s.wake()
	s.wasAsleep()
	s.off()
}

// oneFile is a file of a home, below /home.
const oneFile = homeUser + "/project 00/src-0/00000.txt"

var (
	restoredSnapshot = regexp.MustCompile(`@home/\.snapshots/restored-[0-9a-f]+`)
	md5Sum           = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
)

// bringsFileBack copies a file out of the backup, and out of the snapshot that a
// restore takes of the home, and wants it as it is in the system.
func (r *rescued) bringsFileBack(t testing.TB) {
	t.Helper()
	snapshot := restoredSnapshot.FindString(r.must(t, "mkimage-rescue inventory"))
	want := md5Sum.FindString(r.must(t, "mkimage-rescue enter --read-only -- md5sum '/home/"+oneFile+"'"))
	r.must(t, "mkimage-rescue copy newest '/home/"+oneFile+"' --to /tmp/of-backup </dev/null")
	r.must(t, "mkimage-rescue copy --from-snapshot "+snapshot+" '"+oneFile+"' --to /tmp/of-snapshot </dev/null")
	for _, file := range []string{"/tmp/of-backup/home/" + oneFile, "/tmp/of-snapshot/" + oneFile} {
		if got := md5Sum.FindString(r.must(t, "md5sum '"+file+"'")); want == "" || got != want {
			t.Errorf("%s: MD5 %q; want %q", file, got, want)
		}
	}
}

// recoverLimit bounds a recovery, which installs and restores: as long as both in turn.
const recoverLimit = 45 * time.Minute

// TestRescueLost is a laptop with a new disk: a person at the console has everything
// brought back by the stick, the backup disk, and the passphrase of the key.
func TestRescueLost(t *testing.T) {
	r := newPatient(t, repositoryOptions{})
	m := newMedium(t, "patient", "", "--profile-dir", r.dir)
	target, backup, other := emptyDisk(t, installedSize), r.backup(t), bystander(t)
	key := Disk{File: keyMedium(t, map[string]string{config.KeyFileEncrypted: encryptedKey(t, r.key, keyPassphrase)}), Bus: USB, Serial: "KEYS", Write: true}
	backup.Write = true
	c := m.config(t, target, key, backup, other, listtreeDisk(t))
	m.rescueFirst(t, c.Disks[0].File)
	before, stick := digestFiles(t, backup.File, other.File, key.File), digestStick(t, m, c.Disks[0].File)

	vm := startRescueOf(t, c)
	started := time.Now()
	check(t, vm.Console.Send("mkimage-rescue recover --erase TARGET; echo status=$?\n"))
	expect(t, vm.VM, `Passphrase of the key on [^\n]*: `)
	check(t, vm.Console.Send(keyPassphrase+"\n"))
	long, cancel := context.WithTimeout(t.Context(), recoverLimit)
	defer cancel()
	_, err := vm.Expect(long, `Restart the machine now\? |status=\d`)
	check(t, err)
	t.Logf("all is back after %.0f s", time.Since(started).Seconds())
	check(t, vm.Console.Send("n\n"))
	expect(t, vm.VM, `status=0\r?\n`)
	for _, line := range vm.Console.Tail(40) {
		t.Log(line)
	}
	vm.bringsFileBack(t)
	check(t, vm.Quit(step(t)))
	if diff := cmp.Diff(before, digestFiles(t, backup.File, other.File, key.File)); diff != "" {
		t.Errorf("disks that must not change (-before +after):\n%s", diff)
	}
	if digestStick(t, m, c.Disks[0].File) != stick {
		t.Error("the stick has changed, and not only its log")
	}
	rawDisk(target).intact(t)

	// Neither the stick nor the key is plugged in any more.
	c.Disks = []Disk{c.Disks[1], backup, listtreeDisk(t)}
	laptop := startVM(t, c)
	check(t, laptop.WaitAgent(step(t)))
	r.complete(t, laptop)
	output(t, laptop, "journalctl -b -u mkimage-restore.service -o cat | grep -c 'restore: ' || true", "0")
	check(t, laptop.PowerDown(step(t)))
}
