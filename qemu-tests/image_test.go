package qemutests

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// The throw-away image that tests the harness itself: systemd-boot, Debian's
// own kernel and initrd, and the reference userland as it is. It owes nothing
// to the code that makes real images, but for the file system.
const (
	throwAwayLabel   = "throw-away"
	throwAwayCmdline = "root=LABEL=" + throwAwayLabel + " rw console=tty0 console=ttyS0,115200"
	espStart         = 1 << 20
	espSize          = 128 << 20
	rootStart        = espStart + espSize
)

const throwAwayMenu = "timeout 3\ndefault first.conf\n"

func throwAwayEntry(title, more string) string {
	return "title " + title + "\nlinux /linux\ninitrd /initrd\noptions " + throwAwayCmdline + more + "\n"
}

// systemdBoot is where Debian's package systemd-boot-efi has the boot loader.
const systemdBoot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"

// throwAway builds the image in dir and returns its name.
func throwAway(t *testing.T, dir string) string {
	t.Helper()
	imgtest.Need(t, "mformat", "mmd", "mcopy", "sgdisk")
	reference := userland.Reference(t)
	root := filepath.Join(dir, "root.btrfs")
	command(t, builtMkimage(t), "mkfs", "--quiet", "--from", "tar:"+reference.Tar, "--compress=zstd:1", "--label", throwAwayLabel, "--size=4GiB", "-o", root)

	image := filepath.Join(dir, "throw-away.img")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(rootStart + 4<<30 + 1<<20); err != nil {
		t.Fatal(err)
	}
	command(t, "sgdisk", "-n", "1:1M:+128M", "-t", "1:ef00", "-n", "2:0:+4G", "-t", "2:8304", image)
	copyData(t, f, root)
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	makeESP(t, dir, image, reference.Dir)
	return image
}

// makeESP fills the first partition.
func makeESP(t *testing.T, dir, image, userland string) {
	t.Helper()
	at := image + "@@" + strconv.Itoa(espStart)
	command(t, "mformat", "-i", at, "-F", "-T", strconv.Itoa(espSize/512), "-h", "64", "-s", "32", "-v", "ESP", "::")
	command(t, "mmd", "-i", at, "::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries")
	for name, content := range map[string]string{
		"loader.conf": throwAwayMenu,
		"first.conf":  throwAwayEntry("First", ""),
		"second.conf": throwAwayEntry("Second", " mkimage.second"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{
		systemdBoot: "EFI/BOOT/BOOTX64.EFI",
		only(t, filepath.Join(userland, "boot/vmlinuz-*")):    "linux",
		only(t, filepath.Join(userland, "boot/initrd.img-*")): "initrd",
		filepath.Join(dir, "loader.conf"):                     "loader/loader.conf",
		filepath.Join(dir, "first.conf"):                      "loader/entries/first.conf",
		filepath.Join(dir, "second.conf"):                     "loader/entries/second.conf",
	} {
		command(t, "mcopy", "-i", at, from, "::/"+to)
	}
}

// copyData copies a file to where the root partition is, but for its holes.
func copyData(t *testing.T, to *os.File, name string) {
	t.Helper()
	from, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	const seekData, seekHole = 3, 4 // lseek(2)
	for at := int64(0); ; {
		start, err := from.Seek(at, seekData)
		if err != nil { // none behind at
			return
		}
		if at, err = from.Seek(start, seekHole); err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.NewOffsetWriter(to, rootStart+start), io.NewSectionReader(from, start, at-start))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// only returns the one file that matches a pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) != 1 {
		t.Fatalf("%s: %d files (%v); want 1", pattern, len(names), err)
	}
	return names[0]
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shellLine(name, args), err, out)
	}
	return strings.TrimSpace(string(out))
}
