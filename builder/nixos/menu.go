package nixos

import (
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Menu returns the entries that NixOS's own builder for systemd-boot would make of
// generations, with the same names: of each the system itself, and then its
// specialisations. Built is when the store objects come to be on the disk, which the
// builder takes for the date of a generation.
//
// Files are named by generation: NixOS before 26.11 writes these anew, and later ones,
// which name them by their content, replace them. Errors are of class fault.Input.
func Menu(t *fstree.Tree, generations []Generation, built time.Time) ([]bootspec.Entry, error) {
	if len(generations) == 0 {
		return nil, nil
	}
	var list []bootspec.Generation
	for _, g := range generations {
		list = append(list, bootspec.Generation{Number: g.Number, Built: built, Spec: g.Spec})
	}
	return bootspec.Entries(list, bootspec.EntryOptions{
		Layout: bootspec.ByGeneration, Resolve: func(p bootspec.Path) (bootspec.Path, error) { return resolve(t, p) },
	})
}

// resolve follows the links of a path in the store.
func resolve(t *fstree.Tree, p bootspec.Path) (bootspec.Path, error) {
	e, err := t.Follow(p.String())
	if err != nil {
		return p, fault.New(fault.Input, "", "%w", err)
	}
	if e == nil {
		return p, fault.New(fault.Input, "take the whole closure of the system", "%s: %w", p, errAbsent)
	}
	return bootspec.ParsePath("/" + strings.TrimPrefix(e.Path(), "/"))
}
