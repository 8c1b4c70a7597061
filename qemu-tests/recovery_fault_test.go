package qemutests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// diskFault is a backup disk from which nothing can be restored.
type diskFault struct {
	name    string
	options repositoryOptions
	before  string // a script that runs before it is plugged in
	after   string // and one after it was pulled out
	message string // a pattern
	code    firstboot.Code
}

var diskFaults = []diskFault{
	{name: "wrong password", options: repositoryOptions{password: "another"}, message: `the secret restic-password is not its password`, code: firstboot.CodePassword},
	{name: "no snapshot of this host", options: repositoryOptions{host: "tower"}, message: `no snapshot of bandit:/home`, code: firstboot.CodeNoSnapshot},
	{
		name: "target too small", message: `needs \d+ MiB more, and \d+ MiB are free`, code: firstboot.CodeSpace,
		before: "fallocate -l $(($(df -B1 --output=avail /var | tail -n 1) - 200 * 1024 * 1024)) /var/filler && sync",
		after:  "rm /var/filler && sync",
	},
	{name: "pack missing", options: repositoryOptions{packMissing: true}, message: `restored was not: `, code: firstboot.CodeDamaged},
}

// hotplugAfter is how long the machine has run, in seconds, when the disk comes
// from which all is restored.
const hotplugAfter = 600

// TestRecoveryDisks plugs backup disks into one machine, whose clock was not
// set: first those with a fault, and after ten minutes one that was pulled out
// of a machine which has died, and that can only be read.
func TestRecoveryDisks(t *testing.T) {
	r := newRecovered(t, repositoryOptions{files: smallHome, locked: true})
	c := r.config(t, medium(t, r.key), listtreeDisk(t))
	c.Clock = "1970-01-02T03:04:05"
	vm := startVM(t, c)
	expect(t, vm, `This system is not complete yet[^$]*?backup disk LABEL=backup: is not there`)
	expect(t, vm, `login: `)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	standsAt(t, vm, firstboot.CodeNoDisk)
	output(t, vm, "systemctl show -P InvocationID mkimage-restore.service", "")
	home, err := vm.Output(step(t), homeIs)
	check(t, err)
	for i, f := range diskFaults {
		t.Run(f.name, func(t *testing.T) { f.try(t, vm, fmt.Sprint("fault", i), home) })
	}
	r.lateDisk(t, vm)
}

// homeIs prints what is in /home, without what a restore has not finished.
const homeIs = `find /home -mindepth 1 -name '.mkimage-restore-*' -prune -o -printf '%p %m %u %s %T@\n' | sort`

// try plugs the disk in and pulls it out. It must be as it was then, as must
// the home.
func (f diskFault) try(t *testing.T, vm *VM, id, home string) {
	f.options.files = smallHome
	disk := backupDisk(t, makeRepository(t, f.options), diskOptions{})
	sum := sumOf(t, disk.file)
	output(t, vm, f.before, "")
	check(t, vm.Attach(step(t), id, Disk{File: disk.file, Bus: USB}))
	expect(t, vm, `mkimage-firstboot: .*`+f.message)
	const script = `until [ "$(systemctl show -P ActiveState mkimage-restore.service)" = failed ]; do sleep 0.3; done
systemctl show -P ExecMainStatus mkimage-restore.service`
	output(t, vm, script, fmt.Sprint(int(f.code)))
	standsAt(t, vm, f.code)
	check(t, vm.Detach(step(t), id))
	output(t, vm, f.after, "")
	output(t, vm, homeIs, home)
	output(t, vm, "mkimage-firstboot ready 2>/dev/null; echo $?", fmt.Sprint(int(firstboot.CodeNotYet)))
	if got := sumOf(t, disk.file); got != sum {
		t.Error("the backup disk was written to")
	}
}

func sumOf(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	check(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	check(t, err)
	return hex.EncodeToString(h.Sum(nil))
}

// lateDisk plugs the disk in that has all.
func (r *recovered) lateDisk(t *testing.T, vm *VM) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*hotplugAfter*time.Second)
	defer cancel()
	_, err := vm.Output(ctx, fmt.Sprintf("until [ $(cut -d. -f1 /proc/uptime) -ge %d ]; do sleep 1; done; date -s '1970-01-02 03:04:05'", hotplugAfter))
	check(t, err)
	disk := backupDisk(t, r.repository, diskOptions{dirty: true})
	check(t, vm.Attach(step(t), "late", Disk{File: disk.file, Bus: USB, ReadOnly: true}))
	expect(t, vm, `backup disk: mounted with rescue=nologreplay, for otherwise`)
	expect(t, vm, `/home is restored from snapshot`)
	r.complete(t, vm)
	standsAt(t, vm, 0)
}
