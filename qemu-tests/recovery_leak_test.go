package qemutests

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// nothingLeaks looks for the key, the password of the repository and what was
// typed where anybody could find them: on the console,
// in the image, on the ESP and in what the initramfs there unpacks to, in the
// guest's journal, and in the arguments and environments of its processes. What
// is searched for is in no argument here, or the guest would find itself.
func (r *recovered) nothingLeaks(t *testing.T, vm *VM, disk rawDisk, typed ...string) {
	t.Helper()
	_, key, _ := strings.Cut(r.key, "AGE-SECRET-KEY-")
	console := strings.Join(vm.Console.Tail(1<<20), "\n")
	esp := unpackESP(t, disk)
	for _, secret := range append(typed, strings.TrimSpace(key), r.repository.password) {
		if strings.Contains(console, secret) {
			t.Errorf("the console shows %q", secret)
		}
		for _, where := range []string{esp, r.image} {
			if out, err := exec.Command("grep", "-rlaF", "--", secret, where).Output(); err == nil {
				t.Errorf("%q is in %s", secret, out)
			}
		}
		half := len(secret) / 2
		script := fmt.Sprintf("s=%s%s; sync; journalctl -a -o cat | grep -cF \"$s\"; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -acF \"$s\"; true",
			shellQuote(secret[:half]), shellQuote(secret[half:]))
		output(t, vm, script, "0\n0")
	}
}

// unpackESP returns a folder with all files of a disk's ESP, and with what each
// initramfs among them unpacks to.
func unpackESP(t *testing.T, disk rawDisk) string {
	t.Helper()
	imgtest.Need(t, "mcopy", "unmkinitramfs")
	dir := t.TempDir()
	command(t, "mcopy", "-s", "-n", "-i", disk.esp(t), "::/", filepath.Join(dir, "esp"))
	unpacked := 0
	check(t, filepath.WalkDir(filepath.Join(dir, "esp"), func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() == "initramfs" {
			unpacked++
			command(t, "unmkinitramfs", name, filepath.Join(dir, fmt.Sprintf("initramfs %d", unpacked)))
		}
		return err
	}))
	if unpacked == 0 {
		t.Errorf("%s: no initramfs on the ESP", disk)
	}
	return dir
}
