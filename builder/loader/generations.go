package loader

import (
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// NixOSDir is where NixOS has its kernels and initrds. Its builder removes every file
// there that no entry of a generation names.
const NixOSDir = "EFI/nixos"

// NixOSKernels is where a NixOS with GRUB has them, by the same rule.
const NixOSKernels = "kernels"

// initramfsPrefix begins the names of our archives there, so that none is taken for an
// initrd of the system's own.
const initramfsPrefix = "mkimage-"

// generationFiles returns where the kernel of a generation is and its initramfs, from
// the root of the ESP. For GRUB, NixOS gives the kernel the same name but for its end.
func (b *builder) generationFiles(g manifest.Generation, k kernel) (linux, initramfs string) {
	initramfs = initramfsPrefix + k.version + "-" + contentName(k.linux, k.initramfs) + "-" + initramfsName
	if b.grub != nil {
		return NixOSKernels + "/" + strings.TrimSuffix(path.Base(g.Linux), ".efi"), NixOSKernels + "/" + initramfs
	}
	return g.Linux, NixOSDir + "/" + initramfs + ".efi"
}

// generationMenu writes the entries of a NixOS. The first entry of the plan is that of
// each of them; the others, of which NixOS knows nothing, come behind, with files that
// it does not remove.
func (b *builder) generationMenu(kernels []kernel, generations []manifest.Generation) error {
	there := map[string]bool{}
	for _, g := range generations {
		if g.Kernel < 0 || g.Kernel >= len(kernels) {
			return fault.New(fault.Input, "", "boot menu: entry %s: kernel %d, expected one below %d", g.File, g.Kernel, len(kernels))
		}
		if err := b.generation(g, kernels[g.Kernel], there); err != nil {
			return err
		}
	}
	others := b.plan.Entries[1:]
	if len(others) > 0 {
		if err := b.putKernel(kernels[0]); err != nil {
			return err
		}
	}
	for _, e := range others {
		e.SortKey = generations[0].SortKey + "-" + e.SortKey
		if err := b.planned(e, kernels[0]); err != nil {
			return err
		}
	}
	return b.conf(entryID(generations[0]))
}

// generation writes one entry of a NixOS, and what it names of which it is not known to
// be there.
func (b *builder) generation(g manifest.Generation, k kernel, there map[string]bool) error {
	linux, initramfs := b.generationFiles(g, k)
	for _, f := range []struct {
		name string
		data []byte
	}{{linux, k.linux}, {initramfs, k.initramfs}} {
		if there[f.name] {
			continue
		}
		there[f.name] = true
		if err := b.put(f.name, f.data); err != nil {
			return err
		}
	}
	return b.entry(entryID(g), bls.Entry{
		Title: g.Title, Version: g.Version, SortKey: g.SortKey, Linux: "/" + linux, Initrd: []string{"/" + initramfs},
	}, b.plan.Entries[0].Cmdline, g.Words)
}

func entryID(g manifest.Generation) string { return strings.TrimSuffix(g.File, ".conf") }
