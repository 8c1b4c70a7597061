package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// devExtent is a DEV_EXTENT, or a chunk's stripe in the same form.
type devExtent struct {
	physical uint64
	length   uint64
	chunk    ondisk.Logical
}

func (e devExtent) String() string {
	return fmt.Sprintf("device extent at physical %d+%d of chunk %d", e.physical, e.length, e.chunk)
}

func compareDevExtents(a, b devExtent) int {
	return cmp.Or(cmp.Compare(a.physical, b.physical), cmp.Compare(a.length, b.length), cmp.Compare(a.chunk, b.chunk))
}

func (c *checker) devLeaf(l *leaf) {
	for _, item := range l.items {
		place := l.at(item.Key)
		switch item.Key.Type {
		case ondisk.TypeDevExtent:
			d, err := ondisk.DecodeDevExtent(item.Data)
			if err != nil {
				c.log.add(place, "%v", err)
				continue
			}
			if d.ChunkTree != ondisk.ChunkTree || d.ChunkObjectID != ondisk.FirstChunkTree || item.Key.ObjectID != c.super.DevItem.DevID {
				c.log.add(place, "chunk tree %d and chunk objectid %d, expected %d and %d on device %d",
					d.ChunkTree, d.ChunkObjectID, ondisk.ChunkTree, ondisk.FirstChunkTree, c.super.DevItem.DevID)
			}
			// The kernel leaves this UUID zero or sets it; mkfs sets it.
			if d.ChunkUUID != c.chunkUUID && d.ChunkUUID != [ondisk.UUIDSize]byte{} {
				c.log.add(place, "chunk tree UUID %x, expected %x", d.ChunkUUID, c.chunkUUID)
			}
			c.devExtents = append(c.devExtents, devExtent{physical: item.Key.Offset, length: d.Length, chunk: d.ChunkOffset})
		case ondisk.TypePersistentItem: // statistics of I/O errors
		default:
			c.log.add(place, "does not belong in the device tree")
		}
	}
}

// checkDevice compares device extents with the stripes of the chunks, both
// ways, and the bytes used of the device.
func (c *checker) checkDevice() {
	if c.brokenTrees[ondisk.DevTree] || c.brokenTrees[ondisk.ChunkTree] || c.brokenTrees[ondisk.RootTree] {
		c.log.skip("device extents: a part of the device tree, chunk tree or root tree cannot be read")
		return
	}
	if len(c.devItems) != 1 {
		c.log.add(text("chunk tree"), "%d device items, expected 1", len(c.devItems))
	}
	var stripes []devExtent
	for i := range c.chunks {
		for _, s := range c.chunks[i].item.Stripes {
			stripes = append(stripes, devExtent{physical: uint64(s.Offset), length: c.chunks[i].length, chunk: c.chunks[i].start})
		}
	}
	slices.SortFunc(stripes, compareDevExtents)
	slices.SortFunc(c.devExtents, compareDevExtents)
	var used uint64
	for i, e := range c.devExtents {
		used += e.length
		if _, ok := slices.BinarySearchFunc(stripes, e, compareDevExtents); !ok {
			c.log.add(e, "is not a stripe of that chunk")
		}
		if i > 0 && e.physical-c.devExtents[i-1].physical < c.devExtents[i-1].length {
			c.log.add(e, "overlaps the %v", c.devExtents[i-1])
		}
		if e.physical < ondisk.FirstUsable {
			c.log.add(e, "lies in the first %d bytes, which are reserved", ondisk.FirstUsable)
		}
	}
	for _, s := range stripes {
		if _, ok := slices.BinarySearchFunc(c.devExtents, s, compareDevExtents); !ok {
			c.log.add(s, "is missing, though the chunk has such a stripe")
		}
	}
	for _, d := range c.devItems {
		if d.BytesUsed != used {
			c.log.add(text(fmt.Sprintf("device %d", d.DevID)), "bytes_used %d, its extents add up to %d", d.BytesUsed, used)
		}
	}
}
