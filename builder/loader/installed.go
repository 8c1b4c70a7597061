package loader

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// damagedHint is what to do about a medium that lacks something.
const damagedHint = "make the medium anew"

// Installed returns the content of the ESP of a system that a medium installs: p
// is the plan of that system, m the manifest of the medium, and file reads a file
// of the medium's ESP, compared with m, by its path. Boot loader, kernels and
// initramfs are the medium's to the byte; the menu is that of p. Errors have
// class fault.Input, or fault.Config where the plan asks for what there is not.
func Installed(p *plan.Plan, m *manifest.Manifest, file func(path string) ([]byte, error)) (*fstree.Tree, error) {
	if kind := p.Profile.Boot.Loader; kind != SystemdBoot && kind != GRUB {
		return nil, fault.New(fault.Config, "", "boot.loader %q: expected %q or %q, which the medium has", kind, SystemdBoot, GRUB)
	}
	if len(m.Inputs.Kernels) == 0 || len(p.Entries) == 0 {
		return nil, fault.New(fault.Input, damagedHint, "boot loader: %d kernels and %d entries, expected at least one of both", len(m.Inputs.Kernels), len(p.Entries))
	}
	b := &builder{plan: p, tree: fstree.New()}
	b.tree.Root().SetMTime(p.Epoch)
	program, err := file(bls.FallbackPath)
	if err != nil {
		return nil, err
	}
	if err := b.installedPrograms(program); err != nil {
		return nil, err
	}
	var kernels []kernel
	for _, k := range m.Inputs.Kernels {
		made, err := installedKernel(m, k, file)
		if err != nil {
			return nil, err
		}
		kernels = append(kernels, made)
	}
	if err := b.readInitrds(m.Inputs.Generations, func(path string) ([]byte, error) { return file(laterPath(path)) }); err != nil {
		return nil, err
	}
	if err := b.menu(kernels, m.Inputs.Generations); err != nil {
		return nil, err
	}
	b.tree.Freeze()
	return b.tree, nil
}

// installedPrograms puts the boot loader of a medium where that of the system goes.
func (b *builder) installedPrograms(program []byte) error {
	if b.plan.Profile.Boot.Loader == GRUB {
		return b.grubProgram(bls.FallbackPath, program)
	}
	return b.programs(program)
}

// installedKernel takes a kernel and its initramfs from a medium.
func installedKernel(m *manifest.Manifest, k manifest.Kernel, file func(path string) ([]byte, error)) (kernel, error) {
	dir, ok := dirOnMedium(m, k)
	if !ok {
		return kernel{}, fault.New(fault.Input, damagedHint, "medium: its manifest has no files of kernel %s", k.Version)
	}
	linux, err := file(dir + LinuxName)
	if err != nil {
		return kernel{}, err
	}
	initramfs, err := file(dir + InitramfsName)
	if err != nil {
		return kernel{}, err
	}
	made, err := newKernel(k.Version, linux, initramfs, k.Words)
	if err == nil && k.Prelude != nil {
		made.prelude, err = file(dir + preludeName)
	}
	return made, err
}

// dirOnMedium returns the directory of a kernel, with a slash at its end. It is
// found by digests: of one version there may be two.
func dirOnMedium(m *manifest.Manifest, k manifest.Kernel) (dir string, ok bool) {
	sums := map[string]manifest.SHA256{}
	for _, f := range m.Files {
		sums[f.Path] = f.SHA256
	}
	for _, f := range m.Files {
		dir, ok := strings.CutSuffix(f.Path, LinuxName)
		if ok && strings.HasPrefix(dir, kernelDir(k.Version)) && strings.HasSuffix(dir, "/") && f.SHA256 == k.Linux && sums[dir+InitramfsName] == k.Initramfs {
			return dir, true
		}
	}
	return "", false
}
