package btrfs

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// csumWriter gathers the checksums of adjacent sectors into items. With the places
// of an older file system, sectors come in any order; so all are kept to the end.
type csumWriter struct {
	loader *loader
	space  *space
	size   int              // of one checksum
	starts []ondisk.Logical // of the items of the older file system
	runs   []csumRun
	sums   []byte // of all runs

	start ondisk.Logical // of the item being filled
	next  ondisk.Logical // the sector after it
	data  []byte
}

// csumRun are adjacent sectors of one chunk.
type csumRun struct {
	at         ondisk.Logical
	start, end int // of their checksums
}

// maxItemSums is how many checksums an item holds: the kernel's
// MAX_CSUM_ITEMS, which leaves room for a second item in the leaf.
func maxItemSums(size int) int {
	return (ondisk.LeafSpace(ondisk.NodeSize)-2*ondisk.ItemHeaderSize)/size - 1
}

// add takes the checksums of the sectors from an address on, which are in one chunk.
func (c *csumWriter) add(at ondisk.Logical, sums []byte) {
	if len(sums) == 0 {
		return
	}
	start := len(c.sums)
	c.sums = append(c.sums, sums...)
	if n := len(c.runs); n > 0 {
		last := &c.runs[n-1]
		if end := last.at + c.length(last.end-last.start); end == at && c.space.find(last.at) == c.space.find(at) {
			last.end = len(c.sums)
			return
		}
	}
	c.runs = append(c.runs, csumRun{at, start, len(c.sums)})
}

// length returns how long the sectors are that have so many bytes of checksums.
func (c *csumWriter) length(sums int) ondisk.Logical {
	return ondisk.Logical(sums / c.size * ondisk.SectorSize)
}

// finish loads all checksums into the tree.
func (c *csumWriter) finish() error {
	slices.SortFunc(c.runs, func(a, b csumRun) int { return cmp.Compare(a.at, b.at) })
	for _, r := range c.runs {
		if err := c.load(r.at, c.sums[r.start:r.end]); err != nil {
			return err
		}
	}
	c.runs, c.sums = nil, nil
	return c.flush()
}

// load adds checksums to the item being filled, or to new ones. An item does not
// reach over the end of a chunk.
func (c *csumWriter) load(at ondisk.Logical, sums []byte) error {
	most := maxItemSums(c.size) * c.size
	if len(c.data) > 0 && len(sums) > 0 && (at != c.next || c.space.find(at) != c.space.find(c.start)) {
		if err := c.flush(); err != nil {
			return err
		}
	}
	for len(sums) > 0 {
		if len(c.data) == 0 {
			c.start = at
		}
		n := min(len(sums), most-len(c.data))
		start, seam := c.nextStart(at)
		if seam {
			n = int(min(uint64(n), uint64(start-at)/ondisk.SectorSize*uint64(c.size)))
		}
		c.data = append(c.data, sums[:n]...)
		at += c.length(n)
		c.next, sums = at, sums[n:]
		if len(c.data) == most || seam && at == start {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextStart returns the first item of checksums of the older file system behind an
// address. Addresses must ascend.
func (c *csumWriter) nextStart(at ondisk.Logical) (ondisk.Logical, bool) {
	for len(c.starts) > 0 && c.starts[0] <= at {
		c.starts = c.starts[1:]
	}
	if len(c.starts) == 0 {
		return 0, false
	}
	return c.starts[0], true
}

func (c *csumWriter) flush() error {
	if len(c.data) == 0 {
		return nil
	}
	err := c.loader.add(ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum, Offset: uint64(c.start)}, c.data)
	c.data = c.data[:0]
	return err
}
