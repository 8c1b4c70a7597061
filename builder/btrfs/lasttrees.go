package btrfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// The last trees describe all blocks, their own among them: the extent tree
// has an item for each, the block groups and the free space tree say how much
// is used, the root tree where the others are. So their blocks are counted and
// allocated first, and written when nothing changes any more.

// lastTree is a tree whose items are known only once all blocks are.
type lastTree struct {
	id     uint64
	fill   func(*loader) error
	old    *oldTree       // whose seams and places it has, or nil
	blocks []blockRequest // in the order in which they are stored
}

// lastTreeIDs are the ids of all trees that may be last.
var lastTreeIDs = []uint64{ondisk.FreeSpaceTree, ondisk.BlockGroupTree, ondisk.ExtentTree, ondisk.RootTree}

func (w *writer) lastTrees() []*lastTree {
	trees := []*lastTree{{id: ondisk.FreeSpaceTree, fill: func(l *loader) error { return load(l, w.freeSpace()) }}}
	if w.params.BlockGroupTree {
		trees = append(trees, &lastTree{id: ondisk.BlockGroupTree, fill: func(l *loader) error { return load(l, w.blockGroups()) }})
	}
	trees = append(trees,
		&lastTree{id: ondisk.ExtentTree, fill: w.fillExtentTree},
		&lastTree{id: ondisk.RootTree, fill: func(l *loader) error { return load(l, w.rootItems()) }})
	for _, t := range trees {
		t.old = w.params.Places.tree(w.space.flags(ondisk.GroupMetadata), t.id)
	}
	return trees
}

// writeLastTrees allocates the blocks of the last trees, then writes them.
func (w *writer) writeLastTrees() error {
	w.extents.sort()
	trees := w.lastTrees()
	if err := w.settle(trees); err != nil {
		return err
	}
	next := w.meta.list[len(w.meta.list)-countBlocks(trees):]
	for _, t := range trees {
		store := &reservedStore{metaStore: w.meta, next: next[:len(t.blocks)]}
		next = next[len(t.blocks):]
		l := newLoader(store, t.id, w.header, t.old)
		if err := t.fill(l); err != nil {
			return err
		}
		if err := w.finishTree(l, treeRoot{id: t.id}); err != nil {
			return err
		}
	}
	return w.meta.run.flush()
}

// settle allocates blocks for the last trees: those that they take, counted with these
// blocks listed. With the seams and places of older trees, blocks may join ranges of
// free space and so take items away, which may go round in a circle; then the trees are
// packed.
func (w *writer) settle(trees []*lastTree) error {
	settled, err := w.settleIn(w.sizes.rounds, trees)
	if settled || err != nil {
		return err
	}
	for _, t := range trees {
		t.old = nil
	}
	settled, err = w.settleIn(maxRounds, trees)
	if err == nil && !settled {
		err = fmt.Errorf("btrfs: the size of the extent tree did not settle in %d rounds, or there was no room", maxRounds)
	}
	return err
}

// settleIn counts and allocates in turns until the one agrees with the other, and
// reports whether it came to that within some rounds, in the room that there is; if
// not, nothing is allocated. Trees that are packed always settle, since a further block
// adds an item and takes none away: all of them are in one range that is never full.
func (w *writer) settleIn(rounds int, trees []*lastTree) (bool, error) {
	before, room := slices.Clip(w.meta.list), slices.Clone(w.space.room)
	undo := func() {
		w.space.undo(w.meta.list[len(before):], room)
		w.meta.list = before
	}
	for _, t := range trees {
		t.blocks = nil
	}
	for range rounds {
		changed, err := w.count(trees)
		if err != nil {
			return false, err
		}
		if !changed {
			return true, nil
		}
		undo()
		if err := w.allocate(trees); errors.Is(err, errNoRoom) {
			break
		} else if err != nil {
			return false, err
		}
	}
	undo()
	return false, nil
}

// count finds which blocks the trees take now, and reports whether they are others than
// before.
func (w *writer) count(trees []*lastTree) (changed bool, err error) {
	for _, t := range trees {
		counter := &countStore{}
		l := newLoader(counter, t.id, w.header, t.old)
		l.dry = true
		if err := t.fill(l); err != nil {
			return false, err
		}
		if _, err := l.finish(); err != nil {
			return false, err
		}
		changed = changed || !slices.Equal(t.blocks, counter.blocks)
		t.blocks = counter.blocks
	}
	return changed, nil
}

// allocate gives the blocks of the trees addresses.
func (w *writer) allocate(trees []*lastTree) error {
	for _, t := range trees {
		for _, b := range t.blocks {
			if _, err := w.meta.alloc(t.id, b.level, b.place); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxRounds bounds settle. Two or three rounds are usual.
const maxRounds = 100

func countBlocks(trees []*lastTree) int {
	n := 0
	for _, t := range trees {
		n += len(t.blocks)
	}
	return n
}

// fillExtentTree emits data extents, tree blocks and, without a tree of their
// own, block groups, all in the order of addresses.
func (w *writer) fillExtentTree(l *loader) error {
	var groups []item
	if !w.params.BlockGroupTree {
		groups = w.blockGroups()
	}
	blocks := w.allBlocks()
	upTo := func(end ondisk.Logical) error {
		for ; len(blocks) > 0 && blocks[0].at < end; blocks = blocks[1:] {
			if err := addGroups(l, &groups, blocks[0].at); err != nil {
				return err
			}
			if err := addBlock(l, blocks[0]); err != nil {
				return err
			}
		}
		return addGroups(l, &groups, end)
	}
	if err := w.extents.walk(upTo, l.add); err != nil {
		return err
	}
	return upTo(^ondisk.Logical(0))
}

// addGroups adds the block groups that start below an address. That of a
// group's first extent sorts before the group, by its smaller type.
func addGroups(l *loader, groups *[]item, end ondisk.Logical) error {
	for ; len(*groups) > 0 && (*groups)[0].key.ObjectID < uint64(end); *groups = (*groups)[1:] {
		if err := l.add((*groups)[0].key, (*groups)[0].data); err != nil {
			return err
		}
	}
	return nil
}

func addBlock(l *loader, b treeBlock) error {
	data := ondisk.ExtentItem{Refs: 1, Generation: generation, Flags: ondisk.ExtentFlagTreeBlock}.Append(make([]byte, 0, 40))
	data = append(data, uint8(ondisk.TypeTreeBlockRef))
	data = binary.LittleEndian.AppendUint64(data, b.owner)
	return l.add(ondisk.Key{ObjectID: uint64(b.at), Type: ondisk.TypeMetadataItem, Offset: uint64(b.level)}, data)
}
