package qemutests

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
)

// installedSize is the size of the disk that is installed to, in bytes.
const installedSize = 20 << 30

// installMedium is an installer medium and what it installs.
type installMedium struct {
	image string
	key   string // file of the public key
}

// installerProfile installs a small system on the one NVMe disk.
const installerProfile = `kind = "installer"
description = "for tests"
payload = "%s"
layout = "usb-installer"

[installer]
unattended = true
countdown = 5
%s
[installer.disk]
bus = ["nvme"]
`

// newMedium builds a medium of the reference userland. more are lines of [installer],
// payload is a profile, for which profiles has others.
func newMedium(t testing.TB, payload, more string, args ...string) installMedium {
	t.Helper()
	return newMediumFrom(t, "tar:"+userland.Reference(t).Tar, payload, more, args...)
}

// newMediumFrom builds a medium of a source.
func newMediumFrom(t testing.TB, source, payload, more string, args ...string) installMedium {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "test-installer.toml"), fmt.Appendf(nil, installerProfile, payload, more), 0o644))
	key := filepath.Join(dir, "maker")
	command(t, builtMkimage(t), "sign", "--generate", key, "--no-passphrase", "--quiet")
	image := buildFrom(t, source, bootCase{profile: "test-installer", args: append([]string{"--profile-dir", dir, "--sign-key", key + ".key"}, args...)})
	return installMedium{image, key + ".pub"}
}

// config is a machine with the medium, which the firmware starts from, an empty
// NVMe disk, and others.
func (m installMedium) config(t testing.TB, target string, disks ...Disk) Config {
	t.Helper()
	dir := t.TempDir()
	stick := rawDisk(m.image).copyTo(t, filepath.Join(dir, "stick.img"), 8<<30)
	return Config{
		Name: "install", Agent: true, Keep: keepDir(t), Dir: dir, Memory: 1024,
		Disks: append([]Disk{
			{File: string(stick), Bus: USB, Serial: "STICK", Write: true},
			{File: target, Bus: NVMe, Serial: "TARGET", Write: true},
		}, disks...),
	}
}

// emptyDisk makes a disk of zeros.
func emptyDisk(t testing.TB, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "target.img")
	check(t, os.WriteFile(name, nil, 0o600))
	check(t, os.Truncate(name, size))
	return name
}

// TestInstall installs from a stick onto an empty disk, which nobody watches,
// and starts what was installed without a key pressed.
func TestInstall(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.Need(t, Binary, "qemu-img")
	m := newMedium(t, "bandit-minimal", "")
	target := emptyDisk(t, installedSize)
	c := m.config(t, target)
	vm := startVM(t, c)
	expect(t, vm, `is installed`)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	out, err := vm.Output(step(t), "findmnt -no SOURCE /; lsblk -bno SIZE $(findmnt -no SOURCE / | sed 's/\\[.*//'); cat /proc/cmdline; btrfs filesystem usage -b / | grep 'Device size'; ls /sys/firmware/efi/efivars | grep Boot0")
	check(t, err)
	t.Log(out)
	if !strings.HasPrefix(out, "/dev/nvme") || strings.Contains(out, "mkimage.install") {
		t.Errorf("the system that runs is not the installed one:\n%s", out)
	}
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)

	// A firmware that knows nothing of that disk starts the stick once more.
	before := digestData(t, target)
	c.Dir = t.TempDir()
	vm = startVM(t, c)
	expect(t, vm, `this medium installed that disk on`)
	expect(t, vm, `Nothing is erased`)
	if digestData(t, target) != before {
		t.Error("the disk has changed before the installed system was started")
	}
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	output(t, vm, "grep -c mkimage.install /proc/cmdline; true", "0")
	check(t, vm.PowerDown(step(t)))
}

// TestReinstall is a laptop with a new disk: the stick installs, nobody presses
// a key, and the first boot takes the key from its medium and brings /home back
// from the backup disk. Both are plugged in all the time, and neither is erased.
func TestReinstall(t *testing.T) {
	r := newPatient(t, repositoryOptions{files: cutHome})
	m := newMedium(t, "patient", "", "--profile-dir", r.dir)
	target := emptyDisk(t, installedSize)
	key, backup := medium(t, r.key), r.backup(t)
	backup.Write = true
	c := m.config(t, target, key, backup, listtreeDisk(t))
	before := digestFiles(t, backup.File)
	stick := digestStick(t, m, c.Disks[0].File)
	started := time.Now()
	vm := startVM(t, c)
	expect(t, vm, `is installed`)
	t.Logf("installed after %.0f s", time.Since(started).Seconds())
	check(t, vm.WaitAgent(step(t)))
	t.Logf("started after %.0f s", time.Since(started).Seconds())
	r.complete(t, vm)
	t.Logf("key and home are there after %.0f s", time.Since(started).Seconds())
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)
	if diff := cmp.Diff(before, digestFiles(t, backup.File)); diff != "" {
		t.Errorf("disks that must not change (-before +after):\n%s", diff)
	}
	if digestStick(t, m, c.Disks[0].File) != stick {
		t.Error("the stick has changed, and not only its log")
	}
	if text := stickLog(t, m, c.Disks[0].File); !strings.Contains(text, "prove the recovery: done after") || !strings.Contains(text, "patient is installed") {
		t.Errorf("log on the stick:\n%s", text)
	}
	logSteps(t, vm)
}

// logAt returns where the log of a medium begins.
func (m installMedium) logAt(t testing.TB) int64 {
	t.Helper()
	f, err := os.Open(m.image)
	check(t, err)
	defer f.Close()
	p := rawDisk(m.image).partition(t, espNumber)
	esp, err := reader.Open(io.NewSectionReader(f, p.Start, p.Size), p.Size)
	check(t, err)
	at, err := mediumlog.Find(esp)
	check(t, err)
	return p.Start + at
}

// digestStick returns the SHA-256 of a stick but for its log.
func digestStick(t testing.TB, m installMedium, stick string) string {
	t.Helper()
	at := m.logAt(t)
	return digestAs(t, stick, func(f io.ReaderAt) io.ReaderAt { return mediumlog.AsMade(f, at) })
}

// stickLog returns the log of a stick.
func stickLog(t testing.TB, m installMedium, stick string) string {
	t.Helper()
	f, err := os.Open(stick)
	check(t, err)
	defer f.Close()
	text := make([]byte, mediumlog.Size)
	_, err = f.ReadAt(text, m.logAt(t))
	check(t, err)
	return strings.TrimSpace(string(text))
}

// logSteps logs the steps of an installation with what each took, as its screen
// had them.
func logSteps(t *testing.T, vm *VM) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range vm.Console.Tail(5000) {
		if strings.HasPrefix(line, "[ ok ]") && !seen[line] {
			seen[line] = true
			t.Log(line)
		}
	}
}

// digestFiles returns the SHA-256 of files.
func digestFiles(t testing.TB, names ...string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for _, name := range names {
		sums[name], _, _ = strings.Cut(command(t, "sha256sum", name), " ")
	}
	return sums
}
