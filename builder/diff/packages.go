package diff

import (
	"cmp"
	"maps"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// Threshold is how many bytes a package of the same version has to grow or shrink by
// to be told of, if not all is asked for. It is that of nix store diff-closures.
const Threshold = 8 << 10

// orders compare two versions of a kind.
var orders = map[Kind]func(a, b string) int{NixOS: nix.CompareVersions, Debian: source.CompareVersions}

// Change says what happened to a package or an entry.
type Change string

// The changes, in the order in which they are listed.
const (
	Changed Change = "changed" // is there in other versions
	Rebuilt Change = "rebuilt" // has the same versions and other content or size
	Added   Change = "added"
	Removed Change = "removed"
)

var rank = map[Change]int{Changed: 0, Rebuilt: 1, Added: 2, Removed: 3}

// The directions of a change of versions; "" stands for one that goes both ways, such
// as a further version beside the old one.
const (
	Upgrade   = "upgrade"
	Downgrade = "downgrade"
)

// PackageChange is what happened to all packages of a name.
type PackageChange struct {
	Name       string   `json:"name"`
	Change     Change   `json:"change"`
	Direction  string   `json:"direction,omitempty"` // Upgrade, Downgrade or ""
	Selected   bool     `json:"selected"`            // on either side
	Before     []string `json:"before"`              // versions, the oldest first; "" for one without
	After      []string `json:"after"`
	SizeBefore int64    `json:"size_before"` // bytes
	SizeAfter  int64    `json:"size_after"`
}

// Grown returns by how many bytes the package grew.
func (p PackageChange) Grown() int64 { return p.SizeAfter - p.SizeBefore }

// group is all packages of a name.
type group struct {
	versions []string // sorted, once each
	ids      map[string]bool
	size     int64
	selected bool
}

func groups(packages []Package, order func(a, b string) int) map[string]*group {
	all := map[string]*group{}
	for _, p := range packages {
		g := all[p.Name]
		if g == nil {
			g = &group{ids: map[string]bool{}}
			all[p.Name] = g
		}
		g.versions = append(g.versions, p.Version)
		g.ids[p.ID] = true
		g.size += p.Size
		g.selected = g.selected || p.Selected
	}
	for _, g := range all {
		// Versions that the order takes for the same are told apart by their bytes.
		slices.SortFunc(g.versions, func(a, b string) int { return cmp.Or(order(a, b), cmp.Compare(a, b)) })
		g.versions = slices.Compact(g.versions)
	}
	return all
}

// comparePackages returns what changed, the packages with other versions first.
func comparePackages(before, after *System, o Options) []PackageChange {
	order := orders[before.Kind]
	old, now := groups(before.Packages, order), groups(after.Packages, order)
	names := maps.Clone(old)
	maps.Copy(names, now)
	changes := []PackageChange{}
	for name := range names {
		if c, ok := compareGroup(name, old[name], now[name], order, o); ok {
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, func(a, b PackageChange) int {
		return cmp.Or(cmp.Compare(rank[a.Change], rank[b.Change]), cmp.Compare(a.Name, b.Name))
	})
	return changes
}

// compareGroup compares the packages of one name, which one side may not have.
func compareGroup(name string, old, now *group, order func(a, b string) int, o Options) (PackageChange, bool) {
	c := PackageChange{Name: name, Change: Changed, Before: []string{}, After: []string{}}
	if old != nil {
		c.Before, c.SizeBefore, c.Selected = old.versions, old.size, old.selected
	}
	if now != nil {
		c.After, c.SizeAfter, c.Selected = now.versions, now.size, c.Selected || now.selected
	}
	switch {
	case old == nil:
		c.Change = Added
	case now == nil:
		c.Change = Removed
	case !slices.Equal(old.versions, now.versions):
		c.Direction = direction(old.versions, now.versions, order)
	default:
		c.Change = Rebuilt
		other := c.Grown() != 0 || !maps.Equal(old.ids, now.ids)
		large := c.Grown() > Threshold || c.Grown() < -Threshold
		return c, large || o.All && other
	}
	return c, true
}

// direction compares what both sides do not have in common: an upgrade has nothing
// old that is newer than anything new.
func direction(old, now []string, order func(a, b string) int) string {
	gone := without(old, now)
	come := without(now, old)
	if len(gone) == 0 || len(come) == 0 {
		return ""
	}
	switch {
	case order(gone[len(gone)-1], come[0]) < 0:
		return Upgrade
	case order(gone[0], come[len(come)-1]) > 0:
		return Downgrade
	}
	return ""
}

// without returns the elements of list that are not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}
