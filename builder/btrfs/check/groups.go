package check

import (
	"fmt"
	"slices"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// chunk is a CHUNK_ITEM, with its device extents.
type chunk struct {
	start  ondisk.Logical
	length uint64
	flags  ondisk.BlockGroupFlags
	item   ondisk.Chunk
}

func (k *chunk) same(o *ondisk.Chunk) bool {
	return k.length == o.Length && k.flags == o.Type && slices.Equal(k.item.Stripes, o.Stripes)
}

// group is a BLOCK_GROUP_ITEM.
type group struct {
	start  ondisk.Logical
	length uint64
	used   uint64
	flags  ondisk.BlockGroupFlags
}

func (g *group) end() ondisk.Logical { return g.start + ondisk.Logical(g.length) }

func (g *group) String() string { return fmt.Sprintf("block group %d+%d", g.start, g.length) }

func (c *checker) chunkLeaf(l *leaf) {
	for _, item := range l.items {
		place := l.at(item.Key)
		switch item.Key.Type {
		case ondisk.TypeChunkItem:
			k, rest, err := ondisk.DecodeChunk(item.Data)
			if err != nil {
				c.log.add(place, "%v", err)
				continue
			}
			if len(rest) != 0 || item.Key.ObjectID != ondisk.FirstChunkTree {
				c.log.add(place, "objectid %d with %d bytes behind the stripes, expected %d and none", item.Key.ObjectID, len(rest), ondisk.FirstChunkTree)
			}
			c.checkChunkForm(place, &k)
			c.chunks = append(c.chunks, chunk{start: ondisk.Logical(item.Key.Offset), length: k.Length, flags: k.Type, item: k})
		case ondisk.TypeDevItem:
			d, err := ondisk.DecodeDevItem(item.Data)
			if err != nil {
				c.log.add(place, "%v", err)
				continue
			}
			if item.Key.ObjectID != ondisk.DevItems || d.DevID != item.Key.Offset {
				c.log.add(place, "device %d, expected the key to name it", d.DevID)
			}
			c.devItems = append(c.devItems, d)
		default:
			c.log.add(place, "does not belong in the chunk tree")
		}
	}
}

// checkChunkForm checks what the reader lets pass in a chunk: it has checked
// its length, alignment, profile and place.
func (c *checker) checkChunkForm(place itemPlace, k *ondisk.Chunk) {
	if k.SectorSize != c.super.SectorSize || k.Owner != ondisk.ExtentTree {
		c.log.add(place, "sector size %d and owner %d, expected %d and %d", k.SectorSize, k.Owner, c.super.SectorSize, ondisk.ExtentTree)
	}
	kind := k.Type & ondisk.GroupTypeMask
	mixed := ondisk.GroupData | ondisk.GroupMetadata
	single := kind == ondisk.GroupData || kind == ondisk.GroupMetadata || kind == ondisk.GroupSystem
	if !single && (kind != mixed || c.super.IncompatFlags&ondisk.IncompatMixedGroups == 0) {
		c.log.add(place, "type %#x, expected one of data, metadata and system", uint64(k.Type))
	}
	for _, s := range k.Stripes {
		if s.DevUUID != c.super.DevItem.UUID {
			c.log.add(place, "stripe on device %x, expected %x", s.DevUUID, c.super.DevItem.UUID)
		}
	}
}

func (c *checker) findChunk(at ondisk.Logical) (int, bool) {
	return slices.BinarySearchFunc(c.chunks, at, func(k chunk, at ondisk.Logical) int { return compareLogical(k.start, at) })
}

func (c *checker) groupLeaf(l *leaf) {
	for _, item := range l.items {
		if item.Key.Type != ondisk.TypeBlockGroupItem {
			c.log.add(l.at(item.Key), "does not belong in the block group tree")
			continue
		}
		c.groupItem(l, item)
	}
}

func (c *checker) groupItem(l *leaf, item ondisk.Item) {
	place := l.at(item.Key)
	g, err := ondisk.DecodeBlockGroupItem(item.Data)
	if err != nil {
		c.log.add(place, "%v", err)
		return
	}
	if ownTree := c.super.CompatROFlags&ondisk.CompatROBlockGroupTree != 0; ownTree != (l.tree.id == ondisk.BlockGroupTree) {
		c.log.add(place, "stands in tree %d, and BLOCK_GROUP_TREE is set: %v", l.tree.id, ownTree)
	}
	if g.ChunkObjectID != ondisk.FirstChunkTree {
		c.log.add(place, "chunk objectid %d, expected %d", g.ChunkObjectID, ondisk.FirstChunkTree)
	}
	c.groups = append(c.groups, group{start: ondisk.Logical(item.Key.ObjectID), length: item.Key.Offset, used: g.Used, flags: g.Flags})
}

// spaceKnown reports whether all trees that the space accounting needs have
// been read, and notes once when not.
func (c *checker) spaceKnown() bool {
	for _, id := range []uint64{ondisk.RootTree, ondisk.ExtentTree, ondisk.BlockGroupTree, ondisk.ChunkTree} {
		if c.brokenTrees[id] {
			c.log.skip("references and space: a part of the extent tree or of the root tree cannot be read")
			return false
		}
	}
	return c.hasRoot(ondisk.ExtentTree)
}

// checkGroups compares block groups with chunks and with the extents inside.
func (c *checker) checkGroups() {
	if !c.spaceKnown() {
		return
	}
	c.matchGroups()
	used := make([]uint64, len(c.groups))
	var total uint64
	for i := range c.extents {
		e := &c.extents[i]
		total += e.length
		place := text(fmt.Sprintf("extent %d+%d", e.start, e.length))
		if i > 0 {
			if p := &c.extents[i-1]; uint64(e.start-p.start) < p.length {
				c.log.add(place, "overlaps the extent %d+%d", p.start, p.length)
			}
		}
		g := sort.Search(len(c.groups), func(i int) bool { return c.groups[i].start > e.start }) - 1
		if g < 0 || e.length > c.groups[g].length || uint64(e.start-c.groups[g].start) > c.groups[g].length-e.length {
			c.log.add(place, "is not inside a block group")
			continue
		}
		used[g] += e.length
		c.checkExtentGroup(place, e, &c.groups[g])
	}
	for i := range c.groups {
		if g := &c.groups[i]; used[i] != g.used {
			c.log.add(g, "used %d, the extents inside add up to %d", g.used, used[i])
		}
	}
	if total != c.super.BytesUsed {
		c.log.add(text("superblock"), "bytes_used %d, the extents add up to %d", c.super.BytesUsed, total)
	}
}

// checkExtentGroup checks that an extent is in a block group of its type.
func (c *checker) checkExtentGroup(place text, e *extent, g *group) {
	want, name := ondisk.GroupData, "data"
	if !e.data {
		want, name = ondisk.GroupMetadata, "metadata"
		if i, ok := c.visited[e.start]; ok && c.blocks[i].owner == ondisk.ChunkTree {
			want, name = ondisk.GroupSystem, "chunk tree block"
		}
		if uint64(e.start)%ondisk.StripeLen+e.length > ondisk.StripeLen {
			c.log.add(place, "tree block crosses a stripe of %d bytes", ondisk.StripeLen)
		}
	}
	if g.flags&want == 0 {
		c.log.add(place, "%s in a block group of type %#x", name, uint64(g.flags))
	}
}

// matchGroups demands one block group for each chunk, with its range and type.
func (c *checker) matchGroups() {
	slices.SortFunc(c.groups, func(a, b group) int { return compareLogical(a.start, b.start) })
	for i := range c.groups {
		g := &c.groups[i]
		k, ok := c.findChunk(g.start)
		switch {
		case !ok:
			c.log.add(g, "has no chunk")
		case g.length != c.chunks[k].length || g.flags != c.chunks[k].flags:
			c.log.add(g, "type %#x; its chunk has %d bytes and type %#x", uint64(g.flags), c.chunks[k].length, uint64(c.chunks[k].flags))
		case i > 0 && g.start == c.groups[i-1].start:
			c.log.add(g, "stands twice")
		}
	}
	for i := range c.chunks {
		if _, ok := slices.BinarySearchFunc(c.groups, c.chunks[i].start, func(g group, at ondisk.Logical) int { return compareLogical(g.start, at) }); !ok {
			c.log.add(text(fmt.Sprintf("chunk %d+%d", c.chunks[i].start, c.chunks[i].length)), "has no block group")
		}
	}
}

func compareLogical(a, b ondisk.Logical) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
