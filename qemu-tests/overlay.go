package qemutests

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// overlay returns the file that the guest writes into instead of the image of
// disk i: an existing one in dir, or a new one; "" when it writes into the
// image itself.
func overlay(d Disk, i int, dir string) (string, error) {
	if !isFile(d.File) {
		return "", fault.New(fault.Input, "", "disk image %s: not found, or not a file", d.File)
	}
	if d.Write {
		return "", nil
	}
	file := filepath.Join(dir, diskID(i)+".qcow2")
	if isFile(file) {
		return file, nil
	}
	backing, err := filepath.Abs(d.File)
	if err != nil {
		return "", err
	}
	out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-F", d.Format, "-b", backing, file).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fault.New(fault.Input, "install the package qemu-utils (Debian, Ubuntu), qemu-img (Fedora, Arch) or qemu (NixOS)", "the program qemu-img was not found")
	}
	if err != nil {
		return "", fmt.Errorf("overlay of %s: qemu-img: %w: %s", d.File, err, strings.TrimSpace(string(out)))
	}
	return file, nil
}
