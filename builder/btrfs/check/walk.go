package check

import (
	"bytes"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// block is a distinct tree block that passed its checks.
type block struct {
	bytenr     ondisk.Logical
	generation uint64
	owner      uint64
	level      uint8
}

// tree is a tree being walked.
type tree struct {
	id     uint64
	item   *ondisk.RootItem // nil for the trees that the superblock names
	leaf   func(*leaf)      // called for each leaf, in key order
	breaks int              // parts that could not be read
}

// leaf is one leaf on its way through the handlers.
type leaf struct {
	tree       *tree
	bytenr     ondisk.Logical
	owner      uint64
	generation uint64
	items      []ondisk.Item
	fresh      bool // not met before, in this tree or in another
}

func (l *leaf) at(key ondisk.Key) itemPlace { return itemPlace{leaf: l, key: key} }

// dropping reports whether the tree is a deleted subvolume that the kernel has
// begun to take apart.
func (t *tree) dropping() bool { return t.item != nil && t.item.DropProgress != (ondisk.Key{}) }

// dropped reports whether the child at i of a node is gone already. Deletion
// goes from the lowest key up and stores the key of the next child to go in a
// node of level DropLevel (btrfs_drop_snapshot in the kernel's extent-tree.c);
// above that level only the children wholly before it are gone.
func (t *tree) dropped(level uint8, ptrs []ondisk.KeyPtr, i int) bool {
	if !t.dropping() || level < t.item.DropLevel {
		return false
	}
	if level == t.item.DropLevel {
		return ptrs[i].Key.Compare(t.item.DropProgress) < 0
	}
	return i+1 < len(ptrs) && ptrs[i+1].Key.Compare(t.item.DropProgress) <= 0
}

// walkTree walks a tree from its root block and counts the root's pointer.
func (c *checker) walkTree(t *tree, ref reader.BlockRef) {
	c.log.report.Trees++
	c.want = append(c.want, backref{bytenr: ref.Bytenr, root: t.id, count: 1})
	c.walk(t, ref, nil)
	if t.breaks > 0 {
		c.broken = true
		c.brokenTrees[t.id] = true
	}
}

// walk checks a block and everything below it. Keys in it must be below upper.
// The levels descend strictly and keys ascend, which ends it on any input.
func (c *checker) walk(t *tree, ref reader.BlockRef, upper *ondisk.Key) {
	if c.ctx.Err() != nil {
		t.breaks++
		return
	}
	_, seen := c.visited[ref.Bytenr]
	if seen && (t.id == ondisk.TreeReloc || t.item != nil && t.item.Refs == 0 && ondisk.IsSubvolume(t.id)) {
		return // nothing but its references counts, and those have been counted
	}
	raw, h, ok := c.load(t, ref, seen)
	if !ok {
		t.breaks++
		return
	}
	place := blockPlace{bytenr: ref.Bytenr, tree: t.id}
	if h.Level == 0 {
		c.walkLeaf(t, place, raw, h, !seen, upper)
		return
	}
	ptrs, err := ondisk.DecodeNode(raw)
	if err != nil {
		c.log.add(place, "%v", err)
		t.breaks++
		return
	}
	for i, p := range ptrs {
		if upper != nil && p.Key.Compare(*upper) >= 0 {
			c.log.add(place, "level %d: key %v, expected below %v, where its parent's next child starts", h.Level, p.Key, *upper)
			t.breaks++
			return
		}
		if t.dropped(h.Level, ptrs, i) {
			continue
		}
		if !seen {
			c.want = append(c.want, backref{bytenr: p.Block, parent: ref.Bytenr, root: h.Owner, count: 1})
		}
		next := upper
		if i+1 < len(ptrs) {
			next = &ptrs[i+1].Key
		}
		c.walk(t, reader.BlockRef{Bytenr: p.Block, Generation: p.Generation, Level: h.Level - 1, Owner: childOwner(t.id), FirstKey: &ptrs[i].Key}, next)
	}
}

// childOwner returns the owner that blocks below a tree's root must name.
func childOwner(tree uint64) uint64 {
	switch {
	case tree == ondisk.TreeReloc:
		return 0
	case ondisk.IsSubvolume(tree):
		return reader.AnySubvolume
	}
	return tree
}

func (c *checker) walkLeaf(t *tree, place blockPlace, raw []byte, h ondisk.Header, fresh bool, upper *ondisk.Key) {
	items, err := ondisk.DecodeLeaf(raw)
	if err != nil {
		c.log.add(place, "%v", err)
		t.breaks++
		return
	}
	if n := len(items); n > 0 && upper != nil && items[n-1].Key.Compare(*upper) >= 0 {
		c.log.add(place, "level 0: key %v, expected below %v, where its parent's next child starts", items[n-1].Key, *upper)
	}
	t.leaf(&leaf{tree: t, bytenr: place.bytenr, owner: h.Owner, generation: h.Generation, items: items, fresh: fresh})
}

// load reads a block. Of one not met before it checks every copy; otherwise
// the first good copy will do.
func (c *checker) load(t *tree, ref reader.BlockRef, seen bool) ([]byte, ondisk.Header, bool) {
	place := blockPlace{bytenr: ref.Bytenr, tree: t.id}
	size := c.super.NodeSize
	if uint64(ref.Bytenr)%ondisk.SectorSize != 0 {
		c.log.add(place, "address not a multiple of %d", ondisk.SectorSize)
		return nil, ondisk.Header{}, false
	}
	copies, err := c.fs.Copies(ref.Bytenr, int64(size))
	if err != nil {
		c.log.add(place, "level %d: %v", ref.Level, err)
		return nil, ondisk.Header{}, false
	}
	var good []byte
	var header ondisk.Header
	buf := make([]byte, size)
	for i, at := range copies {
		place.copy, place.of, place.physical = i+1, len(copies), at
		if !seen {
			c.log.report.BlockCopies++
		}
		err := c.fs.ReadCopy(buf, at)
		if err == nil && good != nil && bytes.Equal(buf, good) {
			continue
		}
		var h ondisk.Header
		if err == nil {
			h, err = c.fs.CheckBlock(buf, ref)
		}
		switch {
		case err != nil && !seen:
			c.log.add(place, "level %d: %v", ref.Level, err)
		case err == nil && good != nil:
			c.log.add(place, "differs from the copy before, and both have right checksums")
		case err == nil:
			if good, header = slices.Clone(buf), h; seen {
				return good, header, true
			}
		}
	}
	if good == nil {
		if seen { // good on its own, but not what this referrer says it is
			_, err := c.fs.CheckBlock(buf, ref)
			c.log.add(blockPlace{bytenr: ref.Bytenr, tree: t.id}, "level %d: %v", ref.Level, err)
		}
		return nil, ondisk.Header{}, false
	}
	if !seen {
		c.enter(t, good, header)
	}
	return good, header, true
}

// enter records a block met for the first time and checks what CheckBlock
// leaves out.
func (c *checker) enter(t *tree, raw []byte, h ondisk.Header) {
	place := blockPlace{bytenr: h.Bytenr, tree: t.id}
	c.visited[h.Bytenr] = uint32(len(c.blocks))
	c.blocks = append(c.blocks, block{bytenr: h.Bytenr, generation: h.Generation, owner: h.Owner, level: h.Level})
	c.log.report.Blocks++
	if h.Flags>>56 != ondisk.BackrefRev>>56 || h.Flags&^(0xff<<56|ondisk.FlagWritten|ondisk.FlagReloc) != 0 {
		c.log.add(place, "header flags %#x, expected %#x", h.Flags, ondisk.FlagWritten|ondisk.BackrefRev)
	}
	if h.Generation > c.super.Generation {
		c.log.add(place, "generation %d, the superblock has %d", h.Generation, c.super.Generation)
	}
	if len(c.blocks) == 1 {
		c.chunkUUID = h.ChunkUUID
	}
	if h.ChunkUUID != c.chunkUUID {
		c.log.add(place, "chunk tree UUID %x, expected %x as in the chunk tree's root", h.ChunkUUID, c.chunkUUID)
	}
	if size := c.super.Checksum.Size(); !isZero(raw[size:ondisk.ChecksumSize]) {
		c.log.add(place, "bytes behind the checksum are not zero")
	}
}

func isZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
