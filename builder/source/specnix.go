package source

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// flake names what Nix is to build: an attribute of a flake.
type flake struct {
	ref       string // as Nix takes it: a path, a URL, or a name of its registry
	attribute string
}

const nixHint = "name it as nix:/nix/store/HASH-NAME, or as nix:FLAKE#HOST, such as nix:.#fox"

// nix returns what a source names: an object of the store, or else a flake.
func (s Spec) nix() (root nix.StorePath, f flake, err error) {
	if strings.HasPrefix(s.Value, nix.StoreDir+"/") {
		if root, err = nix.ParseStorePath(s.Value); err != nil {
			err = fault.New(fault.Config, nixHint, "source %q: %w", s, err)
		}
		return root, flake{}, err
	}
	ref, attribute, ok := strings.Cut(s.Value, "#")
	switch {
	case !ok || attribute == "":
		return root, f, fault.New(fault.Config, nixHint, "source %q: names no host behind a #", s)
	case ref == "" || strings.HasPrefix(ref, "-"):
		return root, f, fault.New(fault.Config, nixHint, "source %q: names no flake before the #", s)
	}
	return root, flake{ref, attribute}, nil
}

// Where a flake has its NixOS systems, and where a system has its toplevel.
const (
	systems  = "nixosConfigurations."
	toplevel = ".config.system.build.toplevel"
)

// installable returns what nix build is asked for. As with nixos-rebuild the name of a
// host is enough; what lies elsewhere in the flake is taken as it is written.
func (f flake) installable() string {
	attribute := f.attribute
	if !strings.Contains(outsideQuotes(attribute), ".") {
		if !strings.HasPrefix(attribute, `"`) {
			attribute = `"` + attribute + `"` // as nixos-rebuild does
		}
		attribute = systems + attribute
	}
	if strings.HasPrefix(attribute, systems) && !strings.Contains(outsideQuotes(attribute), ".config.") {
		attribute += toplevel
	}
	return f.ref + "#" + attribute
}

// outsideQuotes returns an attribute path without what is in quotes, where a dot parts
// nothing.
func outsideQuotes(attribute string) string {
	var b strings.Builder
	for i, part := range strings.Split(attribute, `"`) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}
