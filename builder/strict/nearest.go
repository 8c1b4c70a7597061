package strict

import "strings"

// maxNearest is the length up to which a name is compared with others.
const maxNearest = 64

// Nearest returns the name of the list that was probably meant by got, or "":
// the first of those with the least edit distance, when that is at most a
// third of the letters; else one that begins with a word so near.
func Nearest(got string, names []string) string {
	if i := nearest(got, names); i >= 0 {
		return names[i]
	}
	words := make([]string, len(names))
	for i, name := range names {
		words[i], _, _ = strings.Cut(strings.ReplaceAll(name, "-", "_"), "_")
	}
	if i := nearest(got, words); i >= 0 {
		return names[i]
	}
	return ""
}

// nearest returns the index of the nearest name, or -1.
func nearest(got string, names []string) int {
	best, least := -1, len(got)/3+1
	if len(got) > maxNearest {
		return -1
	}
	for i, name := range names {
		if len(name) > maxNearest {
			continue
		}
		if d := distance(got, name); d < least {
			best, least = i, d
		}
	}
	return best
}

// DidYouMean returns "; did you mean ...?" with the nearest name, or "".
func DidYouMean(got string, names []string) string {
	if near := Nearest(got, names); near != "" && near != got {
		return "; did you mean " + near + "?"
	}
	return ""
}

// distance returns how many letters must be added, removed, replaced or
// swapped with their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			replace := last[j-1]
			if s[i-1] != t[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
