package check

import (
	"fmt"
	"slices"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// span is a range of logical addresses.
type span struct {
	start  ondisk.Logical
	length uint64
}

func (s span) end() ondisk.Logical { return s.start + ondisk.Logical(s.length) }

func compareSpans(a, b span) int { return compareLogical(a.start, b.start) }

// mergeSpans sorts spans and joins those that touch or overlap.
func mergeSpans(spans []span) []span {
	slices.SortFunc(spans, compareSpans)
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.start <= out[n-1].end() {
			out[n-1].length = uint64(max(out[n-1].end(), s.end()) - out[n-1].start)
			continue
		}
		out = append(out, s)
	}
	return out
}

// spaceInfo is a FREE_SPACE_INFO.
type spaceInfo struct {
	span
	info ondisk.FreeSpaceInfo
}

func (c *checker) freeSpaceLeaf(l *leaf) {
	for _, item := range l.items {
		place := l.at(item.Key)
		s := span{start: ondisk.Logical(item.Key.ObjectID), length: item.Key.Offset}
		if item.Key.ObjectID%ondisk.SectorSize != 0 || s.length%ondisk.SectorSize != 0 || s.length == 0 || s.end() < s.start {
			c.log.add(place, "expected start and length multiples of %d", ondisk.SectorSize)
			continue
		}
		switch item.Key.Type {
		case ondisk.TypeFreeSpaceInfo:
			info, err := ondisk.DecodeFreeSpaceInfo(item.Data)
			if err != nil {
				c.log.add(place, "%v", err)
				continue
			}
			if info.Flags&^ondisk.FreeSpaceUsingBitmaps != 0 {
				c.log.add(place, "flags %#x, expected 0 or %d", info.Flags, ondisk.FreeSpaceUsingBitmaps)
			}
			c.spaceInfos = append(c.spaceInfos, spaceInfo{span: s, info: info})
		case ondisk.TypeFreeSpaceExtent:
			c.checkSpaceKind(place, 0)
			if len(item.Data) != 0 {
				c.log.add(place, "has %d bytes, expected none", len(item.Data))
			}
			c.freeRanges = append(c.freeRanges, s)
		case ondisk.TypeFreeSpaceBitmap:
			c.checkSpaceKind(place, ondisk.FreeSpaceUsingBitmaps)
			c.freeBitmap(place, s, item.Data)
		default:
			c.log.add(place, "does not belong in the free space tree")
		}
	}
}

// checkSpaceKind checks that a block group does not mix extents and bitmaps;
// its info item comes before both.
func (c *checker) checkSpaceKind(place itemPlace, kind uint32) {
	n := len(c.spaceInfos)
	if n == 0 {
		c.log.add(place, "stands before any FREE_SPACE_INFO")
		return
	}
	if got := c.spaceInfos[n-1].info.Flags & ondisk.FreeSpaceUsingBitmaps; got != kind {
		c.log.add(place, "the FREE_SPACE_INFO of its block group has flags %d, expected %d", got, kind)
	}
}

// freeBitmap turns the set bits of a bitmap, one for each sector from the
// lowest bit on, into ranges. Those of adjacent bitmaps are joined.
func (c *checker) freeBitmap(place itemPlace, s span, bitmap []byte) {
	if len(c.spaceInfos) == 0 {
		return // reported
	}
	sectors := s.length / ondisk.SectorSize
	if uint64(len(bitmap)) != (sectors+7)/8 {
		c.log.add(place, "bitmap of %d bytes, expected %d", len(bitmap), (sectors+7)/8)
		return
	}
	for i := uint64(0); i < sectors; i++ {
		if i%8 == 0 && bitmap[i/8] == 0 {
			i += 7
			continue
		}
		if bitmap[i/8]>>(i%8)&1 == 0 {
			continue
		}
		at := s.start + ondisk.Logical(i*ondisk.SectorSize)
		// A group's first range never joins the one of the group before.
		if n := len(c.freeRanges); n > 0 && c.freeRanges[n-1].end() == at && at != c.spaceInfos[len(c.spaceInfos)-1].start {
			c.freeRanges[n-1].length += ondisk.SectorSize
			continue
		}
		c.freeRanges = append(c.freeRanges, span{start: at, length: ondisk.SectorSize})
	}
}

// checkFreeSpace compares the free space tree with the gaps between the
// extents of each block group.
func (c *checker) checkFreeSpace() {
	if c.super.CompatROFlags&ondisk.CompatROFreeSpaceTreeValid == 0 || !c.spaceKnown() || !c.hasRoot(ondisk.FreeSpaceTree) {
		return
	}
	if c.brokenTrees[ondisk.FreeSpaceTree] {
		c.log.skip("free space: a part of the free space tree cannot be read")
		return
	}
	slices.SortFunc(c.spaceInfos, func(a, b spaceInfo) int { return compareSpans(a.span, b.span) })
	slices.SortFunc(c.freeRanges, compareSpans)
	removed := c.removedGroups()
	free, extents := slices.DeleteFunc(c.freeRanges, func(s span) bool { return within(removed, s) }), c.extents
	for i := range c.groups {
		g := &c.groups[i]
		var inside []span
		free, inside = c.cutRanges(free, g)
		var want []span
		want, extents = gaps(g, extents)
		c.compareFree(g, inside, want)
	}
	for _, s := range free {
		c.log.add(text(fmt.Sprintf("free space %d+%d", s.start, s.length)), "lies in no block group")
	}
}

// removedGroups returns the ranges of infos for which there is no block group.
// mkfs.btrfs leaves those of its temporary groups behind, and the kernel never
// looks at them, so they are only reported where a block group now lies.
func (c *checker) removedGroups() []span {
	var removed []span
	for _, s := range c.spaceInfos {
		g := sort.Search(len(c.groups), func(i int) bool { return c.groups[i].end() > s.start })
		switch {
		case g == len(c.groups) || c.groups[g].start >= s.end():
			removed = append(removed, s.span)
		case c.groups[g].start != s.start || c.groups[g].length != s.length:
			c.log.add(text(fmt.Sprintf("free space info %d+%d", s.start, s.length)), "there is no such block group")
		}
	}
	return removed
}

// within reports whether one of the sorted spans holds all of s.
func within(spans []span, s span) bool {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].end() > s.start })
	return i < len(spans) && spans[i].start <= s.start && s.end() <= spans[i].end()
}

// cutRanges returns the ranges inside a group, and those behind it; the ones
// before it are reported.
func (c *checker) cutRanges(free []span, g *group) (rest, inside []span) {
	for len(free) > 0 && free[0].start < g.start {
		c.log.add(text(fmt.Sprintf("free space %d+%d", free[0].start, free[0].length)), "lies in no block group")
		free = free[1:]
	}
	n := 0
	for n < len(free) && free[n].start < g.end() {
		n++
	}
	return free[n:], free[:n]
}

// gaps returns what the extents of a group leave free, and the extents behind
// the group.
func gaps(g *group, extents []extent) (free []span, rest []extent) {
	at := g.start
	for len(extents) > 0 && extents[0].start < g.end() {
		e := &extents[0]
		if e.start > at {
			free = append(free, span{start: at, length: uint64(e.start - at)})
		}
		at = max(at, e.start+ondisk.Logical(e.length))
		extents = extents[1:]
	}
	if at < g.end() {
		free = append(free, span{start: at, length: uint64(g.end() - at)})
	}
	return free, extents
}

func (c *checker) compareFree(g *group, have, want []span) {
	i, ok := slices.BinarySearchFunc(c.spaceInfos, g.start, func(s spaceInfo, at ondisk.Logical) int { return compareLogical(s.start, at) })
	if !ok {
		c.log.add(g, "has no FREE_SPACE_INFO")
		return
	}
	if info := c.spaceInfos[i].info; uint64(info.ExtentCount) != uint64(len(have)) {
		c.log.add(g, "FREE_SPACE_INFO has %d extents, the free space tree has %d", info.ExtentCount, len(have))
	}
	for len(have) > 0 || len(want) > 0 {
		switch {
		case len(want) == 0 || len(have) > 0 && have[0].start < want[0].start:
			c.log.add(g, "the free space tree has %d+%d, which is not a gap between extents", have[0].start, have[0].length)
			have = have[1:]
		case len(have) == 0 || want[0].start < have[0].start:
			c.log.add(g, "%d+%d is free, but not in the free space tree", want[0].start, want[0].length)
			want = want[1:]
		default:
			if have[0].length != want[0].length {
				c.log.add(g, "the free space tree has %d+%d, expected a length of %d", have[0].start, have[0].length, want[0].length)
			}
			have, want = have[1:], want[1:]
		}
	}
}
