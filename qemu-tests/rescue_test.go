package qemutests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// rescued is a machine that runs the rescue environment of its stick.
type rescued struct {
	*VM
	asked int // commands that were typed, so that no answer is taken for another one's
}

// rescueConf makes the menu of the medium start its rescue environment at once.
const rescueConf = "timeout 0\ndefault mkimage-test-installer-recovery.conf\neditor no\n"

// startRescue starts a machine from the stick of a configuration, which m.config has
// made, and returns it with a shell of the rescue environment on its console.
func startRescue(t testing.TB, c Config) *rescued {
	t.Helper()
	imgtest.Need(t, Binary, "qemu-img", "mcopy")
	conf := filepath.Join(t.TempDir(), "loader.conf")
	check(t, os.WriteFile(conf, []byte(rescueConf), 0o644))
	stick := rawDisk(c.Disks[0].File)
	command(t, "mcopy", "-o", "-i", string(stick)+"@@"+strconv.FormatInt(stick.partition(t, espNumber).Start, 10), conf, "::/loader/loader.conf")
	c.Agent = false
	r := &rescued{VM: startVM(t, c)}
	expect(t, r.VM, `(?m)^Choose`)
	check(t, r.Console.Send("shell\n"))
	expect(t, r.VM, `rescue# `)
	return r
}

// run types a command into the shell and returns what it prints and its exit status.
func (r *rescued) run(t testing.TB, command string) (out string, status int) {
	t.Helper()
	r.asked++
	// What is typed shows: the marks in it must not be those of the answer.
	check(t, r.Console.Send(fmt.Sprintf("echo BEGIN''%d; %s; echo END''%d=$?\n", r.asked, command, r.asked)))
	m, err := r.Expect(step(t), fmt.Sprintf(`BEGIN%d\r?\n((?s:.*?))END%d=(\d+)\r?\n`, r.asked, r.asked))
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

// bootDamages are what may keep a laptop from starting, as commands that do it.
var bootDamages = []struct{ name, command string }{
	{"ESP", "dd if=/dev/zero of=/dev/nvme0n1p1 bs=1048576 count=4"},
	{"loader", "mount -t vfat /dev/nvme0n1p1 /mnt && rm -r /mnt/EFI && umount /mnt"},
	{"entries", "mount -t vfat /dev/nvme0n1p1 /mnt && rm -r /mnt/loader/entries && umount /mnt"},
	{"table", "dd if=/dev/zero of=/dev/nvme0n1 bs=1048576 count=1"},
}

var repaired = regexp.MustCompile(`(?m)^done: `)

// TestRescueBoot damages what a laptop starts by, in one go and one after the other, and
// repairs it each time. The firmware knows nothing of the disk to begin with.
func TestRescueBoot(t *testing.T) {
	m := newMedium(t, "bandit-minimal", "")
	laptop := laptopDisk(t, "bandit-minimal")
	c := m.config(t, laptop)
	r := startRescue(t, c)
	r.must(t, "mkdir -p /mnt")
	r.must(t, "mkimage-rescue inventory")
	for _, damage := range bootDamages {
		r.must(t, damage.command+" && sync")
		if out := r.must(t, "mkimage-rescue boot --yes /dev/nvme0n1"); !repaired.MatchString(out) {
			t.Errorf("%s: nothing was repaired", damage.name)
		}
		if out := r.must(t, "mkimage-rescue boot"); !strings.Contains(out, "is as it should be") {
			t.Errorf("%s: something is left", damage.name)
		}
	}
	check(t, r.Quit(step(t)))
	rawDisk(laptop).intact(t)

	c.Disks, c.Agent = c.Disks[1:], true
	vm := startVM(t, c)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	check(t, vm.PowerDown(step(t)))
}
