package backup

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// Limits of a search for near names.
const (
	mostNear     = 3
	mostMeasured = 20_000 // names whose distance is measured
	longestNear  = 64     // runes of a name whose distance is measured
	leastPart    = 3      // bytes of a name that is near for being a part
)

// nearest keeps the names that are nearest to one.
type nearest struct {
	want     string
	found    []nearName
	any      []string // the first names, whatever they are
	names    int
	measured int
}

type nearName struct {
	name     string
	distance int
}

func newNearest(want string) *nearest { return &nearest{want: want} }

// see looks at a name.
func (n *nearest) see(name string) {
	if n.names++; len(n.any) < mostNear {
		n.any = append(n.any, name)
	}
	distance, ok := n.distance(name)
	if !ok {
		return
	}
	n.found = append(n.found, nearName{name, distance})
	slices.SortStableFunc(n.found, func(a, b nearName) int { return cmp.Compare(a.distance, b.distance) })
	n.found = n.found[:min(len(n.found), mostNear)]
}

// distance is how far a name is from the wanted one; false for one that is not
// near.
func (n *nearest) distance(name string) (int, bool) {
	a, b := strings.ToLower(n.want), strings.ToLower(name)
	switch {
	case a == b:
		return 0, true
	case strings.Contains(b, a), len(b) >= leastPart && strings.Contains(a, b):
		return 1, true
	}
	x, y := utf8.RuneCountInString(a), utf8.RuneCountInString(b)
	most := max(1, (x+1)/3)
	if max(x-y, y-x) > most || max(x, y) > longestNear || n.measured == mostMeasured {
		return 0, false
	}
	n.measured++
	d := edits([]rune(a), []rune(b))
	return d, d <= most
}

// edits is the distance of Levenshtein: how many runes are to be changed, added
// or removed.
func edits(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			change := diagonal
			if x != y {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// isAbsent says that a path is not there; dir is the deepest directory above it
// that is.
func isAbsent(wanted, where, dir string, near *nearest) error {
	names := near.any
	text := "has"
	if len(near.found) > 0 {
		names, text = nil, "has what is near it:"
		for _, f := range near.found {
			names = append(names, f.name)
		}
	}
	for i, name := range names {
		names[i] = repository.Printable(name)
	}
	has := "is empty"
	if len(names) > 0 {
		has = text + " " + strings.Join(names, ", ")
		if len(near.found) == 0 && near.names > len(names) {
			has += " and others"
		}
	}
	return fault.New(fault.Input, "", "%s: is not in %s, where %s %s", repository.Printable(wanted), where, repository.Printable(dir), has)
}
