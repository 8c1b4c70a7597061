package qemutests

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// firmwarePlaces are where distributions put EDK II for x86-64, without Secure
// Boot. The pairs with 4 MiB of flash come first: newer packages of Debian
// have no others.
var firmwarePlaces = []Firmware{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},                   // Debian, Ubuntu: ovmf
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},                         // the same, older
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},               // Fedora: edk2-ovmf
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},           // Arch: edk2-ovmf
	{"/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"},         // openSUSE: qemu-ovmf-x86_64
	{"/run/libvirt/nix-ovmf/edk2-x86_64-code.fd", "/run/libvirt/nix-ovmf/edk2-i386-vars.fd"}, // NixOS with libvirtd
	{"/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"},             // QEMU's own build
}

// FindFirmware returns the first pair of flash images that is complete among
// the known places, each below root ("/" but in tests).
func FindFirmware(root string) (Firmware, error) {
	for _, f := range firmwarePlaces {
		code, vars := filepath.Join(root, f.Code), filepath.Join(root, f.Vars)
		if isFile(code) && isFile(vars) {
			return Firmware{code, vars}, nil
		}
	}
	return Firmware{}, fault.New(fault.Input,
		"install the package ovmf (Debian, Ubuntu), edk2-ovmf (Fedora, Arch) or qemu-ovmf-x86_64 (openSUSE), or name the files with --firmware CODE:VARS",
		"UEFI firmware for QEMU: not found at %s nor at %d other known places", firmwarePlaces[0].Code, len(firmwarePlaces)-1)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// copyVars puts the machine's own copy of the variable store into dir, unless
// it is there: then the machine was here before, and its boot entries survive
// as they do on hardware.
func copyVars(template, dir string) (string, error) {
	own := filepath.Join(dir, "vars.fd")
	if isFile(own) {
		return own, nil
	}
	b, err := os.ReadFile(template)
	if err != nil {
		return "", fault.New(fault.Input, "", "firmware variables: %w", err)
	}
	if err := os.WriteFile(own, b, 0o600); err != nil {
		return "", fmt.Errorf("firmware variables: %w", err)
	}
	return own, nil
}
