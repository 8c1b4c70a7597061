package loader

import (
	"maps"
	"path"
	"slices"
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

// ownPrefix begins the names of our archives there, so that none is taken for an initrd
// of the system's own.
const ownPrefix = "mkimage-"

// place returns where a file of a NixOS is, from the root of the ESP: name is its path
// with systemd-boot. For GRUB, NixOS gives it the same name but for its end.
func (b *builder) place(name string) string {
	if b.grub == nil {
		return name
	}
	return NixOSKernels + "/" + strings.TrimSuffix(path.Base(name), ".efi")
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
	if b.rebuilt && kernels[0].initramfs == nil {
		return b.conf(entryID(generations[0]))
	}
	if len(others) > 0 || generations[0].Initrd != "" { // what is not the system's is kept in any case
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
	files, planned := []espFile{{b.place(g.Linux), k.linux}}, b.plan.Entries[0].Cmdline
	if g.Initrd != "" && k.prelude == nil && !b.rebuilt {
		return fault.New(fault.Input, "", "boot menu: entry %s: kernel %s has no prelude to %s", g.File, k.version, g.Initrd)
	}
	switch {
	case g.Initrd == "":
		files = append(files, espFile{b.archivePath(k, k.initramfs, InitramfsName), k.initramfs})
	case b.rebuilt:
		files, planned = append(files, espFile{b.place(g.Initrd), b.initrds[g.Initrd]}), nil
	default:
		files = append(files, espFile{b.place(g.Initrd), b.initrds[g.Initrd]}, espFile{b.archivePath(k, k.prelude, preludeName), k.prelude})
	}
	var archives []string
	for i, f := range files {
		if i > 0 {
			archives = append(archives, "/"+f.path)
		}
		if there[f.path] {
			continue
		}
		there[f.path] = true
		if err := b.put(f.path, f.data); err != nil {
			return err
		}
	}
	return b.entry(entryID(g), bls.Entry{
		Title: g.Title, Version: g.Version, SortKey: g.SortKey, Linux: "/" + files[0].path, Initrd: archives,
	}, planned, g.Words)
}

// espFile is a file on the ESP, by its path from the root.
type espFile struct {
	path string
	data []byte
}

// archivePath names an archive of ours among the files of a NixOS.
func (b *builder) archivePath(k kernel, archive []byte, name string) string {
	return b.place(NixOSDir + "/" + ownPrefix + k.version + "-" + contentName(k.linux, archive) + "-" + name + ".efi")
}

// readInitrds reads the initrds of generations that start by their own, each from where
// get has it.
func (b *builder) readInitrds(generations []manifest.Generation, get func(path string) ([]byte, error)) error {
	b.initrds = map[string][]byte{}
	for _, g := range generations {
		if _, done := b.initrds[g.Initrd]; done || g.Initrd == "" {
			continue
		}
		data, err := get(g.Initrd)
		if err != nil {
			return err
		}
		b.initrds[g.Initrd] = data
	}
	return nil
}

// laterDir is where a medium has the initrds of the systems that it installs: it starts
// none of them itself.
const laterDir = Dir + "/initrds"

// laterPath is where a medium has an initrd, by the path that the system will have.
func laterPath(initrd string) string { return laterDir + "/" + path.Base(initrd) }

// putForLater puts what only the systems start by that a medium installs.
func (b *builder) putForLater(kernels []kernel) error {
	for _, k := range kernels {
		if k.prelude == nil {
			continue
		}
		if err := b.put(k.dir+"/"+preludeName, k.prelude); err != nil {
			return err
		}
	}
	for _, initrd := range slices.Sorted(maps.Keys(b.initrds)) {
		if err := b.put(laterPath(initrd), b.initrds[initrd]); err != nil {
			return err
		}
	}
	return nil
}

func entryID(g manifest.Generation) string { return strings.TrimSuffix(g.File, ".conf") }
