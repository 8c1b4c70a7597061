package health

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

func readerDamage(i int) reader.Damage {
	return reader.Damage{Logical: ondisk.Logical(i) * ondisk.SectorSize, Copy: 1, Copies: 1, Data: true}
}

func TestExtent(t *testing.T) {
	const s = ondisk.SectorSize
	regular := ondisk.FileExtent{Kind: ondisk.ExtentRegular, DiskBytenr: 10 * s, DiskNumBytes: 4 * s, NumBytes: 4 * s}
	part, packed, prealloc, hole, wraps := regular, regular, regular, regular, regular
	part.Offset, part.NumBytes = s, 2*s
	packed.Compression, packed.NumBytes, packed.DiskNumBytes = ondisk.CompressZstd, 32*s, 4*s
	prealloc.Kind, hole.DiskBytenr = ondisk.ExtentPrealloc, 0
	wraps.DiskNumBytes = ^uint64(0)
	tests := []struct {
		name string
		e    ondisk.FileExtent
		lost []ondisk.Logical // sectors
		want []Range
	}{
		{"one below", regular, []ondisk.Logical{9}, nil},
		{"first", regular, []ondisk.Logical{10}, []Range{{100 * s, s}}},
		{"last", regular, []ondisk.Logical{13}, []Range{{103 * s, s}}},
		{"one above", regular, []ondisk.Logical{14}, nil},
		{"neighbours", regular, []ondisk.Logical{9, 10, 11, 13, 14}, []Range{{100 * s, 2 * s}, {103 * s, s}}},
		{"before the part", part, []ondisk.Logical{10}, nil},
		{"of the part", part, []ondisk.Logical{10, 11, 12}, []Range{{100 * s, 2 * s}}},
		{"behind the part", part, []ondisk.Logical{13}, nil},
		{"compressed", packed, []ondisk.Logical{12, 13}, []Range{{100 * s, 32 * s}}},
		{"prealloc", prealloc, []ondisk.Logical{10}, nil},
		{"hole", hole, []ondisk.Logical{0, 1}, nil},
		{"hostile", wraps, []ondisk.Logical{10}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := namer{}
			for _, l := range tt.lost {
				n.lost = append(n.lost, l*s)
			}
			n.extent(100*s, tt.e)
			if diff := cmp.Diff(tt.want, n.ranges); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	n := namer{}
	for i := range int64(maxRanges + 1) {
		if n.add(Range{2 * i, 1}); len(n.ranges) != int(min(i+1, maxRanges)) {
			t.Fatalf("%d ranges are kept of %d", len(n.ranges), i+1)
		}
	}
}
