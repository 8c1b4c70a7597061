package btrfs

import (
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// blockStore takes finished tree blocks.
type blockStore interface {
	// alloc returns the address of the next block of a tree: the place, unless that
	// is 0 or cannot be had.
	alloc(owner uint64, level uint8, place ondisk.Logical) (ondisk.Logical, error)
	// store takes the bytes of a block. They are valid only during the call,
	// and nil when the loader only counts.
	store(at ondisk.Logical, block []byte) error
}

// loader builds one tree from its items, which must come in the order of their
// keys. Blocks are filled completely, but where the older file system has a seam, and
// stored as soon as they are full, so that only one block of every level is in memory.
type loader struct {
	store  blockStore
	owner  uint64
	header ondisk.Header // what all blocks have in common
	dry    bool          // count blocks, make no bytes

	seams [ondisk.MaxLevel + 1]seams // by level, with one that is too high

	leaf   leafBuilder
	levels []nodeBuilder // from level 1 up
	last   ondisk.Key
	any    bool
	blocks uint64
}

// leafBuilder packs item headers from the front and item data from the end.
type leafBuilder struct {
	block []byte
	items int
	data  int // offset of the lowest item data, from the end of the header
	first ondisk.Key
}

// nodeBuilder collects the pointers of the node being filled at one level.
type nodeBuilder struct {
	ptrs []ondisk.KeyPtr
}

// newLoader returns a loader of a tree with the seams and places of an older one,
// unless that is nil.
func newLoader(store blockStore, owner uint64, header ondisk.Header, old *oldTree) *loader {
	header.Owner = owner
	l := &loader{store: store, owner: owner, header: header,
		leaf: leafBuilder{block: make([]byte, ondisk.NodeSize), data: ondisk.LeafSpace(ondisk.NodeSize)}}
	if old != nil {
		for level := range old {
			l.seams[level] = newSeams(old[level])
		}
	}
	return l
}

// add appends an item. Its data must fit in a leaf.
func (l *loader) add(key ondisk.Key, data []byte) error {
	if l.any && l.last.Compare(key) >= 0 {
		return fmt.Errorf("tree %d: item %v does not follow %v", l.owner, key, l.last)
	}
	if len(data) > ondisk.MaxItemSize(ondisk.NodeSize) {
		return fmt.Errorf("tree %d: item %v has %d bytes, a leaf holds %d", l.owner, key, len(data), ondisk.MaxItemSize(ondisk.NodeSize))
	}
	l.last, l.any = key, true
	place, crossed := l.seams[0].cross(key)
	if l.leaf.items > 0 && (crossed || !l.leaf.fits(len(data))) {
		if err := l.flushLeaf(); err != nil {
			return err
		}
	}
	if crossed {
		l.seams[0].place = place
	}
	l.leaf.add(key, data, l.dry)
	return nil
}

func (b *leafBuilder) fits(size int) bool {
	return (b.items+1)*ondisk.ItemHeaderSize+size <= b.data
}

func (b *leafBuilder) add(key ondisk.Key, data []byte, dry bool) {
	if b.items == 0 {
		b.first = key
	}
	b.data -= len(data)
	if !dry {
		body := b.block[ondisk.HeaderSize:]
		copy(body[b.data:], data)
		at := b.items * ondisk.ItemHeaderSize
		ondisk.ItemHeader{Key: key, Offset: uint32(b.data), Size: uint32(len(data))}.Append(body[at:at])
	}
	b.items++
}

func (l *loader) flushLeaf() error {
	body := l.leaf.block[ondisk.HeaderSize:]
	clear(body[min(l.leaf.items*ondisk.ItemHeaderSize, l.leaf.data):l.leaf.data])
	ptr, err := l.emit(l.leaf.block, 0, l.leaf.items, l.leaf.first)
	if err != nil {
		return err
	}
	l.leaf.items, l.leaf.data = 0, ondisk.LeafSpace(ondisk.NodeSize)
	return l.push(1, ptr)
}

// emit gives a block its header and address and stores it.
func (l *loader) emit(block []byte, level uint8, items int, first ondisk.Key) (ondisk.KeyPtr, error) {
	at, err := l.store.alloc(l.owner, level, l.seams[level].take())
	if err != nil {
		return ondisk.KeyPtr{}, err
	}
	l.blocks++
	if l.dry {
		block = nil
	} else {
		h := l.header
		h.Bytenr, h.NrItems, h.Level = at, uint32(items), level
		h.Put(block)
	}
	return ondisk.KeyPtr{Key: first, Block: at, Generation: l.header.Generation}, l.store.store(at, block)
}

// push adds a child at a level, and stores the node there once it is full, or at a
// seam, and another child comes.
func (l *loader) push(level int, ptr ondisk.KeyPtr) error {
	if len(l.levels) < level {
		l.levels = append(l.levels, nodeBuilder{})
	}
	place, crossed := l.seams[level].cross(ptr.Key)
	if n := len(l.levels[level-1].ptrs); n > 0 && (crossed || n == ondisk.MaxKeyPtrs(ondisk.NodeSize)) {
		if err := l.flushNode(level); err != nil {
			return err
		}
	}
	if crossed {
		l.seams[level].place = place
	}
	n := &l.levels[level-1] // the slice may have grown
	n.ptrs = append(n.ptrs, ptr)
	return nil
}

func (l *loader) flushNode(level int) error {
	n := &l.levels[level-1]
	block := make([]byte, ondisk.NodeSize)
	body := block[ondisk.HeaderSize:ondisk.HeaderSize]
	for _, p := range n.ptrs {
		body = p.Append(body)
	}
	ptr, err := l.emit(block, uint8(level), len(n.ptrs), n.ptrs[0].Key)
	if err != nil {
		return err
	}
	n.ptrs = n.ptrs[:0]
	return l.push(level+1, ptr)
}

// finish stores what is left and returns the root block. A tree without items
// is one empty leaf.
func (l *loader) finish() (ondisk.RootPointer, error) {
	if l.leaf.items > 0 || !l.any {
		if err := l.flushLeaf(); err != nil {
			return ondisk.RootPointer{}, err
		}
	}
	for level := 1; ; level++ {
		n := &l.levels[level-1]
		if level == len(l.levels) && len(n.ptrs) == 1 {
			return ondisk.RootPointer{Block: n.ptrs[0].Block, Generation: l.header.Generation, Level: uint8(level - 1)}, nil
		}
		if level >= ondisk.MaxLevel {
			return ondisk.RootPointer{}, fmt.Errorf("tree %d: more than %d levels", l.owner, ondisk.MaxLevel)
		}
		if err := l.flushNode(level); err != nil {
			return ondisk.RootPointer{}, err
		}
	}
}
