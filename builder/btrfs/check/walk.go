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

// onlyReferences reports whether nothing of the tree counts but the references
// it makes: a relocation tree, or a deleted subvolume.
func (t *tree) onlyReferences() bool {
	return t.id == ondisk.TreeReloc || ondisk.IsSubvolume(t.id) && t.item != nil && t.item.Refs == 0
}

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
	if seen && t.onlyReferences() {
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
		child := reader.ChildRef(t.id, h.Level, p)
		if t.id == ondisk.TreeReloc {
			child.Owner = 0
		}
		c.walk(t, child, next)
	}
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
	if uint64(ref.Bytenr)%ondisk.SectorSize != 0 {
		c.log.add(place, "level %d: address not a multiple of %d", ref.Level, ondisk.SectorSize)
		return nil, ondisk.Header{}, false
	}
	copies, err := c.fs.Copies(ref.Bytenr, int64(c.super.NodeSize))
	if err != nil {
		c.log.add(place, "level %d: %v", ref.Level, err)
		return nil, ondisk.Header{}, false
	}
	if seen {
		return c.loadAgain(place, ref, copies)
	}
	var good []byte
	var header ondisk.Header
	buf := make([]byte, c.super.NodeSize)
	padding := buf[c.super.Checksum.Size():ondisk.ChecksumSize]
	for i, at := range copies {
		place.copy, place.of, place.physical = i+1, len(copies), at
		c.log.report.BlockCopies++
		err := c.fs.ReadCopy(buf, at)
		// Nothing covers these bytes; they must not make copies differ.
		padded := !isZero(padding)
		clear(padding)
		var h ondisk.Header
		if err == nil && !bytes.Equal(buf, good) {
			h, err = c.fs.CheckBlock(buf, ref)
			if err == nil && good != nil {
				c.log.add(place, "level %d: differs from another copy, and both have right checksums", ref.Level)
			}
		}
		switch {
		case err != nil:
			c.log.add(place, "level %d: %v", ref.Level, err)
			c.damaged(reader.Damage{Logical: ref.Bytenr, Physical: at, Copy: i + 1, Copies: len(copies), Err: err})
			continue
		case padded:
			c.log.add(place, "level %d: bytes behind the checksum are not zero", ref.Level)
		}
		if good == nil {
			good, header = slices.Clone(buf), h
		}
	}
	if good == nil {
		return nil, ondisk.Header{}, false
	}
	c.enter(t, header)
	return good, header, true
}

// loadAgain reads a block that is known to have a good copy. It may still not
// be what this referrer says that it is.
func (c *checker) loadAgain(place blockPlace, ref reader.BlockRef, copies []ondisk.Physical) ([]byte, ondisk.Header, bool) {
	buf := make([]byte, c.super.NodeSize)
	var last error
	for _, at := range copies {
		if last = c.fs.ReadCopy(buf, at); last != nil {
			continue
		}
		var h ondisk.Header
		if h, last = c.fs.CheckBlock(buf, ref); last == nil {
			return buf, h, true
		}
	}
	c.log.add(place, "level %d: %v", ref.Level, last)
	return nil, ondisk.Header{}, false
}

// enter records a block met for the first time and checks what CheckBlock
// leaves out.
func (c *checker) enter(t *tree, h ondisk.Header) {
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
}

func isZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
