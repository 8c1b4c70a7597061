package source

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nixos"
)

// nixosKernels returns the kernel of the current generation.
func nixosKernels(t *fstree.Tree) ([]Kernel, error) {
	generations, err := nixos.Generations(t)
	if err != nil {
		return nil, fault.New(fault.Input, fault.HintOf(err), "source: %w", err)
	}
	g := generations[0]
	spec := g.Spec
	if err := spec.CheckSystem("x86_64-linux"); err != nil {
		return nil, fault.New(fault.Input, fault.HintOf(err), "source: %w", err)
	}
	image, err := t.Follow(spec.Kernel.String())
	if err != nil {
		return nil, fault.New(fault.Input, "", "source: %w", err)
	}
	var modules *fstree.Entry
	if g.Release != "" {
		if modules, err = t.Follow(spec.Toplevel.String() + "/kernel-modules/lib/modules/" + g.Release); err != nil {
			return nil, fault.New(fault.Input, "", "source: %w", err)
		}
	}
	if modules == nil || !image.IsRegular() {
		return nil, fault.New(fault.Input, "", "source: %s: has no kernel with modules, so it is no system for a machine", spec.Toplevel)
	}
	if !spec.InitrdSecrets.IsZero() {
		return nil, fault.New(fault.Input, "take secrets out of boot.initrd.secrets: what is needed before the root is mounted would lie in the clear on the ESP",
			"source: %s: has secrets for its initrd, by %s, which is run on the machine only", spec.Toplevel, spec.InitrdSecrets)
	}
	return []Kernel{{Version: g.Release, Modules: modules, Image: image, Words: words(spec.Init.String(), spec.KernelParams)}}, nil
}

// words are what a boot loader of NixOS adds to the command line. A parameter may be
// several words, unless it has quotes.
func words(init string, params []string) []string {
	all := []string{"init=" + init}
	for _, p := range params {
		if strings.Contains(p, `"`) {
			all = append(all, p)
			continue
		}
		all = append(all, strings.Fields(p)...)
	}
	return all
}
