package qemutests

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// nothingLeaks looks for the key, the password of the repository and what was
// typed where anybody could find them: on the console, in the image, on the ESP
// and in what the initramfs there unpacks to, in the guest's journal, and in the
// arguments and environments of its processes. What is searched for is in no
// argument there, or the search would find itself.
func (r *recovered) nothingLeaks(t *testing.T, vm *VM, disk rawDisk, typed ...string) {
	t.Helper()
	_, key, _ := strings.Cut(r.key, "AGE-SECRET-KEY-")
	console := strings.Join(vm.Console.Tail(1<<20), "\n")
	esp := unpackESP(t, disk)
	command(t, "grep", "-rqaF", "--", r.recipient, esp) // which is public: this is how to search
	for _, secret := range append(typed, strings.TrimSpace(key), r.repository.password) {
		if strings.Contains(console, secret) {
			t.Errorf("the console shows %q", secret)
		}
		for _, where := range []string{esp, r.image} {
			if out, err := exec.Command("grep", "-rlaF", "--", secret, where).Output(); err == nil {
				t.Errorf("%q is in %s", secret, out)
			}
		}
		output(t, vm, fmt.Sprintf(searchGuest, shellQuote(secret)), "0\n0")
	}
}

// searchGuest counts a secret in the journal, and in the arguments and
// environments of all processes.
const searchGuest = `umask 077; printf %%s %s >/run/searched
journalctl -a -o cat | grep -cFf /run/searched
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -acFf /run/searched
rm /run/searched`

// unpackESP returns a folder with all files of a disk's ESP, and with what each
// initramfs among them decompresses to.
func unpackESP(t *testing.T, disk rawDisk) string {
	t.Helper()
	imgtest.Need(t, "mcopy")
	dir := t.TempDir()
	command(t, "mcopy", "-s", "-n", "-i", disk.esp(t), "::/", filepath.Join(dir, "esp"))
	unpacked := 0
	check(t, filepath.WalkDir(filepath.Join(dir, "esp"), func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() == "initramfs" {
			unpacked += decompress(t, name)
		}
		return err
	}))
	if unpacked == 0 {
		t.Errorf("%s: no initramfs on the ESP that could be looked into", disk)
	}
	return dir
}

// decompress writes what the frames of zstd in a file hold beside it, and
// returns how many there are.
func decompress(t *testing.T, name string) (frames int) {
	t.Helper()
	data, err := os.ReadFile(name)
	check(t, err)
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], magic)
		if i < 0 {
			return frames
		}
		at += i
		d, err := zstd.NewReader(bytes.NewReader(data[at:]))
		check(t, err)
		// What comes after a frame is no frame, nor is any magic number one.
		text, _ := io.ReadAll(d)
		d.Close()
		if len(text) > 0 {
			frames++
			check(t, os.WriteFile(fmt.Sprintf("%s %d", name, at), text, 0o600))
		}
	}
}
