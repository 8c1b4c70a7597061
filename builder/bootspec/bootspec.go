// Package bootspec reads what a NixOS system says about how it boots, and makes
// the menu entries that NixOS's own builder for systemd-boot would make of it,
// so that the installed system owns them and prunes them later.
//
// What it says is boot.json in its toplevel: the bootspec of RFC 125, version 1.
// For systems without one the same is put together from the other files of the
// toplevel. Nothing is read from a disk here: callers hand over texts and get
// texts, and a list of which store file goes where on the ESP.
//
// No script is run. Where Spec.InitrdSecrets is set NixOS would run that on the
// copy of the initrd; a caller has to refuse it, or to know that it does nothing.
// GRUB, unified kernel images, counted boots and memtest are not made here.
//
// Sources: NixOS RFC 125; bootspec.nix, bootspec.cue and systemd-boot-builder.py
// of nixpkgs, the latter as in NixOS 26.05 and as after it (nixpkgs PR 447173);
// the tool "synthesize" of DeterminateSystems/bootspec; UAPI.1 Boot Loader
// Specification.
package bootspec

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// FileName is the name of the bootspec in a toplevel.
const FileName = "boot.json"

// defaultSortKey is what the builder takes where the document has none.
const defaultSortKey = "nixos"

// maxPath is the longest path in bytes: with its NUL it is a page.
const maxPath = 4095

// Path is a file in a store object, or the object itself.
type Path struct {
	Store nix.StorePath
	Rest  string // from the object, without a slash at either end; "" is the object itself
}

// ParsePath reads /nix/store/HASH-NAME or a path below it. It has to be clean,
// and to fit a kernel command line and a menu entry without quotes. Errors are
// of class fault.Input.
func ParsePath(text string) (Path, error) {
	if len(text) > maxPath {
		return Path{}, fault.New(fault.Input, "", "path of %d bytes, expected at most %d", len(text), maxPath)
	}
	base, ok := strings.CutPrefix(text, nix.StoreDir+"/")
	if !ok {
		return Path{}, fault.New(fault.Input, "", "path %.300q: expected one below %s", text, nix.StoreDir)
	}
	base, rest, below := strings.Cut(base, "/")
	store, err := nix.ParseBase(base)
	if err != nil {
		return Path{}, fault.New(fault.Input, "", "path %.300q: %w", text, err)
	}
	if below {
		if err := checkRelative(rest); err != nil {
			return Path{}, fault.New(fault.Input, "", "path %.300q: %w", text, err)
		}
	}
	return Path{store, rest}, nil
}

// checkRelative refuses what is not a clean path of plain names.
func checkRelative(p string) error {
	for element := range strings.SplitSeq(p, "/") {
		if element == "" || element == "." || element == ".." {
			return fmt.Errorf("element %.100q, expected a clean path", element)
		}
		if strings.ContainsFunc(element, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\`, r) }) {
			return fmt.Errorf("element %.100q, expected ASCII without spaces, quotes, backslashes and control characters", element)
		}
	}
	return nil
}

// String returns the absolute path, or "" for the zero value.
func (p Path) String() string {
	switch {
	case p.IsZero():
		return ""
	case p.Rest == "":
		return p.Store.String()
	}
	return p.Store.String() + "/" + p.Rest
}

// IsZero reports whether p is none.
func (p Path) IsZero() bool { return p == Path{} }

// Compare orders paths by store object, then by the rest.
func (p Path) Compare(q Path) int {
	return cmp.Or(p.Store.Compare(q.Store), strings.Compare(p.Rest, q.Rest))
}

// Spec is how a system boots. Paths that it does not have are zero.
type Spec struct {
	System        string // such as "x86_64-linux"
	Label         string // such as "NixOS Yarara 26.05.20260601.0000000 (Linux 6.12.1)"
	Toplevel      nix.StorePath
	Init          Path     // what stage 1 starts
	Kernel        Path     // an EFI program
	KernelParams  []string // without init=, unless the system's owner wrote one
	Initrd        Path     // zero where stage 1 is switched off
	InitrdSecrets Path     // a program that adds secrets to a copy of Initrd
	SortKey       string   // of the menu entry, "nixos" unless set
	DeviceTree    Path
	ExtraInitrds  []string // files that are on the ESP already, by their path from its root

	// Specialisations are variants of this system, by name. They have none
	// themselves.
	Specialisations map[string]*Spec
}

// All returns the system itself under the name "" and its specialisations, by
// name.
func (s *Spec) All() iter.Seq2[string, *Spec] {
	return func(yield func(string, *Spec) bool) {
		if !yield("", s) {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(s.Specialisations)) {
			if !yield(name, s.Specialisations[name]) {
				return
			}
		}
	}
}

// Paths returns every path that the system and its specialisations name, once
// each and sorted: all of them have to be in the closure.
func (s *Spec) Paths() []Path {
	var out []Path
	for _, one := range s.All() {
		for _, p := range []Path{{Store: one.Toplevel}, one.Init, one.Kernel, one.Initrd, one.InitrdSecrets, one.DeviceTree} {
			if !p.IsZero() {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, Path.Compare)
	return slices.Compact(out)
}

// CheckSystem refuses a system that is not one of those in allowed, or a
// specialisation of it that is not. The error is of class fault.Input.
func (s *Spec) CheckSystem(allowed ...string) error {
	for name, one := range s.All() {
		if slices.Contains(allowed, one.System) {
			continue
		}
		what := one.Toplevel.String()
		if name != "" {
			what += " (specialisation " + name + ")"
		}
		return fault.New(fault.Input, "", "%s: system %q, expected %s", what, one.System, strings.Join(allowed, " or "))
	}
	return nil
}
