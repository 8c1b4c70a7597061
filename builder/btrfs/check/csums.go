package check

import (
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// csumLeaf records which addresses have checksums. The checksums themselves
// are read again when data is verified, so that they need not be kept.
func (c *checker) csumLeaf(l *leaf) {
	size := uint64(c.super.Checksum.Size())
	for _, item := range l.items {
		place := l.at(item.Key)
		start, n := ondisk.Logical(item.Key.Offset), uint64(len(item.Data))
		switch {
		case item.Key.Type != ondisk.TypeExtentCsum || item.Key.ObjectID != ondisk.ExtentCsum:
			c.log.add(place, "does not belong in the checksum tree")
			continue
		case item.Key.Offset%ondisk.SectorSize != 0 || n == 0 || n%size != 0:
			c.log.add(place, "%d bytes of checksums, expected a multiple of %d at a multiple of %d", n, size, ondisk.SectorSize)
			continue
		}
		s := span{start: start, length: n / size * ondisk.SectorSize}
		if s.end() < s.start {
			c.log.add(place, "reaches beyond the address space")
			continue
		}
		last := len(c.csums) - 1
		switch {
		case last >= 0 && c.csums[last].end() > start:
			c.log.add(place, "overlaps the checksums before, which end at %d", c.csums[last].end())
		case last >= 0 && c.csums[last].end() == start:
			c.csums[last].length += s.length
			continue
		}
		c.csums = append(c.csums, s)
	}
}

// checkCsumCoverage demands checksums where file data must have them, and none
// outside of data extents or for files that are to have none.
func (c *checker) checkCsumCoverage() {
	if c.brokenTrees[ondisk.CsumTree] || c.brokenTrees[ondisk.RootTree] {
		c.log.skip("checksums: a part of the checksum tree or of the root tree cannot be read")
		return
	}
	c.csums = mergeSpans(c.csums)
	for _, s := range c.csums {
		c.log.report.DataBytes += int64(s.length)
	}
	// Before they are merged, so that the extent can be named.
	slices.SortFunc(c.needCsum, compareSpans)
	for _, s := range subtract(c.needCsum, c.csums) {
		c.log.add(extentPlace{c: c, bytenr: s.start, length: s.length}, "has no checksums")
	}
	for _, s := range intersect(mergeSpans(c.refuseCsum), c.csums) {
		c.log.add(extentPlace{c: c, bytenr: s.start, length: s.length}, "has checksums, though its inode has the flag NODATASUM")
	}
	if !c.spaceKnown() {
		return
	}
	var data []span
	for i := range c.extents {
		if e := &c.extents[i]; e.data && e.start+ondisk.Logical(e.length) > e.start {
			data = append(data, span{start: e.start, length: e.length})
		}
	}
	for _, s := range subtract(c.csums, mergeSpans(data)) {
		c.log.add(extentPlace{c: c, bytenr: s.start, length: s.length}, "has checksums, but is not in a data extent")
	}
	c.needCsum, c.refuseCsum = nil, nil
}

// subtract returns the parts of sorted spans that covered, sorted and without
// overlaps, does not cover.
func subtract(spans, covered []span) []span {
	var out []span
	for _, s := range spans {
		for len(covered) > 0 && covered[0].end() <= s.start {
			covered = covered[1:]
		}
		at := s.start
		for _, v := range covered {
			if v.start >= s.end() {
				break
			}
			if v.start > at {
				out = append(out, span{start: at, length: uint64(v.start - at)})
			}
			at = max(at, v.end())
		}
		if at < s.end() {
			out = append(out, span{start: at, length: uint64(s.end() - at)})
		}
	}
	return out
}

// intersect returns the parts of sorted spans that covered covers; neither has
// overlaps.
func intersect(spans, covered []span) []span {
	var out []span
	for len(spans) > 0 && len(covered) > 0 {
		start, end := max(spans[0].start, covered[0].start), min(spans[0].end(), covered[0].end())
		if start < end {
			out = append(out, span{start: start, length: uint64(end - start)})
		}
		if spans[0].end() < covered[0].end() {
			spans = spans[1:]
		} else {
			covered = covered[1:]
		}
	}
	return out
}
