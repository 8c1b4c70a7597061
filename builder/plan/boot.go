package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// Words of the kernel command line that mkimage-init understands.
const (
	FactoryWord = "mkimage.factory" // boot the factory snapshots, below memory
	ShellWord   = "mkimage.shell"   // end in a shell of the initramfs
	// RootKey is where the root is, beside a root= that is for the initrd of the
	// source's system.
	RootKey = "mkimage.root"
)

// The values of profiles.Boot.Loader that differ from "systemd-boot" in what goes with
// them. The last is a boot loader that is none: a unified kernel image.
const (
	loaderGRUB = "grub"
	loaderUKI  = "uki"
)

// MaxCmdline is the number of bytes of a kernel command line on x86 without the
// NUL: COMMAND_LINE_SIZE of arch/x86/include/asm/setup.h is 2048, and the
// kernel cuts the rest off without a word. Of that systemd-boot takes some for
// an initrd= with the path of the initramfs, which it puts in front, and GRUB for a
// BOOT_IMAGE= with that of the kernel, which is shorter.
const MaxCmdline = 2047 - initrdWord

// initrdWord is more than `initrd=\mkimage\VERSION-DIGEST\initramfs ` takes:
// 7 + 9 + 64 for a kernel's version (the limit of uname) + 13 + 11.
const initrdWord = 128

// installerWord is more than the path of a medium's second archive takes.
const installerWord = 64

// makeCmdline returns the command line of the normal entry.
func makeCmdline(p *Plan) []string {
	if !p.Profile.Initramfs.OfSource() {
		return ownCmdline(p)
	}
	// Of rdinit= the kernel makes a beginning: words for init before it are lost.
	return slices.Concat([]string{"rdinit=" + config.PreludeInit, RootKey + "=" + partuuid(p, RoleRoot)}, p.Profile.Kernel.Parameters)
}

// ownCmdline returns the command line of entries with our initramfs alone.
func ownCmdline(p *Plan) []string {
	root := rootOf(&p.Layout)
	flags := slices.Concat([]string{"subvol=" + root.Name}, subvolumeOptions(&p.Layout, root))
	return slices.Concat([]string{
		"root=" + partuuid(p, RoleRoot), "rootfstype=btrfs", "rootflags=" + strings.Join(flags, ","), "rw",
	}, p.Profile.Kernel.Parameters)
}

// makeEntries returns the entries of the boot menu. systemd-boot sorts them by
// their sort keys, ascending, so these are numbered.
func makeEntries(p *Plan) []Entry {
	name := p.Profile.Name
	entry := func(suffix, title, key string, words ...string) Entry {
		return Entry{
			ID: "mkimage-" + name + suffix, Title: title, SortKey: "mkimage-" + key,
			Cmdline: slices.Concat(ownCmdline(p), words),
		}
	}
	entries := []Entry{entry("", name, "1")}
	entries[0].Cmdline = slices.Clone(p.Cmdline)
	if !p.HasMenu() {
		return entries
	}
	if len(p.Layout.Factory.Subvolumes) > 0 {
		entries = append(entries, entry("-factory", name+" (as built, changes are not kept)", "2-factory", FactoryWord))
	}
	if p.Profile.Boot.Rescue {
		entries = append(entries, entry("-rescue", name+" (rescue shell)", "3-rescue", ShellWord))
	}
	return entries
}

// HasMenu reports whether a boot loader lets one choose between entries. The
// firmware starts a unified kernel image without one.
func (p *Plan) HasMenu() bool { return p.Profile.Boot.Loader != loaderUKI }

// checkCmdlines refuses command lines that the kernel would cut off.
func checkCmdlines(p *Plan) error {
	most := MaxCmdline
	if p.Medium != nil {
		most -= installerWord
	}
	for _, e := range p.Entries {
		if n := len(strings.Join(e.Cmdline, " ")); n > most {
			return fault.New(fault.Config, fmt.Sprintf("leave out %d bytes of kernel.parameters", n-most),
				"entry %s: command line of %d bytes, expected at most %d", e.ID, n, most)
		}
	}
	return nil
}
