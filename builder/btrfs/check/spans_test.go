package check

import (
	"math/bits"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/google/go-cmp/cmp"
)

// spans makes spans from pairs of start and length.
func spans(v ...uint64) []span {
	var s []span
	for i := 0; i < len(v); i += 2 {
		s = append(s, span{start: ondisk.Logical(v[i]), length: v[i+1]})
	}
	return s
}

var compareAll = cmp.AllowUnexported(span{}, backref{}, chunk{}, link{})

func TestMergeSpans(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []span
	}{
		{"none", nil, nil},
		{"apart", spans(20, 5, 0, 5), spans(0, 5, 20, 5)},
		{"touching", spans(0, 5, 5, 5), spans(0, 10)},
		{"one apart", spans(0, 5, 6, 5), spans(0, 5, 6, 5)},
		{"overlapping", spans(0, 5, 4, 5), spans(0, 9)},
		{"inside", spans(0, 10, 2, 3, 11, 1), spans(0, 10, 11, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mergeSpans(c.in); !cmp.Equal(got, c.want, compareAll) && len(got)+len(c.want) > 0 {
				t.Errorf("mergeSpans = %v; want %v", got, c.want)
			}
		})
	}
}

func TestSubtractAndIntersect(t *testing.T) {
	for _, c := range []struct {
		name                    string
		in, covered, left, both []span
	}{
		{"nothing covered", spans(0, 5), nil, spans(0, 5), nil},
		{"all covered", spans(5, 5), spans(0, 20), nil, spans(5, 5)},
		{"exactly covered", spans(5, 5), spans(5, 5), nil, spans(5, 5)},
		{"one short at both ends", spans(5, 5), spans(6, 3), spans(5, 1, 9, 1), spans(6, 3)},
		{"hole in the middle", spans(0, 10), spans(0, 4, 6, 4), spans(4, 2), spans(0, 4, 6, 4)},
		{"cover of several", spans(0, 4, 8, 4), spans(2, 8), spans(0, 2, 10, 2), spans(2, 2, 8, 2)},
		{"beside", spans(5, 5), spans(0, 5, 10, 5), spans(5, 5), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := subtract(c.in, c.covered); !cmp.Equal(got, c.left, compareAll) {
				t.Errorf("subtract = %v; want %v", got, c.left)
			}
			if got := intersect(c.in, c.covered); !cmp.Equal(got, c.both, compareAll) {
				t.Errorf("intersect = %v; want %v", got, c.both)
			}
		})
	}
}

func TestGaps(t *testing.T) {
	g := &group{start: 100, length: 50}
	extents := func(v ...uint64) []extent {
		var e []extent
		for _, s := range spans(v...) {
			e = append(e, extent{start: s.start, length: s.length})
		}
		return e
	}
	for _, c := range []struct {
		name string
		in   []extent
		want []span
		rest int
	}{
		{"empty", nil, spans(100, 50), 0},
		{"full", extents(100, 50), nil, 0},
		{"one free at each end", extents(101, 48), spans(100, 1, 149, 1), 0},
		{"between", extents(100, 10, 120, 30), spans(110, 10), 0},
		{"adjacent", extents(100, 10, 110, 10), spans(120, 30), 0},
		{"next group", extents(100, 10, 150, 10), spans(110, 40), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, rest := gaps(g, c.in)
			if !cmp.Equal(got, c.want, compareAll) || len(rest) != c.rest {
				t.Errorf("gaps = %v, %d behind; want %v, %d", got, len(rest), c.want, c.rest)
			}
		})
	}
}

func TestWithin(t *testing.T) {
	removed := spans(10, 10, 30, 10)
	for _, c := range []struct {
		start, length uint64
		want          bool
	}{{10, 10, true}, {9, 10, false}, {11, 10, false}, {12, 3, true}, {20, 1, false}, {30, 1, true}, {39, 2, false}, {40, 1, false}} {
		if got := within(removed, span{start: ondisk.Logical(c.start), length: c.length}); got != c.want {
			t.Errorf("within(%d+%d) = %v; want %v", c.start, c.length, got, c.want)
		}
	}
}

func TestFreeBitmap(t *testing.T) {
	const sector = ondisk.SectorSize
	c := &checker{log: log{report: &Report{}}, spaceInfos: []spaceInfo{{span: span{start: 0, length: 32 * sector}}}}
	place := itemPlace{leaf: &leaf{tree: &tree{}}}
	c.freeBitmap(place, span{start: 0, length: 16 * sector}, []byte{0b10000110, 0b10000001})
	c.freeBitmap(place, span{start: 16 * sector, length: 16 * sector}, []byte{1, 0b01000000})
	want := spans(sector, 2*sector, 7*sector, 2*sector, 15*sector, 2*sector, 30*sector, sector)
	if !cmp.Equal(c.freeRanges, want, compareAll) || c.log.report.Found != 0 {
		t.Errorf("freeBitmap = %v and %d problems; want %v", c.freeRanges, c.log.report.Found, want)
	}
	c.freeBitmap(place, span{start: 0, length: 17 * sector}, []byte{0, 0})
	if c.log.report.Found != 1 {
		t.Errorf("a bitmap that is too short: %d problems, want 1", c.log.report.Found)
	}
}

// FuzzSubtract compares set arithmetic on spans with that on bits.
func FuzzSubtract(f *testing.F) {
	f.Add(uint64(0xff), uint64(0x0f))
	f.Add(uint64(1)<<63|1, uint64(3))
	f.Add(^uint64(0), uint64(0x5555555555555555))
	toSpans := func(v uint64) []span {
		var s []span
		for v != 0 {
			from := bits.TrailingZeros64(v)
			n := bits.TrailingZeros64(^(v >> from))
			s = append(s, span{start: ondisk.Logical(from), length: uint64(n)})
			if from+n >= 64 {
				break
			}
			v &^= 1<<(from+n) - 1
		}
		return s
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		if got := mergeSpans(subtract(toSpans(a), toSpans(b))); !cmp.Equal(got, toSpans(a&^b), compareAll) && a&^b != 0 {
			t.Errorf("subtract(%b, %b) = %v", a, b, got)
		}
		if got := mergeSpans(intersect(toSpans(a), toSpans(b))); !cmp.Equal(got, toSpans(a&b), compareAll) && a&b != 0 {
			t.Errorf("intersect(%b, %b) = %v", a, b, got)
		}
	})
}
