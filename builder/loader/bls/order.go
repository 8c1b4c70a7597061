package bls

import (
	"cmp"
	"strings"
)

// Compare orders entries as a menu of systemd-boot does: those with a sort key first, in
// its order, then the higher version first. Of versions that differ in a number, as those
// of generations do, the greater number is the higher.
func Compare(a, b Entry) int {
	if (a.SortKey == "") != (b.SortKey == "") {
		return map[bool]int{true: 1, false: -1}[a.SortKey == ""]
	}
	return cmp.Or(cmp.Compare(a.SortKey, b.SortKey), cmp.Compare(a.MachineID, b.MachineID), compareNatural(b.Version, a.Version))
}

// compareNatural compares texts, numbers in them by their value.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		x, restA := number(a)
		y, restB := number(b)
		if x == "" || y == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// number returns the digits that a text begins with, without zeros in front, and what
// follows them; "" where it begins with none.
func number(s string) (digits, rest string) {
	end := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if end == 0 {
		return "", s
	}
	digits = strings.TrimLeft(s[:end], "0")
	if digits == "" {
		digits = "0"
	}
	return digits, s[end:]
}
