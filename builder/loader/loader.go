// Package loader makes the content of the EFI system partition: what the
// firmware starts, and what that needs to start Linux.
//
// With "systemd-boot" that is the boot loader of the installed system's own
// package, a menu entry (type #1 of the Boot Loader Specification) for each
// entry of the plan and each kernel, and the kernels. With "grub" it is GRUB of the
// installed system or of the host, with the same menu in its own configuration. With
// "uki" it is one unified kernel image, started by the firmware itself, without a menu.
//
// Kernels and initramfs are named by their content, below
// /mkimage/VERSION-DIGEST, so that a later one is never written over one that
// an entry still points at. No random seed is put there: images are copied,
// and a copied seed is worth nothing.
//
// A NixOS owns a part of the menu: the entries of its generations, and all that is
// below /EFI/nixos, are named as its own builder does it, which replaces and removes
// them later; with GRUB these are its configuration, and all that is below /kernels.
// What must outlive that is below /mkimage. Such an entry has our initramfs,
// or, where the profile says so, the system's own initrd and behind it our prelude to
// that, an archive with which it has nothing in common.
package loader

import (
	"fmt"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Paths on the ESP, from its root.
const (
	// SystemdBootPath is where systemd-boot looks for itself to be updated.
	SystemdBootPath = "EFI/systemd/systemd-bootx64.efi"
	// Dir holds all that is ours.
	Dir = "mkimage"
	// InstallerPath is what the kernel of an installer medium gets besides its
	// initramfs, which is the payload's own: a second archive.
	InstallerPath = Dir + "/installer.cpio"
	// RescuePath is what it gets instead for the rescue environment.
	RescuePath = Dir + "/rescue.cpio"
)

// The values of profiles.Boot.Loader.
const (
	SystemdBoot = "systemd-boot"
	GRUB        = "grub"
	UKI         = "uki"
)

// Kernel is a kernel of the source with the initramfs that was made for it.
type Kernel struct {
	Version   string        // as "uname -r" prints it
	Image     *fstree.Entry // a regular file of the source
	Initramfs []byte        // with the microcode in front, where there is one
	Prelude   []byte        // what comes before the initrd of a system itself, nil where none starts by that
	Words     []string      // of the command line, behind those of the plan: what this system needs
}

// System is what of a source is booted.
type System struct {
	Kernels []Kernel // the default first; the newest, of a system that is no NixOS
	// Generations are the entries that a NixOS names itself, the default first. They
	// take the place of the plan's first entry.
	Generations []manifest.Generation
	// Initrds are regular files of the source, by where the generations have them on the
	// ESP: those that start by their own initrd.
	Initrds map[string]*fstree.Entry
	// GRUB is the EFI program that the profile names; nil takes that of the source.
	GRUB []byte
	// Rebuilt says that the generations start as after a nixos-rebuild: those with an
	// initrd of their own by nothing else, with their own parameters. Without an initramfs
	// of ours for the first kernel, the menu has no other entries.
	Rebuilt bool
}

// Tree returns the content of the ESP for a plan: source is the system that is
// installed. That of a medium lacks the archives at InstallerPath and RescuePath, which
// its entries name, for the caller to Put there. Errors have class fault.Input, or
// fault.Config where the plan asks for what there is not.
func Tree(p *plan.Plan, source *fstree.Tree, s System) (*fstree.Tree, error) {
	if len(s.Kernels) == 0 || len(p.Entries) == 0 {
		return nil, fault.New(fault.Input, "", "boot loader: %d kernels and %d entries, expected at least one of both", len(s.Kernels), len(p.Entries))
	}
	b := &builder{plan: p, source: source, tree: fstree.New(), rebuilt: s.Rebuilt}
	b.tree.Root().SetMTime(p.Epoch)
	var err error
	switch p.Profile.Boot.Loader {
	case SystemdBoot:
		err = b.systemdBoot(s)
	case GRUB:
		err = b.startGRUB(s)
	case UKI:
		err = b.uki(s.Kernels[0])
	default:
		err = fault.New(fault.Config, "", "boot.loader %q: expected %q, %q or %q", p.Profile.Boot.Loader, SystemdBoot, GRUB, UKI)
	}
	if err != nil {
		return nil, err
	}
	b.tree.Freeze()
	return b.tree, nil
}

// Put adds a file to the tree of an ESP, with the directories that lead there.
func Put(t *fstree.Tree, path string, data []byte, mtime time.Time) error {
	dir, name := split(path)
	like := &fstree.Inode{}
	like.SetMTime(mtime)
	parent, err := t.MkdirAll(dir, like)
	if err != nil {
		return fmt.Errorf("ESP: %s: %w", path, err)
	}
	file := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(data)), Content: fstree.Bytes(data)}
	file.SetMTime(mtime)
	if _, err := parent.Add(name, file); err != nil {
		return fmt.Errorf("ESP: %w", err)
	}
	return nil
}

// builder is a tree that is being filled.
type builder struct {
	plan    *plan.Plan
	source  *fstree.Tree
	tree    *fstree.Tree
	initrds map[string][]byte // of generations, by their paths on the ESP
	grub    *grubMenu         // nil where the menu is one of systemd-boot
	rebuilt bool              // see System
}

func (b *builder) put(path string, data []byte) error {
	return Put(b.tree, path, data, b.plan.Epoch)
}
