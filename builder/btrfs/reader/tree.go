package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// errStop ends a walk early; it never leaves this package.
var errStop = errors.New("stop")

// Root returns the root item of a tree. The root tree and the chunk tree have
// none: their roots are in the superblock, see RootRef. The error of a tree
// that is not there wraps fs.ErrNotExist.
func (f *FS) Root(tree uint64) (ondisk.RootItem, error) {
	root, err := f.rootItem(tree)
	if err != nil {
		return ondisk.RootItem{}, err
	}
	return *root, nil
}

// rootItem returns the shared root item of a tree, which every search needs.
func (f *FS) rootItem(tree uint64) (*ondisk.RootItem, error) {
	f.rootsMu.Lock()
	known := f.roots[tree]
	f.rootsMu.Unlock()
	if known != nil {
		return known, nil
	}
	// The offset is 0, or for a snapshot the generation that made it; the
	// highest is the current one, as in the kernel.
	from := ondisk.Key{ObjectID: tree, Type: ondisk.TypeRootItem}
	to := ondisk.Key{ObjectID: tree, Type: ondisk.TypeRootItem, Offset: math.MaxUint64}
	var found *ondisk.RootItem
	for item, err := range f.Items(ondisk.RootTree, from, to) {
		if err != nil {
			return nil, err
		}
		root, err := ondisk.DecodeRootItem(item.Data)
		if err != nil {
			return nil, fault.New(fault.Input, hintDamaged, "tree %d: %w", tree, err)
		}
		found = &root
	}
	if found == nil {
		return nil, fault.New(fault.Input, "", "tree %d: %w", tree, fs.ErrNotExist)
	}
	if found.Level >= ondisk.MaxLevel {
		return nil, fault.New(fault.Input, hintDamaged, "tree %d: root of level %d, expected less than %d", tree, found.Level, ondisk.MaxLevel)
	}
	f.rootsMu.Lock()
	f.roots[tree] = found
	f.rootsMu.Unlock()
	return found, nil
}

// RootRef returns the reference to the root block of any tree.
func (f *FS) RootRef(tree uint64) (BlockRef, error) {
	switch tree {
	case ondisk.RootTree:
		return BlockRef{Bytenr: f.super.Root, Generation: f.super.Generation, Level: f.super.RootLevel, Owner: tree}, nil
	case ondisk.ChunkTree:
		return BlockRef{Bytenr: f.super.ChunkRoot, Generation: f.super.ChunkRootGeneration, Level: f.super.ChunkRootLevel, Owner: tree}, nil
	}
	root, err := f.rootItem(tree)
	if err != nil {
		return BlockRef{}, err
	}
	return BlockRef{Bytenr: root.Bytenr, Generation: root.Generation, Level: root.Level, Owner: tree}, nil
}

// ChildRef returns the reference to child i of a node of a tree. The level
// descends by one, so that a walk ends even where pointers form a circle.
func ChildRef(tree uint64, level uint8, ptr ondisk.KeyPtr) BlockRef {
	owner := tree
	if ondisk.IsSubvolume(tree) {
		owner = AnySubvolume
	}
	return BlockRef{Bytenr: ptr.Block, Generation: ptr.Generation, Level: level - 1, Owner: owner, FirstKey: &ptr.Key}
}

// Items iterates over the items of a tree with keys from from to to, both
// included, in ascending order. It ends after the first error; see Salvage. Data
// is shared and must not be changed.
func (f *FS) Items(tree uint64, from, to ondisk.Key) iter.Seq2[ondisk.Item, error] {
	return func(yield func(ondisk.Item, error) bool) {
		ref, err := f.RootRef(tree)
		if err == nil {
			w := walk{fs: f, tree: tree, from: from, to: to, yield: yield}
			err = w.visit(ref, nil)
		}
		if err != nil && err != errStop {
			yield(ondisk.Item{}, err)
		}
	}
}

type walk struct {
	fs       *FS
	tree     uint64
	from, to ondisk.Key
	yield    func(ondisk.Item, error) bool
}

// visit walks the block at ref, all of whose keys must be below limit, the
// parent's key of the next block.
func (w *walk) visit(ref BlockRef, limit *ondisk.Key) error {
	b, err := w.fs.readBlock(ref)
	if err != nil {
		return fmt.Errorf("tree %d: %w", w.tree, err)
	}
	if err := checkLimit(b, limit); err != nil {
		return fault.New(fault.Input, hintDamaged, "tree %d: %w", w.tree, err)
	}
	if b.header.Level == 0 {
		start := sort.Search(len(b.items), func(i int) bool { return b.items[i].Key.Compare(w.from) >= 0 })
		for _, item := range b.items[start:] {
			if item.Key.Compare(w.to) > 0 {
				return errStop
			}
			if !w.yield(item, nil) {
				return errStop
			}
		}
		return nil
	}
	for i := childSlot(b.ptrs, w.from); i < len(b.ptrs); i++ {
		if b.ptrs[i].Key.Compare(w.to) > 0 {
			return errStop
		}
		below := limit
		if i+1 < len(b.ptrs) {
			below = &b.ptrs[i+1].Key
		}
		if err := w.visit(ChildRef(w.tree, b.header.Level, b.ptrs[i]), below); err != nil && (err == errStop || !w.fs.salvage) {
			return err
		}
	}
	return nil
}

// childSlot returns the child that may hold key: the last one that does not
// start behind it, or else the first.
func childSlot(ptrs []ondisk.KeyPtr, key ondisk.Key) int {
	behind := sort.Search(len(ptrs), func(i int) bool { return ptrs[i].Key.Compare(key) > 0 })
	return max(behind-1, 0)
}

func checkLimit(b *block, limit *ondisk.Key) error {
	if last, ok := b.lastKey(); ok && limit != nil && last.Compare(*limit) >= 0 {
		return fmt.Errorf("tree block %d: last key %v, the next block starts at %v", b.header.Bytenr, last, *limit)
	}
	return nil
}

// floor returns the item of a tree with the highest key that is not above key,
// and false where there is none.
func (f *FS) floor(tree uint64, key ondisk.Key) (ondisk.Item, bool, error) {
	ref, err := f.RootRef(tree)
	if err != nil {
		return ondisk.Item{}, false, err
	}
	for {
		b, err := f.readBlock(ref)
		if err != nil {
			return ondisk.Item{}, false, fmt.Errorf("tree %d: %w", tree, err)
		}
		if b.header.Level > 0 {
			ref = ChildRef(tree, b.header.Level, b.ptrs[childSlot(b.ptrs, key)])
			continue
		}
		behind := sort.Search(len(b.items), func(i int) bool { return b.items[i].Key.Compare(key) > 0 })
		if behind == 0 {
			return ondisk.Item{}, false, nil
		}
		return b.items[behind-1], true, nil
	}
}

// find returns the data of the item with exactly this key, and false where
// there is none.
func (f *FS) find(tree uint64, key ondisk.Key) ([]byte, bool, error) {
	item, ok, err := f.floor(tree, key)
	if err != nil || !ok || item.Key != key {
		return nil, false, err
	}
	return item.Data, true, nil
}
