package source

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nixos"
)

// System is what of a source can be booted.
type System struct {
	Kernels []Kernel // the default first
	// Generations are entries of the boot menu that a NixOS names itself, the default
	// first; none of any other system.
	Generations []Generation
}

// Generation is a system of a NixOS, or a specialisation of one, with the entry that
// NixOS's own builder makes of it.
type Generation struct {
	bootspec.Entry
	Kernel int      // its kernel, of System.Kernels
	Words  []string // of the kernel command line that it needs: its init and its parameters
	// What it needs where it starts by its own initrd: that, and all words that NixOS gives
	// it, also of where the root is.
	Initrd   *fstree.Entry
	AllWords []string
	// Toplevel is its store object, and Scripted whether its stage 1 is a script: that
	// hides what another initramfs left in /run.
	Toplevel nix.StorePath
	Scripted bool
}

// SystemOf returns what of a tree can be booted. Epoch is when its files come to be. The
// error is of class fault.Input.
func SystemOf(t *fstree.Tree, epoch time.Time) (*System, error) {
	if nixos.IsSystem(t) {
		s, err := nixosSystem(t, epoch)
		if err != nil {
			return nil, fault.New(fault.Input, fault.HintOf(err), "source: %w", err)
		}
		return s, nil
	}
	kernels, err := Kernels(t)
	return &System{Kernels: kernels}, err
}

// nixosSystem returns the generations of a tree and their kernels.
func nixosSystem(t *fstree.Tree, epoch time.Time) (*System, error) {
	generations, err := nixos.Generations(t)
	if err != nil {
		return nil, err
	}
	entries, err := nixos.Menu(t, generations, epoch)
	if err != nil {
		return nil, err
	}
	s := &System{}
	for _, g := range generations {
		for _, spec := range g.Spec.All() {
			kernel, err := s.kernel(t, g, spec)
			if err != nil {
				return nil, err
			}
			made := Generation{
				Entry: entries[len(s.Generations)], Kernel: kernel, Toplevel: spec.Toplevel, // entries are in this very order
				Words: words(spec.Init.String(), spec.KernelParams), AllWords: allWords(spec.Init.String(), spec.KernelParams),
			}
			if made.Initrd, err = t.Follow(spec.Initrd.String()); err != nil {
				return nil, err
			}
			if made.Scripted, err = isScripted(t, spec); err != nil {
				return nil, err
			}
			s.Generations = append(s.Generations, made)
		}
	}
	s.Kernels[0].Words = s.Generations[0].Words
	return s, nil
}

// kernel returns the number of the kernel that a system has.
func (s *System) kernel(t *fstree.Tree, g nixos.Generation, spec *bootspec.Spec) (int, error) {
	if err := spec.CheckSystem("x86_64-linux"); err != nil {
		return 0, err
	}
	if !spec.InitrdSecrets.IsZero() {
		return 0, fault.New(fault.Input, "take secrets out of boot.initrd.secrets: what is needed before the root is mounted would lie in the clear on the ESP",
			"%s: has secrets for its initrd, by %s, which is run on the machine only", spec.Toplevel, spec.InitrdSecrets)
	}
	etcImage, err := checkShape(t, spec)
	if err != nil {
		return 0, err
	}
	image, err := t.Follow(spec.Kernel.String())
	if err != nil {
		return 0, err
	}
	k := Kernel{Image: image, EtcImage: etcImage, FirmwareDir: spec.Toplevel.String() + "/firmware"}
	if k.Version, k.Modules, err = modulesOf(t, spec.Toplevel); err != nil {
		return 0, err
	}
	if k.Modules == nil || !image.IsRegular() {
		return 0, fault.New(fault.Input, "", "%s: has no kernel with modules, so it is no system for a machine", spec.Toplevel)
	}
	if firmware, err := t.Follow(k.FirmwareDir); err != nil || firmware == nil {
		k.FirmwareDir = ""
	}
	for i, other := range s.Kernels {
		if other.Image == k.Image && other.Modules == k.Modules && sameDir(t, other.FirmwareDir, k.FirmwareDir) {
			s.Kernels[i].EtcImage = other.EtcImage || etcImage
			return i, nil
		}
	}
	s.Kernels = append(s.Kernels, k)
	return len(s.Kernels) - 1, nil
}

// modulesOf returns the modules of a toplevel's kernel, and its release, the name of
// their directory; nil where it has none.
func modulesOf(t *fstree.Tree, top nix.StorePath) (string, *fstree.Entry, error) {
	release, err := nixos.KernelRelease(t, top)
	if err != nil || release == "" {
		return "", nil, err
	}
	dir, err := t.Follow(fmt.Sprintf("%s/kernel-modules/lib/modules/%s", top, release))
	return release, dir, err
}

// sameDir reports whether two paths lead to the same place.
func sameDir(t *fstree.Tree, a, b string) bool {
	one, err := t.Follow(a)
	other, err2 := t.Follow(b)
	return err == nil && err2 == nil && one == other
}

// words are what a boot loader of NixOS adds to the command line of our initramfs. What
// says where the root is or where to resume from is left out: the image has these for
// itself, and the last one would count.
func words(init string, params []string) []string {
	return slices.DeleteFunc(allWords(init, params), isOfDisk)
}

// allWords are what a boot loader of NixOS adds to the command line. A parameter may be
// several words, unless it has quotes.
func allWords(init string, params []string) []string {
	all := []string{"init=" + init}
	for _, p := range params {
		if strings.Contains(p, `"`) {
			all = append(all, p)
		} else {
			all = append(all, strings.Fields(p)...)
		}
	}
	return all
}

// isOfDisk reports whether a word says where a disk has what, or how it is mounted, as the
// plan does: such as root=fstab of NixOS's systemd stage 1. That mounts by its table, so
// that a "ro" has no effect there, and would keep an activation from writing here.
func isOfDisk(word string) bool {
	key, _, ok := strings.Cut(word, "=")
	return word == "ro" || word == "rw" || ok && slices.Contains([]string{"root", "rootflags", "rootfstype", "resume", "resume_offset"}, key)
}
