package esp

import (
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// aliases gives the names of one directory their short names, no two the same.
type aliases struct {
	used map[shortName]bool
	next map[stem]int // the first number that was not tried
}

// stem is what an alias has besides its number. Each count of digits has
// numbers of its own, since it leaves the base another length.
type stem struct {
	base, extension string
	digits          int
}

// newAliases reserves what the names of a directory are themselves, whatever
// their case: the number that one of them gets must not make it the name of another.
func newAliases(children []*fstree.Entry) *aliases {
	a := &aliases{used: make(map[shortName]bool, len(children)), next: map[stem]int{}}
	for _, e := range children {
		if s, ok := exactShort(asciiUpper(e.Name)); ok {
			a.take(s)
		}
	}
	return a
}

// take reserves a short name and reports whether it was free.
func (a *aliases) take(s shortName) bool {
	if a.used[s] {
		return false
	}
	a.used[s] = true
	return true
}

// alias returns a short name for a name of the directory. One that is 8.3 but
// for its case gets what was reserved for it, all others get a number.
func (a *aliases) alias(name string) shortName {
	if s, ok := exactShort(asciiUpper(name)); ok {
		return s
	}
	base, extension := basis(name)
	for digits := 1; ; digits++ {
		k := stem{base[:min(len(base), shortBase-1-digits)], extension, digits}
		n := a.next[k]
		if n == 0 {
			n = power10(digits - 1)
		}
		for ; n < power10(digits); n++ {
			if s := makeShort(k.base+"~"+strconv.Itoa(n), extension); a.take(s) {
				a.next[k] = n + 1
				return s
			}
		}
		a.next[k] = n
	}
}

func power10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// basis returns what an alias is made of: the name in upper case without
// spaces and dots, except for the last dot, with an underscore for whatever a
// short name cannot have. The base is not empty.
func basis(name string) (base, extension string) {
	name = strings.TrimLeft(name, ". ")
	base = name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		base, extension = name[:i], name[i+1:]
	}
	base, extension = shorten(base, shortBase), shorten(extension, shortExtension)
	if base == "" {
		base = "_"
	}
	return base, extension
}

// shorten returns up to n characters of s that a short name can have.
func shorten(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case b.Len() == n:
			return b.String()
		case r == ' ' || r == '.':
		case 'a' <= r && r <= 'z':
			b.WriteByte(byte(r) - 'a' + 'A')
		case r < 0x80 && shortByte(byte(r)):
			b.WriteByte(byte(r))
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}

func asciiUpper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}
