package reader

import (
	"fmt"
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// checkUnshared demands that nothing but the object itself has an extent: all
// references to it are its own, and no snapshot has the tree blocks that lead
// to one of them. A snapshot adds references to the root's children alone.
func (f *FS) checkUnshared(o *object, e *extent) error {
	if err := f.checkReferences(o, e); err != nil {
		return err
	}
	root, err := f.rootItem(o.tree)
	if err != nil {
		return err
	}
	// No snapshot can have what is younger. What is older need not be shared:
	// the snapshot may be gone, and a balance counts as one.
	if e.Generation > root.LastSnapshot {
		return nil
	}
	return f.checkPath(o, e)
}

func (f *FS) checkReferences(o *object, e *extent) error {
	from := ondisk.Key{ObjectID: uint64(e.DiskBytenr), Type: ondisk.TypeExtentItem}
	to := ondisk.Key{ObjectID: uint64(e.DiskBytenr), Type: ondisk.TypeSharedDataRef, Offset: math.MaxUint64}
	found := false
	for item, err := range f.Items(ondisk.ExtentTree, from, to) {
		if err != nil {
			return err
		}
		var refs []ondisk.InlineRef
		switch item.Key.Type {
		case ondisk.TypeExtentItem:
			found = true
			_, _, refs, err = ondisk.DecodeExtentItem(item.Data, false)
		case ondisk.TypeExtentDataRef:
			refs = []ondisk.InlineRef{{Type: item.Key.Type}}
			refs[0].Data, err = ondisk.DecodeDataRef(item.Data)
		default:
			refs = []ondisk.InlineRef{{Type: item.Key.Type}}
		}
		if err != nil {
			return o.damaged("%v: %w", item.Key, err)
		}
		for _, ref := range refs {
			if !ownRef(o, ref) {
				return fmt.Errorf("extent at %d is shared with another file or a snapshot", e.start)
			}
		}
	}
	if !found {
		return o.damaged("extent at logical %d has no EXTENT_ITEM", e.DiskBytenr)
	}
	return nil
}

// ownRef reports whether a back reference comes from the object's own subvolume
// and inode. SIMPLE_QUOTA's owner references name who pays, not who refers.
func ownRef(o *object, ref ondisk.InlineRef) bool {
	if ref.Type == ondisk.TypeExtentOwnerRef {
		return true
	}
	return ref.Type == ondisk.TypeExtentDataRef && ref.Data.Root == o.tree && ref.Data.ObjectID == o.ino
}

// checkPath demands one reference to each tree block on the way to an extent of
// a file.
func (f *FS) checkPath(o *object, e *extent) error {
	key := ondisk.Key{ObjectID: o.ino, Type: ondisk.TypeExtentData, Offset: uint64(e.start)}
	ref, err := f.RootRef(o.tree)
	if err != nil {
		return err
	}
	for {
		n, err := f.blockReferences(ref)
		if err != nil {
			return o.damaged("%w", err)
		}
		if n != 1 {
			return fmt.Errorf("extent at %d is shared with a snapshot: tree block %d has %d references", e.start, ref.Bytenr, n)
		}
		b, err := f.readBlock(ref)
		if err != nil {
			return err
		}
		if b.header.Level == 0 {
			return nil
		}
		ref = ChildRef(o.tree, b.header.Level, b.ptrs[childSlot(b.ptrs, key)])
	}
}

// blockReferences returns how often a tree block is referred to.
func (f *FS) blockReferences(ref BlockRef) (uint64, error) {
	key := ondisk.Key{ObjectID: uint64(ref.Bytenr), Type: ondisk.TypeExtentItem, Offset: uint64(f.super.NodeSize)}
	skinny := f.super.IncompatFlags&ondisk.IncompatSkinnyMetadata != 0
	if skinny {
		key.Type, key.Offset = ondisk.TypeMetadataItem, uint64(ref.Level)
	}
	data, ok, err := f.find(ondisk.ExtentTree, key)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("tree block %d: no %v", ref.Bytenr, key)
	}
	item, _, _, err := ondisk.DecodeExtentItem(data, skinny)
	return item.Refs, err
}
