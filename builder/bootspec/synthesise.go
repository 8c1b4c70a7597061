package bootspec

import (
	"maps"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Files is what a toplevel says without a boot.json: the texts of its files, to
// the byte, and the targets of its links. What init is, a file or a link, does
// not matter: it is always started as TOPLEVEL/init.
type Files struct {
	Toplevel      string // its own path in the store
	Kernel        string // target of kernel
	Initrd        string // target of initrd, "" where there is none
	InitrdSecrets string // target of append-initrd-secrets. NixOS makes that with each initrd; leave it "" where the script adds nothing
	KernelParams  string // text of kernel-params
	NixOSVersion  string // text of nixos-version
	System        string // text of system
	KernelVersion string // name of the directory in kernel-modules/lib/modules; "" takes it from the name of the kernel's store object

	Specialisations map[string]Files // what the links in specialisation lead to, by name
}

// Synthesise makes the bootspec of a toplevel that has none: one from before
// NixOS 23.05, or with boot.bootspec.enable = false.
//
// The label is that of NixOS's own tool for this, "NixOS VERSION (Linux
// KERNEL)"; the one of a boot.json has the name of the release too, which is in
// none of the files. Builders after NixOS 26.05 pass such systems over. Errors
// are of class fault.Input.
func Synthesise(f Files) (*Spec, error) {
	tree, err := f.document()
	if err != nil {
		return nil, err
	}
	d := &decoder{}
	spec := d.document(tree, "", false)
	if d.err != nil {
		return nil, fault.New(fault.Input, d.hint, "%.300q: %w", f.Toplevel, d.err)
	}
	return spec, nil
}

// document makes the tree that a boot.json would have.
func (f Files) document() (map[string]any, error) {
	if f.Kernel == "" {
		return nil, fault.New(fault.Input, "name the system of a machine", "%.300q: no kernel, as in the system of a container", f.Toplevel)
	}
	if f.NixOSVersion == "" {
		return nil, fault.New(fault.Input, "", "%.300q: nixos-version: found nothing, expected a version", f.Toplevel)
	}
	v1 := map[string]any{
		"toplevel": f.Toplevel, "init": f.Toplevel + "/init", "kernel": f.Kernel, "kernelParams": splitParams(f.KernelParams),
		"label": "NixOS " + f.NixOSVersion + " (Linux " + f.kernelVersion() + ")", "system": f.System,
	}
	for key, path := range map[string]string{"initrd": f.Initrd, "initrdSecrets": f.InitrdSecrets} {
		if path != "" {
			v1[key] = path
		}
	}
	inner := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(f.Specialisations)) {
		child, err := f.Specialisations[name].document()
		if err != nil {
			return nil, err
		}
		inner[name] = child
	}
	return map[string]any{keyV1: v1, keySpecialisations: inner}, nil
}

// kernelVersion is the kernel's version, or what there is instead of it.
func (f Files) kernelVersion() string {
	if f.KernelVersion != "" {
		return f.KernelVersion
	}
	p, err := ParsePath(f.Kernel)
	if err != nil {
		return "unknown" // the path is refused in its turn
	}
	return strings.TrimPrefix(p.Store.Name, "linux-")
}
