package loader

import (
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/uki"
)

// uki fills the tree with one unified kernel image: the newest kernel and the
// first entry of the plan. The other entries would each be a copy of kernel
// and initramfs, and the firmware has no menu for them.
func (b *builder) uki(k Kernel) error {
	stub, err := b.efiProgram("linuxx64.efi.stub")
	if err != nil {
		return err
	}
	release, err := b.osRelease()
	if err != nil {
		return err
	}
	linux, err := read("kernel "+k.Version, k.Image)
	if err != nil {
		return err
	}
	entry := b.plan.Entries[0]
	options, err := cmdline(entry.Cmdline, k.Words, plan.MaxCmdline)
	if err != nil {
		return fault.New(fault.Config, "", "entry %s: %w", entry.ID, err)
	}
	image, err := uki.Build(uki.Parts{
		Stub: stub, OSRelease: release, Uname: k.Version, Cmdline: options, Linux: linux, Initrd: k.Initramfs,
	})
	if err != nil {
		return err
	}
	return b.put(bls.FallbackPath, image)
}
