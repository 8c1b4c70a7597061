package esp

import (
	"encoding/binary"
	"time"
)

// slotSize is the size of a directory entry in bytes.
const slotSize = 32

// Attributes of a directory entry.
const (
	attrLabel     = 0x08
	attrDirectory = 0x10
	attrArchive   = 0x20
	attrLong      = 0x0f
)

// Entries of a long name.
const (
	longUnits = 13   // UTF-16 units in one
	lastLong  = 0x40 // in the number of the one that comes first on disk, and last in the name
)

// longOffsets are the places of a long entry's units.
var longOffsets = [longUnits]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// entrySlots returns how many slots a node takes in its parent.
func (n *node) entrySlots() int64 { return 1 + ceil(int64(len(n.long)), longUnits) }

// directory returns the bytes of a directory.
func (n *node) directory(p *Params) []byte {
	b := make([]byte, 0, n.size())
	switch {
	case n.parent != nil:
		b = appendShort(b, dot, attrDirectory, n.first, 0, n.entry.MTime(), p.Timestamp)
		b = appendShort(b, dotDot, attrDirectory, n.parent.number(), 0, n.parent.entry.MTime(), p.Timestamp)
	case p.Label != "":
		b = appendShort(b, shortName(labelField(p.Label)), attrLabel, 0, 0, p.Timestamp, p.Timestamp)
	}
	for _, c := range n.children {
		b = appendLong(b, c.long, c.short.checksum())
		attr := byte(attrArchive)
		if c.entry.IsDir() {
			attr = attrDirectory
		}
		b = appendShort(b, c.short, attr, c.first, uint32(c.entry.Size), c.entry.MTime(), p.Timestamp)
	}
	return b[:n.size()]
}

// number returns the cluster by which a child names the directory in "..": for
// the root it is 0, not the cluster of the root.
func (n *node) number() uint32 {
	if n.parent == nil {
		return 0
	}
	return n.first
}

// appendShort appends the entry that a file has besides its long name.
func appendShort(b []byte, name shortName, attr byte, first, size uint32, modified, created time.Time) []byte {
	var s [slotSize]byte
	copy(s[:], name[:])
	s[11] = attr
	createdDate, createdTime, createdHundredths := stamp(created)
	modifiedDate, modifiedTime, _ := stamp(modified)
	s[13] = createdHundredths
	binary.LittleEndian.PutUint16(s[14:], createdTime)
	binary.LittleEndian.PutUint16(s[16:], createdDate)
	binary.LittleEndian.PutUint16(s[18:], createdDate) // last access
	binary.LittleEndian.PutUint16(s[20:], uint16(first>>16))
	binary.LittleEndian.PutUint16(s[22:], modifiedTime)
	binary.LittleEndian.PutUint16(s[24:], modifiedDate)
	binary.LittleEndian.PutUint16(s[26:], uint16(first))
	binary.LittleEndian.PutUint32(s[28:], size)
	return append(b, s[:]...)
}

// appendLong appends the entries of a long name, the end of the name first.
func appendLong(b []byte, name []uint16, checksum byte) []byte {
	count := (len(name) + longUnits - 1) / longUnits
	for i := count; i > 0; i-- {
		var s [slotSize]byte
		s[0] = byte(i)
		if i == count {
			s[0] |= lastLong
		}
		s[11] = attrLong
		s[13] = checksum
		for j, at := range longOffsets {
			unit := uint16(0xffff) // behind the end
			switch k := (i-1)*longUnits + j; {
			case k < len(name):
				unit = name[k]
			case k == len(name):
				unit = 0
			}
			binary.LittleEndian.PutUint16(s[at:], unit)
		}
		b = append(b, s[:]...)
	}
	return b
}

// The times that a directory entry can hold.
var (
	minTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2107, 12, 31, 23, 59, 59, 990_000_000, time.UTC)
)

// stamp returns a time in UTC as a directory entry holds it: to two seconds,
// and to the hundredth of a second behind them. Times that the format cannot
// hold become the nearest that it can.
func stamp(t time.Time) (date, clock uint16, hundredths byte) {
	t = t.UTC()
	if t.Before(minTime) {
		t = minTime
	}
	if t.After(maxTime) {
		t = maxTime
	}
	date = uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
	clock = uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
	hundredths = byte(t.Second()%2*100 + t.Nanosecond()/10_000_000)
	return date, clock, hundredths
}
