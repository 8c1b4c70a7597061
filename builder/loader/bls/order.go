package bls

import (
	"cmp"
	"strings"
)

// Named is an entry with the name of its file.
type Named struct {
	File string
	Entry
}

// Compare orders entries as a menu of systemd-boot does (boot_entry_compare of its
// boot.c): behind all others those of which no try is left; then those with a sort key
// first, in its order, the higher version first, and at last the higher id.
func Compare(a, b Named) int {
	if c := compareBool(exhausted(a.File), exhausted(b.File)); c != 0 {
		return c
	}
	if c := compareBool(a.SortKey == "", b.SortKey == ""); c != 0 {
		return c
	}
	if a.SortKey != "" {
		c := cmp.Or(cmp.Compare(a.SortKey, b.SortKey), cmp.Compare(a.MachineID, b.MachineID), CompareVersions(b.Version, a.Version))
		if c != 0 {
			return c
		}
	}
	return CompareVersions(fileID(b.File), fileID(a.File))
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// exhausted reports whether a file name counts boots, and says that no try is left.
func exhausted(file string) bool {
	count := counter.FindString(strings.TrimSuffix(file, ".conf"))
	left, _, _ := strings.Cut(strings.TrimPrefix(count, "+"), "-")
	return left != "" && strings.Trim(left, "0") == ""
}

// fileID is by what systemd-boot knows an entry: its file name in lower case, without the
// count of boots.
func fileID(file string) string {
	if id, ok := ParseName(file); ok {
		file = id + ".conf"
	}
	return strings.ToLower(file)
}

// CompareVersions orders versions, the lower first, as systemd does (strverscmp_improved;
// "Version Format Specification", UAPI.10): runs of digits by their value, runs of letters
// by their bytes, "~" before the end of a text, and then "-", "^" and "." in this order.
// Other characters only part runs.
func CompareVersions(a, b string) int {
	for {
		a, b = strings.TrimLeftFunc(a, isNoVersion), strings.TrimLeftFunc(b, isNoVersion)
		if c := cutMark(&a, &b, "~"); c != 0 {
			return c
		}
		if a == "" || b == "" {
			return compareBool(a != "", b != "")
		}
		if c := cmp.Or(cutMark(&a, &b, "-"), cutMark(&a, &b, "^"), cutMark(&a, &b, ".")); c != 0 {
			return c
		}
		run, compare := isLetter, cmp.Compare[string]
		if runOf(a, isDigit) != "" || runOf(b, isDigit) != "" {
			run, compare = isDigit, compareNumbers
		}
		x, y := runOf(a, run), runOf(b, run)
		if c := compare(x, y); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
	}
}

// cutMark takes a mark from the front of both texts. One that has it alone is the lower.
func cutMark(a, b *string, mark string) int {
	restA, inA := strings.CutPrefix(*a, mark)
	restB, inB := strings.CutPrefix(*b, mark)
	if inA == inB {
		*a, *b = restA, restB
	}
	return compareBool(!inA, !inB)
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

func isNoVersion(r rune) bool { return !isDigit(r) && !isLetter(r) && !strings.ContainsRune("~-^.", r) }

// runOf returns what a text begins with.
func runOf(s string, is func(rune) bool) string {
	return s[:len(s)-len(strings.TrimLeftFunc(s, is))]
}

// compareNumbers compares runs of digits; none is lower than any.
func compareNumbers(x, y string) int {
	a, b := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
	return cmp.Or(compareBool(x != "", y != ""), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
