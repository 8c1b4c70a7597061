package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// dracut is what is lent to the system, which has no dracut of its own.
var dracut = []string{"/usr/lib/dracut", "/usr/bin/dracut"}

// dracutAnywhere is the run of dracut for an image that boots anywhere.
const dracutAnywhere = "dracut, no hostonly"

// newer is what a dracut of before systemd 255 and 257 leaves out, since no
// program is linked to it: without the first systemd ends, without the second
// neither it nor udev loads a module. Added so that its initramfs boots.
const newer = "/usr/lib/systemd/systemd-executor /usr/lib/x86_64-linux-gnu/libkmod.so.2"

// system is the reference userland with a layer over it that takes what the
// programs write.
type system struct {
	root   string
	mounts []string
}

// openSystem mounts the system below scratch. What it returns is to be closed,
// also with an error.
func openSystem(reference, scratch string) (*system, error) {
	s := &system{root: filepath.Join(scratch, "root")}
	// An overlay cannot have its upper directory on an overlay.
	layer := filepath.Join(scratch, "layer")
	for _, dir := range []string{s.root, layer} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return s, err
		}
	}
	if err := s.mount("tmpfs", layer, "tmpfs", 0, ""); err != nil {
		return s, err
	}
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	for _, dir := range []string{upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return s, err
		}
	}
	if err := s.mount("overlay", s.root, "overlay", 0, "lowerdir="+reference+",upperdir="+upper+",workdir="+work); err != nil {
		return s, err
	}
	if err := s.mount("proc", filepath.Join(s.root, "proc"), "proc", 0, ""); err != nil {
		return s, err
	}
	if err := s.mount("/dev", filepath.Join(s.root, "dev"), "", unix.MS_BIND, ""); err != nil {
		return s, err
	}
	return s, s.lend()
}

// lend makes this machine's dracut part of the system.
func (s *system) lend() error {
	for _, from := range dracut {
		to := filepath.Join(s.root, from)
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = os.MkdirAll(to, 0o755)
		} else {
			err = os.WriteFile(to, nil, 0o755)
		}
		if err != nil {
			return err
		}
		if err := s.mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) mount(what, at, fstype string, flags uintptr, options string) error {
	if err := unix.Mount(what, at, fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s at %s: %w", what, at, err)
	}
	s.mounts = append(s.mounts, at)
	return nil
}

// close takes away what openSystem mounted.
func (s *system) close() error {
	var errs []error
	for i := len(s.mounts) - 1; i >= 0; i-- {
		errs = append(errs, unix.Unmount(s.mounts[i], unix.MNT_DETACH))
	}
	s.mounts = nil
	return errors.Join(errs...)
}

// contenders are the programs to be measured. Ours reads the reference itself:
// an overlay would only cost it time.
func (s *system) contenders(reference, scratch, profile string, modules []string) ([]*contender, error) {
	kernel, err := kernelOf(reference)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// A copy of the configuration, with MODULES=list and our list.
	conf := filepath.Join(s.root, "tmp/few")
	if err := os.MkdirAll(filepath.Join(conf, "conf.d"), 0o755); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"initramfs.conf": "MODULES=list\nBUSYBOX=auto\nCOMPRESS=zstd\nRUNSIZE=10%\nFSTYPE=auto\n",
		"modules":        strings.Join(modules, "\n") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	chroot := func(name, output string, argv ...string) *contender {
		return &contender{name: name, argv: append([]string{"chroot", s.root}, argv...), output: filepath.Join(s.root, output)}
	}
	own := filepath.Join(scratch, "ours.img")
	cases := []*contender{
		{name: "mkimage", argv: []string{self, "-ours", reference, "-profile", profile, "-o", own}, output: own},
		chroot("initramfs-tools, MODULES=most", "tmp/most.img", "mkinitramfs", "-o", "/tmp/most.img", kernel),
		chroot("initramfs-tools, our modules", "tmp/few.img", "mkinitramfs", "-d", "/tmp/few", "-o", "/tmp/few.img", kernel),
		chroot(dracutAnywhere, "tmp/any.img", "dracut", "--kver", kernel, "--no-hostonly", "--zstd", "--force", "--tmpdir", "/tmp",
			"--install", newer, "/tmp/any.img"),
		chroot("dracut, our modules", "tmp/own.img", "dracut", "--kver", kernel, "--no-hostonly", "--zstd", "--force", "--tmpdir", "/tmp",
			"--install", newer, "--drivers", strings.Join(modules, " "), "/tmp/own.img"),
	}
	cases[1].anywhere, cases[3].anywhere = true, true
	return cases, nil
}
