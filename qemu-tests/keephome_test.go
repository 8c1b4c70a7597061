package qemutests

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// makeKeptHome fills the home, and leaves marks in the system by which it is known.
const makeKeptHome = `set -e
cd /home/bandit && mkdir -p d && cd d
i=0; while [ $i -lt 10000 ]; do echo "content of $i" > f$i; i=$((i+1)); done
ln f1 hard; ln -s f2 soft; chmod 4711 f3; chown 12345:54321 f4; touch -d 2001-02-03T04:05:06.789 f5
echo old > /etc/mark-of-the-old-system
echo old > /var/lib/mark-of-the-old-system
sync`

// identityOfSystem prints what must survive: all of the home, and what the
// machine is known by.
const identityOfSystem = `cd /home && find . -printf '%p %y %m %U %G %s %T@ %l %n\n' | sort | sha256sum
find . -type f -print0 | sort -z | xargs -0 cat | sha256sum; find . -type f | wc -l
cat /etc/machine-id /etc/ssh/ssh_host_*_key.pub; lsblk -no PARTUUID,UUID $(findmnt -no SOURCE / | sed 's/\[.*//')`

// marks prints which system runs.
const marks = `ls /etc/mark-of-the-old-system /var/lib/mark-of-the-old-system 2>/dev/null | wc -l`

// TestKeepHome replaces the system of a disk, twice, and goes back in between:
// the home and what the machine is known by stay to the byte.
func TestKeepHome(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.Need(t, Binary, "qemu-img")
	target := emptyDisk(t, installedSize)
	first := newMedium(t, "bandit-minimal", "")
	command(t, builtInstaller(t), "--from", first.image, "--to", target, "--key", first.key)
	vm := startVM(t, Config{Name: "install", Agent: true, Keep: keepDir(t), Memory: 1024, Disks: []Disk{{File: target, Bus: NVMe, Serial: "TARGET", Write: true}}})
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	output(t, vm, makeKeptHome, "")
	before, err := vm.Output(step(t), identityOfSystem)
	check(t, err)
	t.Log(before)
	output(t, vm, marks, "2")
	check(t, vm.PowerDown(step(t)))

	vm = reinstall(t, target)
	output(t, vm, identityOfSystem, before)
	output(t, vm, marks, "0")
	entry, err := vm.Output(step(t), "cd /boot/loader/entries && ls *-before-*.conf")
	check(t, err)
	check(t, vm.BootOnce(step(t), entry))
	check(t, vm.Reboot(step(t)))
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	output(t, vm, marks, "2")
	output(t, vm, identityOfSystem, before)
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)

	vm = reinstall(t, target)
	output(t, vm, identityOfSystem, before)
	output(t, vm, "btrfs subvolume list / | grep -c 'path @.old-'", "1")
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)
}

// reinstall replaces the system of a disk by that of a new medium, and returns the
// machine that runs it.
func reinstall(t *testing.T, target string) *VM {
	t.Helper()
	vm := startVM(t, newMedium(t, "bandit-minimal", "").config(t, target))
	expect(t, vm, `is installed`)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	return vm
}

// builtInstaller returns the program mkimage-install that belongs to the mkimage
// that is tested.
func builtInstaller(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "mkimage-install")
	command(t, "go", "build", "-o", program, "../cmd/mkimage-install")
	return strings.TrimSpace(program)
}
