package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// inRAM returns a directory of a tmpfs.
func inRAM(t *testing.T) string {
	t.Helper()
	imgtest.NeedRoot(t)
	dir := t.TempDir()
	must(t, unix.Mount("none", dir, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	return dir
}

// TestSaveInMemory: in the rescue environment nothing is saved to where it is gone with the
// machine, be it image, map or directory.
func TestSaveInMemory(t *testing.T) {
	disk, ram := t.TempDir(), inRAM(t)
	failing := filepath.Join(disk, "failing.img")
	must(t, os.WriteFile(failing, []byte(strings.Repeat("x", 4096)), 0o600), os.Symlink(ram, filepath.Join(disk, "link")))
	for _, tt := range []struct {
		name    string
		line    string
		refused string // path; "" is not
	}{
		{"the image", "save disk " + failing + " " + ram + "/image", ram + "/image"},
		{"the image, in a directory that is not there", "save disk " + failing + " " + ram + "/a/b/image", ram + "/a/b/image"},
		{"the image, behind a symlink", "save disk " + failing + " " + disk + "/link/image", disk + "/link/image"},
		{"the map alone", "save disk " + failing + " " + disk + "/image --map " + ram + "/map", ram + "/map"},
		{"the directory", "save files --image " + failing + " " + ram, ram},
		{"a directory that is not there", "save files --image " + failing + " " + ram + "/x/y", ram + "/x/y"},
		{"a disk", "save disk " + failing + " " + disk + "/kept", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, here := range []bool{true, false} {
				var out bytes.Buffer
				p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &out, here: here}
				code := p.run(t.Context(), strings.Fields(tt.line))
				refused := code == int(fault.Target) && strings.Contains(out.String(), tt.refused+": is in memory, and gone with the machine") && strings.Contains(out.String(), "mount /dev/sdX1 /mnt/large")
				if want := here && tt.refused != ""; refused != want || tt.refused == "" && code != 0 {
					t.Errorf("here %v: code %d, refused %v; want %v\n%s", here, code, refused, want, &out)
				}
				if left, _ := filepath.Glob(ram + "/*"); here && len(left) > 0 {
					t.Errorf("left %v", left)
				}
			}
			left, _ := filepath.Glob(ram + "/*")
			for _, name := range append(left, filepath.Join(disk, "image")) {
				must(t, os.RemoveAll(name))
			}
		})
	}
}

// TestSaveToMissingDisk: the name of a disk that is not there does not become a file in
// memory.
func TestSaveToMissingDisk(t *testing.T) {
	failing := filepath.Join(t.TempDir(), "failing.img")
	must(t, os.WriteFile(failing, []byte("x"), 0o600))
	for _, name := range []string{"/dev/sdnone", "/dev/disk/../sdnone", "/dev/null"} {
		var out bytes.Buffer
		code := run(t.Context(), []string{"save", "disk", failing, name, "--map", failing + ".map"}, strings.NewReader(""), &out, &out)
		if code != int(fault.Target) || !strings.Contains(out.String(), name+": is no disk") || !strings.Contains(out.String(), "mkimage-rescue inventory") {
			t.Errorf("%s: code %d\n%s", name, code, &out)
		}
		if _, err := os.Lstat("/dev/sdnone"); err == nil {
			t.Error("/dev/sdnone was made", os.Remove("/dev/sdnone"))
		}
	}
}

// TestSaveFilesOntoItself copies the files of a disk to a directory that is on it.
func TestSaveFilesOntoItself(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup", "mount", "umount")
	image, _ := laptop(t)
	f, err := os.Open(image)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	table, _, err := gpt.Read(f, info.Size())
	must(t, err)
	root := table.Partitions[len(table.Partitions)-1]
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	must(t, err)
	device := strings.TrimSpace(string(out))
	defer command(t, "losetup", "--detach", device)
	dir := t.TempDir()
	command(t, "mount", "-t", "btrfs", "-o", fmt.Sprintf("loop,offset=%d,sizelimit=%d", root.Start, root.Size), device, dir)
	defer command(t, "umount", dir)
	for _, to := range []string{dir, dir + "/new/one"} {
		out, errs, code := rescue(t, "save", "files", "--image", device, "--subvolume", "/", to)
		if code != int(fault.Target) || !strings.Contains(errs, "is on the disk that is to be saved") {
			t.Errorf("%s: code %d\n%s%s", to, code, out, errs)
		}
	}
	if _, err := os.Stat(dir + "/new"); err == nil {
		t.Error("a directory was made on it")
	}
}
