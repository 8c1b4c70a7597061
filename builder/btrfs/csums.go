package btrfs

import "github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"

// csumWriter gathers the checksums of adjacent sectors into items. They come
// in the order of addresses, so the tree is loaded while data is written.
type csumWriter struct {
	loader *loader
	space  *space
	size   int            // of one checksum
	start  ondisk.Logical // of the item being filled
	next   ondisk.Logical // the sector after it
	data   []byte
}

// maxItemSums is how many checksums an item holds: the kernel's
// MAX_CSUM_ITEMS, which leaves room for a second item in the leaf.
func maxItemSums(size int) int {
	return (ondisk.LeafSpace(ondisk.NodeSize)-2*ondisk.ItemHeaderSize)/size - 1
}

// add takes the checksums of the sectors from an address on. An item does not
// reach over the end of a chunk.
func (c *csumWriter) add(at ondisk.Logical, sums []byte) error {
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
		c.data = append(c.data, sums[:n]...)
		at += ondisk.Logical(n / c.size * ondisk.SectorSize)
		c.next, sums = at, sums[n:]
		if len(c.data) == most {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *csumWriter) flush() error {
	if len(c.data) == 0 {
		return nil
	}
	err := c.loader.add(ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum, Offset: uint64(c.start)}, c.data)
	c.data = c.data[:0]
	return err
}
