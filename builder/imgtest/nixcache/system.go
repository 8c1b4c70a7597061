package nixcache

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// hostBoot is the boot loader of this host's own package, which takes the place of that
// of the system, and of its kernel: both are EFI programs.
const hostBoot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"

// release is that of the kernel of a made system.
const release = "6.12.1"

// builtin are modules that the kernel has, so that none is needed.
const builtin = "btrfs overlay nvme ahci sd_mod usb_storage uas xhci_pci ehci_pci virtio_pci virtio_blk virtio_scsi i8042 atkbd usbhid hid_generic vfat"

// Toplevel is the name of a system's toplevel.
func Toplevel(label string) string { return "nixos-system-fox-" + label }

// Fstab is what a made system mounts: the disk of the built-in layout btrfs-laptop, by
// its labels.
const Fstab = `# This is a generated file.  Do not edit!
/dev/disk/by-label/nixos / btrfs x-initrd.mount,compress=zstd:3,noatime,subvol=@ 0 0
/dev/disk/by-label/ESP /boot vfat umask=0077 0 2
/dev/disk/by-label/nixos /home btrfs compress=zstd:3,noatime,subvol=@home 0 0
/dev/disk/by-label/nixos /nix btrfs x-initrd.mount,compress=zstd:3,noatime,subvol=@nix 0 0
/dev/disk/by-label/nixos /swap btrfs noatime,subvol=@swap 0 0
/dev/disk/by-label/nixos /var btrfs x-initrd.mount,compress=zstd:3,noatime,subvol=@var 0 0
/swap/swapfile none swap defaults 0 0
`

// SetEtc gives the systems among some objects a file of a name below /etc; that of
// "fstab" takes the place of Fstab.
func SetEtc(objects []Object, name, text string) {
	for _, o := range objects {
		if _, ok := o.Files[fstabName]; ok {
			o.Files["etc/"+name] = File{Content: []byte(text)}
		}
	}
}

// fstabName is where a system has its table of mounts, in the object of its /etc.
const fstabName = "etc/fstab"

// System returns the objects of a system that has all that an image is made of. It does
// not boot: its kernel is another program. Label is a part of its version; systems of
// different labels share what they have in common.
func System(label string) ([]Object, error) {
	program, err := os.ReadFile(hostBoot)
	if err != nil {
		return nil, err
	}
	var modules strings.Builder
	for name := range strings.FieldsSeq(builtin) {
		fmt.Fprintf(&modules, "kernel/x/%s.ko\n", name)
	}
	dir := "lib/modules/" + release + "/"
	kernel, systemd, etc, top := "linux-"+release, "systemd-257", "etc-"+label, Toplevel(label)
	at := func(name, file string) string { return Path(name).String() + "/" + file }
	spec := map[string]any{
		"org.nixos.bootspec.v1": map[string]any{
			"system": "x86_64-linux", "init": at(top, "init"), "kernel": at(kernel, "bzImage"), "kernelParams": []string{"loglevel=4", "quiet"},
			"initrd": at("initrd-"+release, "initrd"), "label": "NixOS Fox " + label + " (Linux " + release + ")", "toplevel": Path(top).String(),
		},
		"org.nixos.specialisation.v1": map[string]any{},
		"org.nixos.systemd-boot":      map[string]any{"sortKey": "nixos"},
	}
	text, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return nil, err
	}
	return []Object{
		{Name: kernel, Files: map[string]File{
			"bzImage": {Content: program}, dir + "modules.dep": {}, dir + "modules.softdep": {}, dir + "modules.alias": {}, dir + "modules.builtin": {Content: []byte(modules.String())},
		}},
		{Name: "initrd-" + release, Files: map[string]File{"initrd": {Content: []byte("an initrd")}}},
		{Name: systemd, Files: map[string]File{
			"lib/systemd/boot/efi/systemd-bootx64.efi": {Content: program}, "lib/systemd/systemd": {Content: []byte("a program"), Executable: true},
		}},
		{Name: etc, Files: map[string]File{"etc/os-release": {Content: []byte("ID=nixos\nNAME=NixOS\nPRETTY_NAME=\"NixOS " + label + "\"\n")}, fstabName: {Content: []byte(Fstab)}}},
		{Name: top, References: []string{kernel, systemd, etc, "initrd-" + release, top}, Files: map[string]File{
			"init": {Content: []byte("#!/bin/sh\n"), Executable: true}, "prepare-root": {Content: []byte("#!/bin/sh\n"), Executable: true}, "activate": {Content: []byte("#!/bin/sh\n"), Executable: true},
			"kernel": {Link: at(kernel, "bzImage")}, "initrd": {Link: at("initrd-"+release, "initrd")}, "kernel-modules": {Link: Path(kernel).String()},
			"systemd": {Link: Path(systemd).String()}, "etc": {Link: at(etc, "etc")}, "boot.json": {Content: append(text, '\n')},
			"kernel-params": {Content: []byte("loglevel=4 quiet")}, "nixos-version": {Content: []byte(label)}, "system": {Content: []byte("x86_64-linux")},
		}},
	}, nil
}
