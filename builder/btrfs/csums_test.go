package btrfs

import (
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
