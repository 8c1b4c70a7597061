package imaging

import (
	"iter"
	"slices"
)

// Status says what is known of a part of a disk. Its value is the character that
// stands for it in a map file.
type Status byte

// The statuses of parts.
const (
	NonTried   Status = '?'
	NonTrimmed Status = '*' // a block that failed: which of its sectors are bad is not known
	NonScraped Status = '/' // lies between bad sectors, and failed as a block
	Bad        Status = '-' // sectors that failed one by one
	Rescued    Status = '+'
)

func (s Status) known() bool {
	return s == NonTried || s == NonTrimmed || s == NonScraped || s == Bad || s == Rescued
}

// Part is a part of a disk, in bytes.
type Part struct {
	Start  int64  `json:"start"`
	Length int64  `json:"length"`
	Status Status `json:"-"`
}

func (p Part) end() int64 { return p.Start + p.Length }

// Position is where a run is: what it does, to the parts of which status, how often
// it has gone over them, and at which byte.
type Position struct {
	At     int64
	Status Status // of what is being tried; Rescued when the run is over
	Pass   int    // from 1
}

// Map says what is known of each part of a disk.
type Map struct {
	parts    []Part // in order and without gaps from 0 to the size; neighbours differ in their status
	Position Position
	Origin   Origin // of the disk
}

// NewMap returns the map of a disk of which nothing is known; size is positive.
func NewMap(size int64) *Map {
	return &Map{parts: []Part{{Length: size, Status: NonTried}}, Position: Position{Status: NonTried, Pass: 1}}
}

// Size returns how many bytes the map is of.
func (m *Map) Size() int64 {
	if len(m.parts) == 0 {
		return 0
	}
	return m.parts[len(m.parts)-1].end()
}

// Parts returns the parts of a status, in order.
func (m *Map) Parts(s Status) iter.Seq[Part] {
	return func(yield func(Part) bool) {
		for _, p := range m.parts {
			if p.Status == s && !yield(p) {
				return
			}
		}
	}
}

// Count returns the bytes of a status, and in how many parts they are.
func (m *Map) Count(s Status) (bytes int64, parts int) {
	for p := range m.Parts(s) {
		bytes += p.Length
		parts++
	}
	return bytes, parts
}

// index returns which part a byte is in, or how many there are for one behind all.
func (m *Map) index(at int64) int {
	i, _ := slices.BinarySearchFunc(m.parts, at, func(p Part, at int64) int {
		if p.end() <= at {
			return -1
		}
		return 1 // the first of these it is
	})
	return i
}

// next returns the first part of a status at a byte or behind it, without what lies
// before that byte.
func (m *Map) next(at int64, s Status) (Part, bool) {
	at = max(at, 0)
	for i := m.index(at); i < len(m.parts); i++ {
		if p := m.parts[i]; p.Status == s {
			start := max(p.Start, at)
			return Part{Start: start, Length: p.end() - start, Status: s}, true
		}
	}
	return Part{}, false
}

// previous returns the last part of a status before a byte, without what lies at
// that byte or behind it.
func (m *Map) previous(at int64, s Status) (Part, bool) {
	for i := min(m.index(at-1), len(m.parts)-1); at > 0 && i >= 0; i-- {
		if p := m.parts[i]; p.Status == s {
			return Part{Start: p.Start, Length: min(p.end(), at) - p.Start, Status: s}, true
		}
	}
	return Part{}, false
}

// set gives a range, which lies within the map, a status.
func (m *Map) set(start, length int64, s Status) {
	if length <= 0 {
		return
	}
	first, last := m.index(start), m.index(start+length-1)
	with := make([]Part, 0, 5)
	add := func(p Part) {
		if n := len(with); n > 0 && with[n-1].Status == p.Status {
			with[n-1].Length += p.Length
		} else if p.Length > 0 {
			with = append(with, p)
		}
	}
	if first > 0 {
		first--
		add(m.parts[first])
	}
	head := m.parts[m.index(start)]
	add(Part{Start: head.Start, Length: start - head.Start, Status: head.Status})
	add(Part{Start: start, Length: length, Status: s})
	tail := m.parts[last]
	add(Part{Start: start + length, Length: tail.end() - start - length, Status: tail.Status})
	if last+1 < len(m.parts) {
		last++
		add(m.parts[last])
	}
	m.parts = slices.Replace(m.parts, first, last+1, with...)
}

// align has parts begin at multiples of a block: one of which a part is known, and a
// part not, or otherwise, counts as not tried. Where ddrescue was told to copy a
// part of a disk there may be such.
func (m *Map) align(block int64) {
	var mixed []int64
	for _, p := range m.parts {
		if p.Start%block != 0 {
			mixed = append(mixed, p.Start-p.Start%block)
		}
	}
	for _, at := range mixed {
		m.set(at, min(block, m.Size()-at), NonTried)
	}
}
