package qemutests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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
	backing, err := filepath.Abs(d.File)
	if err != nil {
		return "", err
	}
	described, err := describeBacking(backing)
	if err != nil {
		return "", err
	}
	file, record := filepath.Join(dir, diskID(i)+".qcow2"), filepath.Join(dir, diskID(i)+".backing")
	if isFile(file) {
		return file, checkBacking(dir, record, described)
	}
	// First: where there is an overlay, it is known of what.
	if err := os.WriteFile(record, []byte(described), 0o644); err != nil {
		return "", err
	}
	args := []string{"create", "-q", "-f", "qcow2", "-F", d.Format, "-b", backing, file}
	if d.Size > 0 {
		args = append(args, strconv.FormatInt(d.Size, 10))
	}
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fault.New(fault.Input, "install the package qemu-utils (Debian, Ubuntu), qemu-img (Fedora, Arch) or qemu (NixOS)", "the program qemu-img was not found")
	}
	if err != nil {
		return "", fmt.Errorf("overlay of %s: qemu-img: %w: %s", d.File, err, strings.TrimSpace(string(out)))
	}
	return file, nil
}

// describeBacking returns a text that no other image has, nor the same once it
// was written again.
func describeBacking(image string) (string, error) {
	info, err := os.Stat(image)
	if err != nil {
		return "", fault.New(fault.Input, "", "disk image: %w", err)
	}
	return fmt.Sprintf("%s\n%d bytes, written %s\n", image, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano)), nil
}

// checkBacking refuses an overlay of another image than the one described: the
// blocks that a guest wrote would lie over a file system that they are not of.
func checkBacking(dir, record, described string) error {
	got, err := os.ReadFile(record)
	if err == nil && string(got) == described {
		return nil
	}
	was, _, _ := strings.Cut(string(got), "\n")
	is, _, _ := strings.Cut(described, "\n")
	switch {
	case err != nil:
		was = "an unknown image"
	case was == is:
		was = "what it was before it was written again"
	}
	return fault.New(fault.Input, "remove "+dir+", or name another", "%s: has what a machine wrote over %s, expected over %s", dir, was, is)
}
