package rehearsal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/profiles"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// compareDisks compares what was plugged in with what it was.
func (r *run) compareDisks(ctx context.Context) (string, error) {
	for i, file := range []string{stickFile, keyFile, backupFile} {
		d := &r.report.Disks[i]
		var err error
		if d.After, err = r.digest(ctx, file); err != nil {
			return "", err
		}
	}
	return "but for the log of the stick", changedDisks(r.report.Disks)
}

// changedDisks returns an error that names the disks that have changed.
func changedDisks(list []Unchanged) error {
	var names []string
	for _, d := range list {
		if !d.Held() {
			names = append(names, d.Name)
		}
	}
	if len(names) > 0 {
		return fault.New(fault.Mismatch, "", "%s: changed", strings.Join(names, ", "))
	}
	return nil
}

// startRecovered starts the machine from its disk. Neither stick nor key medium nor backup
// disk is there: what the recovery has left to the first boot would be missed.
func (r *run) startRecovered(whole context.Context) (string, error) {
	lister := qemutests.Disk{File: r.file(listerFile), Bus: qemutests.VirtioBlk, Serial: listerSerial}
	if err := r.startMachine(whole, "recovered", true, r.target(), lister); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(whole, bootLimit)
	defer cancel()
	if err := r.vm.WaitAgent(ctx); err != nil {
		return "", err
	}
	kernel, err := r.vm.Output(ctx, "uname -r")
	r.report.Versions.Kernel = kernel
	return "", err
}

func (r *run) checkRunning(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	out, err := r.vm.Output(ctx, "systemctl is-system-running --wait; systemctl --failed --no-legend --plain")
	if err != nil {
		return "", err
	}
	if err := r.screen(ctx, "The recovered system"); err != nil {
		return "", err
	}
	if out != "running" {
		return "", fault.New(fault.Mismatch, "", "system is %q, expected running", out)
	}
	return "", nil
}

// listerSerial is the serial number of the disk that is the lister.
const listerSerial = "LISTER"

// listScript runs the program that a disk begins with, in a folder of its own: nothing may
// be executable in /run.
func listScript(arguments []string, dir string) string {
	var words []string
	for _, a := range append(arguments[:len(arguments):len(arguments)], dir) {
		words = append(words, shellQuote(a))
	}
	const at = "/run/mkimage-rehearsal"
	return fmt.Sprintf(`mkdir -p %[1]s && mount -t tmpfs -o mode=700 tmpfs %[1]s &&
cat /dev/disk/by-id/virtio-%[2]s >%[1]s/lister && chmod 700 %[1]s/lister && %[1]s/lister %[3]s
status=$?; umount %[1]s; exit $status`, at, listerSerial, strings.Join(words, " "))
}

// shellQuote puts text into quotes of a shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func (r *run) compareHome(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	path := r.restore().Path
	got, err := r.vm.Output(ctx, listScript(r.Lister[1:], path))
	if err != nil {
		return "", err
	}
	c, err := compareHomes(path, r.sample.list, got+"\n")
	if err != nil {
		return "", err
	}
	r.report.Home = c
	if !c.Held() {
		return "", fault.New(fault.Mismatch, "", "%s: of %d entries, %d are missing and %d differ", path, c.Entries, c.Missing, c.Differing)
	}
	return fmt.Sprintf("%d entries, %d MiB: content, owners, modes, times, links and attributes", c.Entries, c.Bytes>>20), nil
}

// wanted returns what is to be in the recovered system: the key, and each secret.
func (r *run) wanted() []Placed {
	list := []Placed{{Name: "key", Path: config.KeyPath, Want: describe("600", "root", "root", string(r.key.text))}}
	for _, s := range r.secrets {
		list = append(list, Placed{Name: s.secret.Name, Path: "/run/secrets/" + s.secret.Name, Want: wantedSecret(s.secret, s.value)})
	}
	return list
}

// wantedSecret describes a secret as its profile wants it.
func wantedSecret(s profiles.Secret, value string) string {
	mode := strings.TrimLeft(cmp.Or(s.Mode, "0400"), "0") // as stat(1) has it
	owner := cmp.Or(s.Owner, "root")
	return describe(cmp.Or(mode, "0"), owner, cmp.Or(s.Group, owner), value)
}

func describe(mode, owner, group, text string) string {
	return fmt.Sprintf("%s %s %s %x", mode, owner, group, sha256.Sum256([]byte(text)))
}

func (r *run) compareSecrets(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	var wrong []string
	for _, p := range r.wanted() {
		file := shellQuote(p.Path)
		got, err := r.vm.Output(ctx, fmt.Sprintf(`echo "$(stat -Lc '%%a %%U %%G' %[1]s 2>&1) $(sha256sum <%[1]s | cut -d' ' -f1)"`, file))
		if err != nil {
			return "", err
		}
		p.Got = got
		r.report.Secrets = append(r.report.Secrets, p)
		if !p.Held() {
			wrong = append(wrong, p.Name)
		}
	}
	if len(wrong) > 0 {
		return "", fault.New(fault.Mismatch, "", "%s: not as the profile wants it", strings.Join(wrong, ", "))
	}
	return fmt.Sprintf("the key; secrets: %d", len(r.secrets)), nil
}

func (r *run) shutDown(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	return "", r.end(r.vm.PowerDown(ctx))
}

// ofCopies are the promises that copies of one image keep, and of one machine not.
const ofCopies = "machine-id"

// checkPromises checks on a copy of the recovered disk what mkimage test checks.
func (r *run) checkPromises(ctx context.Context) (string, error) {
	p, err := installedPlan(r.stickPlan, r.file(targetFile))
	if err != nil {
		return "", err
	}
	promises := slices.DeleteFunc(slices.Clone(p.Profile.Tests.Promises), func(name string) bool { return name == ofCopies })
	p.Profile.Tests.Promises = promises
	if len(promises) == 0 {
		return "the profile makes none", nil
	}
	base := r.Machine
	base.Keep = r.file("logs")
	outcomes, err := qemutests.Test(ctx, qemutests.Suite{Image: r.file(targetFile), Plan: p, Buses: []qemutests.Bus{qemutests.NVMe}, Base: base})
	return fmt.Sprintf("%d of them", len(outcomes)), errors.Join(err, r.keep(outcomes))
}

// keep puts promises into the report, and is an error where one is not kept.
func (r *run) keep(outcomes []qemutests.Outcome) error {
	var broken []string
	for _, o := range outcomes {
		p := Promise{Name: o.Check, Kept: o.Err == nil, Seconds: o.Seconds}
		if f := (*qemutests.Failure)(nil); errors.As(o.Err, &f) {
			p.Error = f.Err.Error()
		} else if o.Err != nil {
			p.Error = o.Err.Error()
		}
		if !p.Kept {
			broken = append(broken, p.Name)
		}
		r.report.Promises = append(r.report.Promises, p)
	}
	if len(broken) > 0 {
		return fault.New(fault.Mismatch, "", "not kept: %s", strings.Join(broken, ", "))
	}
	return nil
}
