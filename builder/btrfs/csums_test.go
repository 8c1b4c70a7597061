package btrfs

import (
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// TestCsumRuns joins adjacent sectors, but not over the end of a chunk: balance
// moves the items of one chunk.
func TestCsumRuns(t *testing.T) {
	const sector = ondisk.SectorSize
	c := csumWriter{size: 4, space: &space{chunks: []*chunk{{logical: 0, length: 2 * sector}, {logical: 2 * sector, length: 4 * sector}}}}
	for _, at := range []ondisk.Logical{0, sector, 2 * sector, 3 * sector, 5 * sector} {
		c.add(at, []byte("sums"))
	}
	want := []csumRun{{0, 0, 8}, {2 * sector, 8, 16}, {5 * sector, 16, 20}}
	if len(c.runs) != len(want) {
		t.Fatalf("%v; want %v", c.runs, want)
	}
	for i, r := range c.runs {
		if r != want[i] {
			t.Errorf("run %d is %v; want %v", i, r, want[i])
		}
	}
}

// TestCsumSeams ends items where those of an older file system start, and where they
// are full.
func TestCsumSeams(t *testing.T) {
	const sector = ondisk.SectorSize
	most := maxItemSums(4)
	for _, tt := range []struct {
		starts  []int // in sectors
		sectors int
		want    []int // where items start
	}{
		{nil, 10, []int{0}}, {[]int{0}, 10, []int{0}}, {[]int{1}, 10, []int{0, 1}}, {[]int{9}, 10, []int{0, 9}}, {[]int{10}, 10, []int{0}}, {[]int{11}, 10, []int{0}},
		{[]int{0, 1, 2}, 3, []int{0, 1, 2}}, {[]int{1, 5, 100}, 10, []int{0, 1, 5}},
		{nil, most, []int{0}}, {nil, most + 1, []int{0, most}}, {[]int{most - 1}, most + 1, []int{0, most - 1}},
		{[]int{most}, most + 1, []int{0, most}}, {[]int{most + 1}, most + 2, []int{0, most, most + 1}}, {[]int{5}, most + 6, []int{0, 5, most + 5}},
	} {
		const start = ondisk.Logical(1 << 20)
		store := &memoryStore{blocks: map[ondisk.Logical][]byte{}}
		c := csumWriter{size: 4, space: &space{chunks: []*chunk{{logical: start, length: 1 << 30}}}, loader: newLoader(store, ondisk.CsumTree, ondisk.Header{}, nil)}
		for _, s := range tt.starts {
			c.starts = append(c.starts, start+ondisk.Logical(s*sector))
		}
		c.add(start, make([]byte, 4*tt.sectors))
		if err := c.finish(); err != nil {
			t.Fatal(err)
		}
		root, err := c.loader.finish()
		if err != nil {
			t.Fatal(err)
		}
		first := ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum, Offset: uint64(start)}
		var got []int
		bytes := 0
		for _, item := range store.walk(t, root.Block, root.Level, first) {
			got = append(got, int(item.Key.Offset-uint64(start))/sector)
			bytes += len(item.Data)
		}
		if !slices.Equal(got, tt.want) || bytes != 4*tt.sectors {
			t.Errorf("%d sectors, seams at %v: items at %v of %d bytes; want %v", tt.sectors, tt.starts, got, bytes, tt.want)
		}
	}
}
