package imgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// systemdBoot is the boot loader of this host's own package, which takes the
// place of that of the made system, and of its kernel: both are EFI programs.
// systemdStub, of the same package, is what a unified kernel image begins with.
const (
	systemdBoot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
	systemdStub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
)

// systemKernel is the version of the kernel of a made system.
const systemKernel = "6.1.0"

// systemFiles are the small files of a made system, by name.
var systemFiles = map[string]string{
	"etc/os-release": "ID=small\nNAME=Small\nPRETTY_NAME=\"Small system\"\nVERSION_ID=1\n",
	"etc/passwd":     "root:x:0:0:root:/root:/bin/bash\n",
	"etc/shadow":     "root:*:19000:0:99999:7:::\n",
	"etc/group":      "root:x:0:\nsudo:x:27:\naudio:x:29:\nvideo:x:44:\nplugdev:x:46:\n",
	"etc/gshadow":    "root:*::\nsudo:*::\naudio:*::\nvideo:*::\nplugdev:*::\n",

	"usr/lib/systemd/system/multi-user.target":     "[Unit]\n",
	"usr/lib/systemd/system/graphical.target":      "[Unit]\n",
	"usr/lib/systemd/system/getty.target":          "[Unit]\n",
	"usr/lib/systemd/system/getty@.service":        "[Service]\nExecStart=-/sbin/agetty %I\n[Install]\nWantedBy=getty.target\n",
	"usr/lib/systemd/system/serial-getty@.service": "[Service]\nExecStart=-/sbin/agetty %I\n[Install]\nWantedBy=getty.target\n",

	"usr/lib/modules/" + systemKernel + "/modules.dep":     "",
	"usr/lib/modules/" + systemKernel + "/modules.softdep": "",
	"usr/lib/modules/" + systemKernel + "/modules.alias":   "",

	"home/bandit/letter": "dear reader\n",
	"var/lib/state":      strings.Repeat("state ", 1000),
}

// systemPrograms are files that are only looked for, by name.
var systemPrograms = []string{"usr/lib/systemd/systemd", "usr/lib/systemd/system-generators/zram-generator", "usr/bin/bash", "usr/sbin/agetty"}

// systemBuiltin are the modules that the built-in profiles ask for.
var systemBuiltin = []string{
	"nvme", "ahci", "sd_mod", "usb_storage", "uas", "xhci_pci", "ehci_pci", "virtio_pci", "virtio_blk", "virtio_scsi",
	"i8042", "atkbd", "usbhid", "hid_generic", "btrfs", "overlay",
}

// System makes the root file system of a system below dir, which must not
// exist: all that a build asks a source for, in a few small files. It does not
// boot. The owner is whoever runs the test.
func System(dir string) error {
	for name, text := range systemFiles {
		if err := writeFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, name := range systemPrograms {
		if err := writeFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			return err
		}
	}
	var builtin strings.Builder
	for _, m := range systemBuiltin {
		fmt.Fprintf(&builtin, "kernel/%s.ko\n", m)
	}
	if err := writeFile(filepath.Join(dir, "usr/lib/modules", systemKernel, "modules.builtin"), []byte(builtin.String()), 0o644); err != nil {
		return err
	}
	efi, err := os.ReadFile(systemdBoot)
	if err != nil {
		return err
	}
	stub, err := os.ReadFile(systemdStub)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{systemdBoot: efi, systemdStub: stub, "/boot/vmlinuz-" + systemKernel: efi} {
		if err := writeFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"lib": "usr/lib", "bin": "usr/bin", "sbin": "usr/sbin", "usr/sbin/init": "../lib/systemd/systemd",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, mode)
}

// NeedSystem ends a test where System cannot work.
func NeedSystem(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(systemdBoot); err != nil {
		skip(t, "needs "+systemdBoot+" of the package systemd-boot-efi")
	}
}

// GRUB is the image of GRUB of this host's own package.
const GRUB = "/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi"

// NeedGRUB ends a test where it is not there.
func NeedGRUB(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(GRUB); err != nil {
		skip(t, "needs "+GRUB+" of the package grub-efi-amd64-bin")
	}
}
