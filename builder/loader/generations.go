package loader

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// NixOSDir is where NixOS has its kernels and initrds. Its builder removes every file
// there that no entry of a generation names.
const NixOSDir = "EFI/nixos"

// initramfsPrefix is in the names of our archives there, so that none is taken for an
// initrd of the system's own.
const initramfsPrefix = NixOSDir + "/mkimage-"

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
	initramfs := initramfsPrefix + k.version + "-" + contentName(k.linux, k.initramfs) + "-" + initramfsName + ".efi"
	for _, f := range []struct {
		path string
		data []byte
	}{{g.Linux, k.linux}, {initramfs, k.initramfs}} {
		if there[f.path] {
			continue
		}
		there[f.path] = true
		if err := b.put(f.path, f.data); err != nil {
			return err
		}
	}
	return b.entry(entryID(g), bls.Entry{
		Title: g.Title, Version: g.Version, SortKey: g.SortKey, Linux: "/" + g.Linux, Initrd: []string{"/" + initramfs},
	}, b.plan.Entries[0].Cmdline, g.Words)
}

func entryID(g manifest.Generation) string { return strings.TrimSuffix(g.File, ".conf") }
