package check_test

import (
	"encoding/binary"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// fillLeaf writes items into a leaf, packed as the format demands.
func fillLeaf(raw []byte, items []ondisk.Item) {
	clear(raw[ondisk.HeaderSize:])
	binary.LittleEndian.PutUint32(raw[96:], uint32(len(items)))
	heads, end := raw[ondisk.HeaderSize:ondisk.HeaderSize], len(raw)
	for _, i := range items {
		end -= copy(raw[end-len(i.Data):], i.Data)
		head := ondisk.ItemHeader{Key: i.Key, Offset: uint32(end - ondisk.HeaderSize), Size: uint32(len(i.Data))}
		heads = head.Append(heads)
	}
}

// TestRemoveItem removes every item in turn; the checker must miss each one.
func TestRemoveItem(t *testing.T) {
	m := makeImage(t, "--subvol", "sub", "-n", "64k")
	m.editSuper(t, func(s *ondisk.Superblock) { s.UUIDTreeGeneration = s.Generation })
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for _, b := range allBlocks(t, f) {
		if b.level > 0 {
			continue
		}
		raw := make([]byte, f.Super().NodeSize)
		if _, err := m.ReadAt(raw, int64(b.copies[0])); err != nil {
			t.Fatal(err)
		}
		items, err := ondisk.DecodeLeaf(raw)
		if err != nil {
			t.Fatal(err)
		}
		for i, item := range items {
			if needless(b.tree, item) || b.tree == ondisk.FSTree && i%11 != 0 {
				continue
			}
			removed++
			bad := &image{base: m, size: m.size}
			bad.editBlock(t, b, func(raw []byte) {
				fillLeaf(raw, append(append([]ondisk.Item{}, items[:i]...), items[i+1:]...))
			})
			if _, err := bad.open(); err != nil {
				continue
			}
			if r := bad.run(t, check.Options{}); r.Found == 0 {
				t.Errorf("tree %d without %v: no problem found", int64(b.tree), item.Key)
			}
		}
	}
	if removed < 100 {
		t.Errorf("%d items removed, expected more", removed)
	}
}

// needless reports whether a file system is right without the item.
func needless(tree uint64, item ondisk.Item) bool {
	switch item.Key.Type {
	case ondisk.TypePersistentItem, ondisk.TypeXattrItem:
		return true // statistics; attributes nobody counts
	case ondisk.TypeFreeSpaceInfo, ondisk.TypeFreeSpaceExtent:
		return item.Key.ObjectID < 13<<20 // of groups that mkfs has removed
	case ondisk.TypeInodeItem, ondisk.TypeInodeRef, ondisk.TypeDirItem:
		return tree == ondisk.RootTree // the default subvolume: none means the top level
	case ondisk.TypeExtentData: // without it a symbolic link or an inline file would only be shorter
		return false
	}
	return false
}
