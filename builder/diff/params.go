package diff

import (
	"cmp"
	"regexp"
	"slices"
)

// EntryChange is what happened to a set of kernel parameters.
type EntryChange struct {
	ID      string   `json:"id"`
	Change  Change   `json:"change"`
	Added   []string `json:"added"` // words, in their order
	Removed []string `json:"removed"`
}

// identity is what every image has its own of: UUIDs of partitions and file systems.
var identity = regexp.MustCompile(`\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`)

// anonymous returns a word without the identity of the image that it is of.
func anonymous(word string) string { return identity.ReplaceAllString(word, "UUID") }

// compareEntries returns what changed, sorted by ID. Entries that are on both sides
// are compared word by word, and how often a word occurs counts, but not where.
func compareEntries(before, after []Entry, o Options) []EntryChange {
	changes := []EntryChange{}
	for _, b := range before {
		if !slices.ContainsFunc(after, func(a Entry) bool { return a.ID == b.ID }) {
			changes = append(changes, EntryChange{ID: b.ID, Change: Removed, Added: []string{}, Removed: nonNil(b.Words)})
		}
	}
	for _, a := range after {
		i := slices.IndexFunc(before, func(b Entry) bool { return a.ID == b.ID })
		if i < 0 {
			changes = append(changes, EntryChange{ID: a.ID, Change: Added, Added: nonNil(a.Words), Removed: []string{}})
			continue
		}
		c := EntryChange{ID: a.ID, Change: Changed, Added: subtract(a.Words, before[i].Words, o), Removed: subtract(before[i].Words, a.Words, o)}
		if len(c.Added)+len(c.Removed) > 0 {
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, func(a, b EntryChange) int { return cmp.Compare(a.ID, b.ID) })
	return changes
}

// subtract takes the words of other out of a list, each once.
func subtract(list, other []string, o Options) []string {
	form := anonymous
	if o.All {
		form = func(word string) string { return word }
	}
	have := map[string]int{}
	for _, w := range other {
		have[form(w)]++
	}
	left := []string{}
	for _, w := range list {
		if have[form(w)] > 0 {
			have[form(w)]--
			continue
		}
		left = append(left, w)
	}
	return left
}

func nonNil(list []string) []string { return append([]string{}, list...) }
