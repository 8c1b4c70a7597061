package esp

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// maxName is the longest name in UTF-16 units.
const maxName = 255

// longName returns a name in UTF-16, or why FAT cannot hold it.
func longName(name string) ([]uint16, error) {
	if !utf8.ValidString(name) {
		return nil, fmt.Errorf("the name is not UTF-8")
	}
	for _, r := range name {
		// Padding behind a name is U+FFFF.
		if r < ' ' || r == 0xffff || strings.ContainsRune(`"*/:<>?\|`, r) {
			return nil, fmt.Errorf("%q is not allowed in a name", r)
		}
	}
	// Drivers drop them at the end, and would then look for another name.
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		return nil, fmt.Errorf("a name cannot end with %q", last)
	}
	long := utf16.Encode([]rune(name))
	if len(long) > maxName {
		return nil, fmt.Errorf("a name of %d UTF-16 units, expected at most %d", len(long), maxName)
	}
	return long, nil
}

// fold returns the form of a name that is equal for names that differ in case
// only: of the runes that fold into each other, the least.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// checkCase refuses two entries of a directory whose names differ in case only.
func checkCase(dir *fstree.Entry) error {
	seen := make(map[string]*fstree.Entry, len(dir.Children()))
	for _, e := range dir.Children() {
		key := fold(e.Name)
		if other := seen[key]; other != nil {
			return fault.New(fault.Input, "rename one of them", "%s: FAT32 cannot hold it beside %s, the names differ in case only", e.Path(), other.Path())
		}
		seen[key] = e
	}
	return nil
}

// shortName is a name of 8.3 characters, padded with spaces, without its dot.
type shortName [11]byte

const (
	shortBase      = 8
	shortExtension = 3
)

// The names of a directory's own entry and its parent's.
var (
	dot    = shortName([]byte(".          "))
	dotDot = shortName([]byte("..         "))
)

// shortByte reports whether c can stand in a short name.
func shortByte(c byte) bool {
	return 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'()-@^_`{}~", c) >= 0
}

// exactShort returns the short name that says all of a name, if there is one.
func exactShort(name string) (s shortName, ok bool) {
	base, extension, dotted := strings.Cut(name, ".")
	if base == "" || len(base) > shortBase || len(extension) > shortExtension || dotted && extension == "" {
		return s, false
	}
	for _, c := range []byte(base + extension) {
		if !shortByte(c) {
			return s, false
		}
	}
	return makeShort(base, extension), true
}

// makeShort pads a base and an extension that are not too long.
func makeShort(base, extension string) (s shortName) {
	copy(s[:], "           ")
	copy(s[:shortBase], base)
	copy(s[shortBase:], extension)
	return s
}

// checksum ties the entries of a long name to their short name.
func (s shortName) checksum() (sum byte) {
	for _, c := range s {
		sum = sum>>1 + sum<<7 + c
	}
	return sum
}
