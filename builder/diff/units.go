package diff

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"regexp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/nix"
)

// What happens to units, besides Added, Changed and Removed.
const (
	Enabled  Change = "enabled"
	Disabled Change = "disabled"
	Masked   Change = "masked"
	Unmasked Change = "unmasked"
)

// UnitChange is what happened to a unit.
type UnitChange struct {
	Name    string   `json:"name"`
	Changes []Change `json:"changes"` // at least one
}

// storeObject finds the paths of store objects in a text.
var storeObject = regexp.MustCompile(nix.StoreDir + `/([0-9a-df-np-sv-z]{32})-([0-9A-Za-z+\-._?=]{1,211})`)

// Digests stand for the text of all files of a unit.
type Digests struct {
	exact, loose [sha256.Size]byte
}

// Digest returns the digests of a text. One of them leaves out the hashes and
// versions of the store objects that it names: both change with each update of a
// package, which is told of where packages are.
func Digest(text string) Digests {
	return Digests{sha256.Sum256([]byte(text)), sha256.Sum256([]byte(loosen(text)))}
}

func loosen(text string) string {
	return storeObject.ReplaceAllStringFunc(text, func(p string) string {
		pname, _ := nix.SplitName(storeObject.FindStringSubmatch(p)[2])
		return nix.StoreDir + "/" + pname
	})
}

// compareUnits returns what changed, sorted by name.
func compareUnits(before, after []Unit, o Options) []UnitChange {
	old, now := byName(before), byName(after)
	names := maps.Clone(old)
	maps.Copy(names, now)
	changes := []UnitChange{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if list := compareUnit(old[name], now[name], o); len(list) > 0 {
			changes = append(changes, UnitChange{name, list})
		}
	}
	return changes
}

func byName(units []Unit) map[string]Unit {
	all := map[string]Unit{}
	for _, u := range units {
		all[u.Name] = u
	}
	return all
}

// compareUnit compares a unit, the zero value where a side has none. One without a
// text is neither added nor removed, only enabled and disabled.
func compareUnit(old, now Unit, o Options) (list []Change) {
	note := func(yes bool, c Change) {
		if yes {
			list = append(list, c)
		}
	}
	none := Digests{}
	was, is := old.Text != none, now.Text != none
	note(!was && is, Added)
	note(was && !is, Removed)
	note(was && is && (old.Text.loose != now.Text.loose || o.All && old.Text != now.Text), Changed)
	note(now.Enabled && !old.Enabled, Enabled)
	stays := is || !was // else that it is removed says it all
	note(old.Enabled && !now.Enabled && stays, Disabled)
	note(now.Masked && !old.Masked, Masked)
	note(old.Masked && !now.Masked && stays, Unmasked)
	return list
}

// sortedKernels returns releases as the kind orders versions.
func sortedKernels(s *System) []string {
	order := orders[s.Kind]
	list := nonNil(s.Kernels)
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(order(a, b), cmp.Compare(a, b)) })
	return slices.Compact(list)
}
