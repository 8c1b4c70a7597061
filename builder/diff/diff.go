package diff

import (
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Options say what is compared. The zero value leaves out what differs between any
// two builds.
type Options struct {
	// All tells also of packages that only differ in their content, of parameters
	// that only differ in the identity of the image, and of units that only differ
	// in the store objects that they name.
	All bool
}

// Report is what changed. Its JSON form is stable: fields are added, not changed.
// Lists are never null. Sizes are bytes.
type Report struct {
	Before Side `json:"before"`
	After  Side `json:"after"`
	// How many packages only one side has: one of another version is one of each.
	Come     int             `json:"packages_added"`
	Gone     int             `json:"packages_removed"`
	Packages []PackageChange `json:"packages"` // changed, rebuilt, added, removed; each by name
	Entries  []EntryChange   `json:"parameters"`
	Units    []UnitChange    `json:"units"`
}

// Side is one of the two systems.
type Side struct {
	Name       string   `json:"name"` // as the user named it
	Kind       Kind     `json:"kind"`
	Generation int      `json:"generation,omitempty"` // of NixOS
	Toplevel   string   `json:"toplevel,omitempty"`   // of NixOS
	Release    string   `json:"release,omitempty"`
	Packages   int      `json:"packages"` // store objects, or packages of Debian
	Size       int64    `json:"size"`     // of all packages
	Kernels    []string `json:"kernels"`  // releases
	Unread     []string `json:"unread"`   // what is left out of the comparison, and why
}

// Compare says what changed from one system to another. Systems of two kinds are an
// error of class fault.Input.
func Compare(before, after *System, o Options) (*Report, error) {
	if before.Kind != after.Kind {
		return nil, fault.New(fault.Input, "compare two systems of one kind", "%s is %s and %s is %s: their packages cannot be compared",
			before.Name, before.Kind, after.Name, after.Kind)
	}
	old, now := ids(before), ids(after)
	return &Report{
		Before: side(before), After: side(after), Come: missing(now, old), Gone: missing(old, now), Packages: comparePackages(before, after, o),
		Entries: compareEntries(before.Entries, after.Entries, o), Units: compareUnits(before.Units, after.Units, o),
	}, nil
}

func side(s *System) Side {
	out := Side{
		Name: s.Name, Kind: s.Kind, Generation: s.Generation, Toplevel: s.Toplevel, Release: s.Release,
		Packages: len(s.Packages), Kernels: sortedKernels(s), Unread: nonNil(s.Unread),
	}
	for _, p := range s.Packages {
		out.Size += p.Size
	}
	return out
}

func ids(s *System) map[string]bool {
	all := map[string]bool{}
	for _, p := range s.Packages {
		all[p.ID] = true
	}
	return all
}

// missing returns how many of these are not among others.
func missing(these, others map[string]bool) (n int) {
	for id := range these {
		if !others[id] {
			n++
		}
	}
	return n
}

// Differs reports whether there is anything to tell.
func (r *Report) Differs() bool {
	return len(r.Packages)+len(r.Entries)+len(r.Units) > 0 || !slices.Equal(r.Before.Kernels, r.After.Kernels)
}
