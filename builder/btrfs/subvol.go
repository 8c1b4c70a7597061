package btrfs

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// addSubvolumes makes the volumes that Params ask for, in the order of their
// paths, and divides the tree among them.
func (a *arrangement) addSubvolumes(p *Params) error {
	subs := slices.Clone(p.Subvolumes)
	for i := range subs {
		if err := subs[i].clean(); err != nil {
			return err
		}
	}
	more, err := a.swapVolumes(p, subs)
	if err != nil {
		return err
	}
	subs = append(subs, more...)
	slices.SortStableFunc(subs, func(x, y Subvolume) int { return strings.Compare(x.Path, y.Path) })
	for _, s := range subs {
		if a.byPath[s.Path] != nil {
			return fault.New(fault.Usage, "give each subvolume a path of its own", "subvolume %s: named twice", s.Path)
		}
		v := &volume{id: a.nextID(), path: s.Path, readOnly: s.ReadOnly, noDataCow: s.NoDataCow}
		if err := a.setSource(v, s); err != nil {
			return err
		}
		a.addVolume(v)
	}
	if !slices.ContainsFunc(subs, Subvolume.holdsRoot) {
		a.volumes[0].source, a.volumes[0].root.real = ".", a.tree.Root()
	}
	return nil
}

// holdsRoot reports whether the root of the tree goes into a cleaned subvolume.
func (s Subvolume) holdsRoot() bool { return !s.Empty && s.Source == "." }

// clean brings both paths to their one form.
func (s *Subvolume) clean() error {
	var err error
	if s.Path, err = cleanPath("subvolume", s.Path); err != nil || s.Empty {
		return err
	}
	if s.Source = path.Clean(strings.TrimLeft(s.Source, "/")); s.Source != "." {
		s.Source, err = cleanPath("source", s.Source)
	}
	return err
}

// swapVolumes returns the subvolumes that swapfiles imply: those of whose
// directory the top level knows nothing.
func (a *arrangement) swapVolumes(p *Params, subs []Subvolume) ([]Subvolume, error) {
	inTop := !slices.ContainsFunc(subs, Subvolume.holdsRoot)
	var more []Subvolume
	for _, s := range p.Swapfiles {
		clean, err := cleanPath("swapfile", s.Path)
		if err != nil {
			return nil, err
		}
		dir, _, nested := strings.Cut(clean, "/")
		known := func(v Subvolume) bool { return v.Path == dir }
		if nested && !slices.ContainsFunc(subs, known) && !slices.ContainsFunc(more, known) && (!inTop || a.tree.Lookup(dir) == nil) {
			more = append(more, Subvolume{Path: dir, Empty: true, NoDataCow: true})
		}
	}
	return more, nil
}

// setSource makes a directory of the tree the root of a volume. A directory
// that does not exist makes an empty volume: it is a mount point to come.
func (a *arrangement) setSource(v *volume, s Subvolume) error {
	if s.Empty {
		return nil
	}
	if i := slices.IndexFunc(a.volumes, func(o *volume) bool { return o.source == s.Source }); i >= 0 {
		return fault.New(fault.Usage, "", "subvolume %s: %s goes to subvolume %s already", v.path, s.Source, a.volumes[i].path)
	}
	v.source = s.Source
	e := a.tree.Lookup(s.Source)
	if e != nil && !e.IsDir() {
		return fault.New(fault.Input, "", "subvolume %s: %s in the source is not a directory", v.path, s.Source)
	}
	v.root.real = e
	return nil
}
