// Package userland makes the reference userland: what tests and benchmarks take for
// "a real root file system".
package userland

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/projectcache"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// Userland is the reference userland in its two forms.
type Userland struct {
	Dir string // unpacked, with the final owners and modes
	Tar string // the same as a pax archive
	// Split holds the same files below @, @home, @nix and @var, for programs
	// that want their subvolumes as directories. @ keeps empty mount points.
	Split string
}

const referenceSuite = "trixie"

// referencePackages make a laptop's system without a desktop: kernel with
// modules, init, boot loader, login, rescue programs, and one large library
// stack. About 700 MB in 17,000 files.
var referencePackages = []string{
	"linux-image-amd64", "systemd", "systemd-sysv", "udev", "dbus", "libpam-systemd",
	"systemd-boot-efi", "systemd-zram-generator", "login", "passwd", "sudo",
	"kbd", "console-data", "locales", "tzdata", "kmod", "iproute2", "dosfstools",
	"btrfs-progs", "zstd", "restic", "curl", "ca-certificates", "openssh-server",
	"iputils-ping", "vim-tiny", "python3-minimal", "libgl1-mesa-dri",
}

// referenceVersion changes when Build makes something else of the
// same packages.
const referenceVersion = "4"

// Reference returns the reference userland, building it when it is not in the
// project's cache yet. It needs root, and a network for the first build.
func Reference(t testing.TB) Userland {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mmdebstrap", "apt-get", "tar")
	u, err := Build(t.Context(), io.Discard)
	if err != nil {
		t.Fatalf("reference userland: %v", err)
	}
	return u
}

// Build returns the reference userland from .cache/reference of the
// project that the working directory is in, and builds it there first when it
// is missing. Two processes that want it build it once. The build's messages
// go to log.
func Build(ctx context.Context, log io.Writer) (Userland, error) {
	dir, err := projectcache.Folder("reference", referenceKey(), func(dir string) error { return build(ctx, dir, log) })
	if err != nil {
		return Userland{}, err
	}
	return Userland{
		Dir:   filepath.Join(dir, "root"),
		Tar:   filepath.Join(dir, "rootfs.tar"),
		Split: filepath.Join(dir, "split"),
	}, nil
}

// Scratch makes a folder for a benchmark, which the caller removes, on the file
// system of the cache: unlike /tmp it has room for images, and is a disk.
func (u Userland) Scratch() (string, error) {
	cache := filepath.Join(u.Dir, "../../..") // above reference/KEY/root
	return os.MkdirTemp(cache, "bench-")
}

func referenceKey() string {
	in := strings.Join(append([]string{referenceVersion, referenceSuite, runtime.GOARCH}, referencePackages...), "\n")
	sum := sha256.Sum256([]byte(in))
	return referenceSuite + "-" + hex.EncodeToString(sum[:8])
}

func build(ctx context.Context, dir string, log io.Writer) error {
	mirror := source.HostMirrors(ctx).Main
	for _, d := range []string{"root", "split/@"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	tar := filepath.Join(dir, "rootfs.tar")
	steps := [][]string{
		{"mmdebstrap", "--variant=minbase", "--mode=root", "--include=" + strings.Join(referencePackages, ","), referenceSuite, tar, "deb " + mirror + " " + referenceSuite + " main"},
		{"tar", "-C", filepath.Join(dir, "root"), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", tar},
		{"cp", "-aT", filepath.Join(dir, "root"), filepath.Join(dir, "split/@")},
		{"sync", "-f", tar},
	}
	for _, s := range steps {
		cmd := exec.CommandContext(ctx, s[0], s[1:]...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", s[0], err)
		}
	}
	return split(filepath.Join(dir, "split"))
}

// split moves home, nix and var out of @, leaving empty directories.
func split(dir string) error {
	for _, name := range []string{"home", "nix", "var"} {
		old := filepath.Join(dir, "@", name)
		if err := os.Rename(old, filepath.Join(dir, "@"+name)); errors.Is(err, os.ErrNotExist) {
			err = os.Mkdir(filepath.Join(dir, "@"+name), 0o755)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if err := os.Mkdir(old, 0o755); err != nil {
			return err
		}
	}
	return nil
}
