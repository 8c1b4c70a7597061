package qemutests

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// makeKeptHome fills the home of the one user, and leaves marks in the system by which
// it is known.
const makeKeptHome = `set -e
cd /home/[a-z]* && mkdir -p d && cd d
i=0; while [ $i -lt 10000 ]; do echo "content of $i" > f$i; i=$((i+1)); done
ln f1 hard; ln -s f2 soft; chmod 4711 f3; chown 12345:54321 f4; touch -d 2001-02-03T04:05:06.789 f5
echo old > /etc/mark-of-the-old-system
echo old > /var/lib/mark-of-the-old-system
sync`

// listOfHome prints what is in the current directory, as digests.
const listOfHome = `find . -printf '%p %y %m %U %G %s %T@ %l %n\n' | sort | sha256sum
find . -type f -print0 | sort -z | xargs -0 cat | sha256sum; find . -type f | wc -l
`

// identityOfSystem prints what must survive: all of the home, and what the
// machine is known by. Not every system has keys for ssh.
const identityOfSystem = "cd /home && " + listOfHome + `cat /etc/machine-id; cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null; lsblk -no PARTUUID,UUID $(findmnt -no SOURCE / | sed 's/\[.*//')`

// marks prints which system runs.
const marks = `ls /etc/mark-of-the-old-system /var/lib/mark-of-the-old-system 2>/dev/null | wc -l`

// kept is a disk with a system, whose home is to be kept.
type kept struct {
	target string
	before string // identityOfSystem
	home   string // listOfHome
}

// newKept installs a system by hand, starts it, and fills its home.
func newKept(t *testing.T) *kept {
	t.Helper()
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.NeedRoot(t)
	imgtest.Need(t, Binary, "qemu-img")
	k := &kept{target: emptyDisk(t, installedSize)}
	first := newMedium(t, "bandit-minimal", "")
	command(t, builtInstaller(t), "--from", first.image, "--to", k.target, "--key", first.key)
	bootsAlone(t, k.target, func(vm *VM) {
		output(t, vm, makeKeptHome, "")
		var err error
		k.before, err = vm.Output(step(t), identityOfSystem)
		check(t, err)
		t.Log(k.before)
		output(t, vm, marks, "2")
	})
	k.home = k.listHome(t)
	return k
}

// listHome lists the home of the disk while its machine is off. The file system
// is looked at as a power cut has left it, and not changed.
func (k *kept) listHome(t *testing.T) string {
	t.Helper()
	device, detach := rawDisk(k.target).loop(t)
	defer detach()
	dir := t.TempDir()
	command(t, "mount", "-o", "ro,rescue=nologreplay,subvol=@home", device, dir)
	defer command(t, "umount", dir)
	return command(t, "sh", "-c", "cd "+dir+" && "+listOfHome)
}

// homeIsThere checks that no byte of the home has changed.
func (k *kept) homeIsThere(t *testing.T) {
	t.Helper()
	if got := k.listHome(t); got != k.home {
		t.Fatalf("the home on the disk:\n%s\nwant\n%s", got, k.home)
	}
}

// TestKeepHome replaces the system of a disk, twice, and goes back in between:
// the home and what the machine is known by stay to the byte.
func TestKeepHome(t *testing.T) {
	k := newKept(t)
	vm := reinstall(t, k.target)
	output(t, vm, identityOfSystem, k.before)
	output(t, vm, marks, "0")
	check(t, vm.PowerDown(step(t)))

	// Without the stick: its own boot loader would be started first, and use up the
	// choice.
	bootsAlone(t, k.target, func(vm *VM) {
		entry, err := vm.Output(step(t), "cd /boot/loader/entries && ls *-before-*.conf")
		check(t, err)
		check(t, vm.BootOnce(step(t), entry))
		check(t, vm.Reboot(step(t)))
		check(t, vm.WaitAgent(step(t)))
		running(t, vm)
		output(t, vm, marks, "2")
		output(t, vm, identityOfSystem, k.before)
	})

	vm = reinstall(t, k.target)
	output(t, vm, identityOfSystem, k.before)
	output(t, vm, "btrfs subvolume list / | grep -c 'path @.old-'", "1")
	check(t, vm.PowerDown(step(t)))
	rawDisk(k.target).intact(t)
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
