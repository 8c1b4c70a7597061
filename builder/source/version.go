package source

import (
	"cmp"
	"strings"
)

// CompareVersions compares two version numbers as Debian does (deb-version(7),
// "Sorting algorithm") and returns -1, 0 or +1. It takes any text: what is no
// valid version has an order all the same. Releases of kernels are compared by
// it too, where it does what one expects: 6.9 < 6.12 < 6.12.1, and 6.12~rc1 <
// 6.12.
func CompareVersions(a, b string) int {
	epochA, a := cutEpoch(a)
	epochB, b := cutEpoch(b)
	if c := comparePart(epochA, epochB); c != 0 {
		return c
	}
	upstreamA, revisionA := cutRevision(a)
	upstreamB, revisionB := cutRevision(b)
	if c := comparePart(upstreamA, upstreamB); c != 0 {
		return c
	}
	return comparePart(revisionA, revisionB)
}

func cutEpoch(v string) (epoch, rest string) {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		return epoch, rest
	}
	return "0", v
}

func cutRevision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, "0"
}

// comparePart compares runs of other characters and runs of digits in turn.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			if c := cmp.Compare(order(a), order(b)); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
		}
		var numberA, numberB string
		numberA, a = cutNumber(a)
		numberB, b = cutNumber(b)
		if c := cmp.Or(cmp.Compare(len(numberA), len(numberB)), strings.Compare(numberA, numberB)); c != 0 {
			return c
		}
	}
	return 0
}

// order gives the first character of a run of non-digits its place: a tilde
// before the end of the run, that before letters, these before all others.
func order(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

// cutNumber takes the leading digits, without zeros that mean nothing: numbers
// may be longer than any integer.
func cutNumber(s string) (number, rest string) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return strings.TrimLeft(s[:n], "0"), s[n:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
