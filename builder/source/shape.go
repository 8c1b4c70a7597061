package source

import (
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// elfMagic is what a program begins with that is no script.
const elfMagic = "\x7fELF"

// maxInit bounds the init of a system, in bytes: systemd's program has 100 kB.
const maxInit = 64 << 20

// hintClosure is what to do about a path that is not there.
const hintClosure = "take the whole closure of the system"

// checkShape refuses a system that would not be ready for its init, and reports whether
// its /etc is an image. There are three shapes: the init is a script; a program, beside
// which is another one, prepare-root; a program that the program nixos-init makes ready,
// which wants an /etc that is an image.
func checkShape(t *fstree.Tree, spec *bootspec.Spec) (etcImage bool, err error) {
	said, err := activationOf(t, spec)
	if err != nil {
		return false, err
	}
	if said != nil && said.Confext || t.Lookup(spec.Toplevel.String()+"/etc-confext") != nil {
		return false, fault.New(fault.Input, "set system.etc.confext.enable = false",
			"%s: its /etc is a configuration extension, which only its own initrd merges; expected one that is activated, or an image by system.etc.overlay", spec.Toplevel)
	}
	image, base := etcPaths(t, spec, said)
	if image != "" {
		if err := checkEtc(t, spec, image, base); err != nil {
			return false, err
		}
	}
	bare, err := isBareProgram(t, spec)
	switch {
	case err != nil || !bare:
		return image != "", err
	case image == "":
		return false, fault.New(fault.Input, "set system.nixos-init.enable = false",
			"%s: is made ready by nixos-init, and has no etc-metadata-image; expected an /etc by system.etc.overlay, a script as init, or prepare-root beside it", spec.Toplevel)
	case said != nil:
		return true, checkPrograms(t, spec, said)
	}
	return true, nil
}

// activationOf returns what a system says to nixos-init, nil before NixOS 26.05.
func activationOf(t *fstree.Tree, spec *bootspec.Spec) (*bootspec.Activation, error) {
	name := spec.Toplevel.String() + "/" + bootspec.FileName
	e, err := t.Follow(name)
	if err != nil || e == nil {
		return nil, err
	}
	text, err := e.Read(bootspec.MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return bootspec.DecodeActivation(name, text)
}

// etcPaths returns where a system has the metadata and the files of an /etc that is an
// image, "" where it is none. Before NixOS 26.05 there are links to them.
func etcPaths(t *fstree.Tree, spec *bootspec.Spec, said *bootspec.Activation) (image, base string) {
	top := spec.Toplevel.String()
	switch {
	case said != nil:
		return said.EtcImage.String(), said.EtcBase.String()
	case t.Lookup(top+"/etc-metadata-image") == nil:
		return "", ""
	}
	return top + "/etc-metadata-image", top + "/etc-basedir"
}

// checkPrograms refuses a system for nixos-init by programs of the store that are not there.
// Firmware need not be, and what is elsewhere the system may make when it runs.
func checkPrograms(t *fstree.Tree, spec *bootspec.Spec, a *bootspec.Activation) error {
	names := []string{a.Modprobe.String()}
	for _, p := range []*string{a.Sh, a.Env} {
		if p != nil {
			names = append(names, *p)
		}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, nix.StoreDir+"/") {
			continue
		}
		if e, err := t.Follow(name); err != nil || e == nil {
			return fault.New(fault.Input, hintClosure, "%s: names %s, which is not there", spec.Toplevel, name)
		}
	}
	return nil
}

// checkEtc refuses an image of /etc that cannot be mounted.
func checkEtc(t *fstree.Tree, spec *bootspec.Spec, image, base string) error {
	file, err := t.Follow(image)
	if err != nil {
		return err
	}
	if file == nil || !file.IsRegular() {
		return fault.New(fault.Input, hintClosure, "%s: the metadata of its /etc, %s, is no regular file", spec.Toplevel, image)
	}
	dir, err := t.Follow(base)
	if err != nil {
		return err
	}
	if dir == nil || !dir.IsDir() {
		return fault.New(fault.Input, hintClosure, "%s: the files of its /etc, %s, are in no directory", spec.Toplevel, base)
	}
	return nil
}

// isBareProgram reports whether the init is a program without prepare-root.
func isBareProgram(t *fstree.Tree, spec *bootspec.Spec) (bool, error) {
	init, err := t.Follow(spec.Init.String())
	if err != nil || init == nil || !init.IsRegular() || init.Size < int64(len(elfMagic)) {
		return false, err
	}
	prepare, err := t.Follow(spec.Toplevel.String() + "/prepare-root")
	if err != nil || prepare != nil {
		return false, err
	}
	program, err := init.Read(maxInit)
	if err != nil {
		return false, fmt.Errorf("%s: %w", spec.Init, err)
	}
	return strings.HasPrefix(string(program), elfMagic), nil
}

// isScripted reports whether the stage 1 of a system is a script: then its init is one too,
// and no other program is run before that.
func isScripted(t *fstree.Tree, spec *bootspec.Spec) (bool, error) {
	prepare, err := t.Follow(spec.Toplevel.String() + "/prepare-root")
	if err != nil || prepare != nil {
		return false, err
	}
	bare, err := isBareProgram(t, spec)
	return !bare, err
}
