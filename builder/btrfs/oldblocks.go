package btrfs

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// oldTree says where an older file system has the blocks of one tree, and with which
// keys they begin. A new tree is cut at the same keys and has its blocks at the same
// places. So an item that is added or grows changes its own leaf and, where that
// overflows or begins with another key, those above; not all that follow, as in a tree
// filled from the start. Where a leaf overflows, what is left over stays a short leaf.
type oldTree [ondisk.MaxLevel][]oldBlock // by level, each in the order of keys

type oldBlock struct {
	first ondisk.Key
	at    ondisk.Logical
}

// oldTreeID names a tree, or the part of it in chunks with some flags: chunks with
// another number of copies are not kept.
type oldTreeID struct {
	flags ondisk.BlockGroupFlags
	owner uint64
}

// addBlock adds a tree block that begins with a key. It reports whether the block is
// where one of a new file system may be.
func (p *Places) addBlock(at ondisk.Logical, owner uint64, level uint8, first ondisk.Key) bool {
	c := p.chunkAt(at)
	if c == nil || c.unfit || c.flags&ondisk.GroupMetadata == 0 || at%ondisk.NodeSize != 0 || int(level) >= ondisk.MaxLevel ||
		!c.occupy(at, at+ondisk.NodeSize) {
		return false
	}
	c.known = true
	tree := p.trees[oldTreeID{c.flags, owner}]
	if tree == nil {
		tree = new(oldTree)
		p.trees[oldTreeID{c.flags, owner}] = tree
	}
	tree[level] = append(tree[level], oldBlock{first, at})
	p.note(uint64(at), owner, uint64(level), first.ObjectID, uint64(first.Type), first.Offset)
	return true
}

// sortBlocks brings the blocks of all trees from the order of their places to that of
// their keys. A tree ends in one root; what has more of them at the highest level is
// none, and cut like it a new one could get too high.
func (p *Places) sortBlocks() {
	for _, tree := range p.trees {
		if len(tree[ondisk.MaxLevel-1]) > 1 {
			*tree = oldTree{}
		}
		for level := range tree {
			slices.SortStableFunc(tree[level], func(a, b oldBlock) int { return a.first.Compare(b.first) })
		}
	}
}

// tree returns the blocks of a tree in chunks with some flags, or nil where there are
// none.
func (p *Places) tree(flags ondisk.BlockGroupFlags, owner uint64) *oldTree {
	if p == nil {
		return nil
	}
	return p.trees[oldTreeID{flags, owner}]
}

// blocks returns how many blocks some trees have in chunks with some flags.
func (p *Places) blocks(flags ondisk.BlockGroupFlags, owners ...uint64) (n int) {
	for _, owner := range owners {
		if tree := p.tree(flags, owner); tree != nil {
			for _, level := range tree {
				n += len(level)
			}
		}
	}
	return n
}

// seams goes over the keys with which the blocks of one level began. What sorts before
// all of them belongs to the first block.
type seams struct {
	rest  []oldBlock
	place ondisk.Logical // of the block being filled, 0 for any
}

func newSeams(blocks []oldBlock) seams {
	if len(blocks) == 0 {
		return seams{}
	}
	return seams{rest: blocks[1:], place: blocks[0].at}
}

// cross moves on to the older block that a key belongs to, and reports whether that
// is another one than for the key before, and its place.
func (s *seams) cross(key ondisk.Key) (place ondisk.Logical, crossed bool) {
	for len(s.rest) > 0 && s.rest[0].first.Compare(key) <= 0 {
		place, crossed = s.rest[0].at, true
		s.rest = s.rest[1:]
	}
	return place, crossed
}

// take returns the place for the block that is full, and none for one that follows
// before the next seam.
func (s *seams) take() ondisk.Logical {
	place := s.place
	s.place = 0
	return place
}

// chunkAt returns the chunk that may hold an address, or nil.
func (p *Places) chunkAt(at ondisk.Logical) *oldChunk {
	i, found := slices.BinarySearchFunc(p.chunks, at, func(c *oldChunk, l ondisk.Logical) int { return cmp.Compare(c.logical, l) })
	if !found {
		i--
	}
	if i < 0 {
		return nil
	}
	return p.chunks[i]
}
