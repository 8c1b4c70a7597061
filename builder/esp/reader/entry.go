package reader

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Directory entries.
const (
	slotSize = 32
	maxSlots = 1 << 16 // of a directory: 2 MiB

	slotEnd     = 0x00 // in the first byte: there are no more
	slotDeleted = 0xe5
	slotE5      = 0x05 // stands for 0xe5

	attrLabel     = 0x08
	attrDirectory = 0x10
	attrLong      = 0x0f
	attrMask      = 0x3f

	lowerBase      = 0x08 // the flags of Windows NT
	lowerExtension = 0x10
)

// entry is one name in a directory.
type entry struct {
	name      string // long, or else the short one
	short     string // as it is shown: "NAME.EXT"
	raw       [11]byte
	attr      byte
	first     uint32
	size      uint32
	modified  time.Time
	namedLong bool
}

func (e *entry) isDir() bool { return e.attr&attrDirectory != 0 }

// directory is what the bytes of a directory mean.
type directory struct {
	entries []entry // without the label, "." and ".."
	dots    []entry // "." and ".."
	labels  [][11]byte
	firsts  [2]string // raw names of the first two entries
	bad     []badName
}

// badName is a fault of a name that reading passes over.
type badName struct {
	kind Kind
	text string
}

// decodeDirectory decodes the slots of a directory. Entries with a bad long
// name go by their short name; those with a bad short name are left out.
func decodeDirectory(raw []byte) *directory {
	d := &directory{}
	var long longName
	n := 0
	for ; len(raw) >= slotSize && raw[0] != slotEnd; raw = raw[slotSize:] {
		slot := raw[:slotSize]
		if slot[0] != slotDeleted && slot[11]&attrMask == attrLong {
			d.orphan(long.add(slot))
			continue
		}
		name := long
		long = longName{}
		switch {
		case slot[0] == slotDeleted:
			d.orphan(name.pending())
		case slot[11]&attrLabel != 0:
			d.orphan(name.pending())
			d.labels = append(d.labels, [11]byte(slot))
		default:
			if n < len(d.firsts) {
				d.firsts[n] = string(slot[:11])
			}
			d.add(decodeEntry(slot), &name)
		}
		n++
	}
	d.orphan(long.pending())
	return d
}

func (d *directory) complain(kind Kind, format string, args ...any) {
	d.bad = append(d.bad, badName{kind, fmt.Sprintf(format, args...)})
}

func (d *directory) orphan(is bool) {
	if is {
		d.complain(KindLongName, "a part of a long name belongs to no entry")
	}
}

// add takes an entry with what stood before it.
func (d *directory) add(e entry, long *longName) {
	if e.raw[0] == '.' {
		d.orphan(long.pending())
		d.dots = append(d.dots, e)
		return
	}
	if !validShort(e.raw) {
		d.complain(KindName, "short name %q: has a character that is not allowed", e.raw[:])
		return
	}
	if long.pending() {
		name, err := long.text(checksum(e.raw))
		if err != nil {
			d.complain(KindLongName, "%s: long name: %v", e.short, err)
		} else {
			e.name, e.namedLong = name, true
		}
	}
	d.entries = append(d.entries, e)
}

// decodeEntry decodes the entry that every file has.
func decodeEntry(slot []byte) entry {
	le := binary.LittleEndian
	e := entry{raw: [11]byte(slot), attr: slot[11], size: le.Uint32(slot[28:]),
		first:    uint32(le.Uint16(slot[20:]))<<16 | uint32(le.Uint16(slot[26:])),
		modified: decodeTime(le.Uint16(slot[24:]), le.Uint16(slot[22:]))}
	base, extension := shortPart(e.raw[:8]), shortPart(e.raw[8:])
	e.short = join(base, extension)
	if slot[12]&lowerBase != 0 {
		base = strings.ToLower(base)
	}
	if slot[12]&lowerExtension != 0 {
		extension = strings.ToLower(extension)
	}
	e.name = join(base, extension)
	return e
}

func join(base, extension string) string {
	if extension == "" {
		return base
	}
	return base + "." + extension
}

func shortPart(b []byte) string {
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(string(b), "_")), " ")
}

// validShort reports whether a short name has allowed characters only and
// spaces at the ends of its parts only.
func validShort(raw [11]byte) bool {
	if raw[0] == ' ' {
		return false
	}
	for i, c := range raw {
		switch {
		case c == slotE5 && i == 0:
		case c < ' ' || c == 0x7f || 'a' <= c && c <= 'z' || strings.IndexByte("\"*+,./:;<=>?[\\]|", c) >= 0:
			return false
		case c != ' ' && i > 0 && i != 8 && raw[i-1] == ' ':
			return false
		}
	}
	return true
}

// checksum is what the parts of a long name carry of the short one.
func checksum(raw [11]byte) (sum byte) {
	for _, c := range raw {
		sum = (sum&1)<<7 + sum>>1 + c
	}
	return sum
}

// decodeTime decodes a date and a time. Impossible ones become the nearest
// that are possible, as time.Date counts.
func decodeTime(date, clock uint16) time.Time {
	return time.Date(1980+int(date>>9), time.Month(date>>5&15), int(date&31), int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
}
