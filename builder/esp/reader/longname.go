package reader

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Parts of a long name.
const (
	longUnits  = 13
	maxLong    = 255
	maxParts   = (maxLong + longUnits - 1) / longUnits
	lastPart   = 0x40 // in the number of the part that comes first
	partNumber = 0x3f
)

// longName gathers the parts of a long name, which come last part first.
type longName struct {
	parts    int // of the name; 0 means that there is none
	missing  int // of them
	checksum byte
	units    [maxParts * longUnits]uint16
}

// add takes one part, and reports whether it or what stood before it belongs
// to nothing.
func (l *longName) add(slot []byte) (orphan bool) {
	number := int(slot[0] & partNumber)
	if slot[0]&lastPart != 0 {
		orphan = l.pending()
		*l = longName{parts: number, missing: number, checksum: slot[13]}
	}
	if number == 0 || number > maxParts || number != l.missing || slot[13] != l.checksum || slot[0]&0x80 != 0 {
		*l = longName{}
		return true
	}
	l.missing--
	unit := l.units[l.missing*longUnits:]
	for i := range longUnits {
		at := 1 + 2*i // three fields of 5, 6 and 2 units
		if i >= 5 {
			at += 3
		}
		if i >= 11 {
			at += 2
		}
		unit[i] = binary.LittleEndian.Uint16(slot[at:])
	}
	return orphan
}

// pending reports whether there are parts.
func (l *longName) pending() bool { return l.parts > 0 }

// text returns the name, or why it is none of an entry whose short name has
// this checksum.
func (l *longName) text(sum byte) (string, error) {
	switch {
	case l.missing > 0:
		return "", fmt.Errorf("%d of %d parts are missing", l.missing, l.parts)
	case l.checksum != sum:
		return "", fmt.Errorf("checksum %#02x, the short name has %#02x", l.checksum, sum)
	}
	units := l.units[:l.parts*longUnits]
	n := 0
	for n < len(units) && units[n] != 0 {
		n++
	}
	for i := n + 1; i < len(units); i++ {
		if units[i] != 0xffff {
			return "", fmt.Errorf("%#04x behind its end, expected 0xffff", units[i])
		}
	}
	if n <= len(units)-longUnits || n > maxLong {
		return "", fmt.Errorf("%d UTF-16 units in %d parts", n, l.parts)
	}
	name := string(utf16.Decode(units[:n]))
	if strings.ContainsAny(name, "\"*/:<>?\\|\uffff") || strings.ContainsRune(name, utf8.RuneError) ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return "", fmt.Errorf("%q has a character that is not allowed there", name)
	}
	return name, nil
}
