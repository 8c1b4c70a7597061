package check_test

import (
	"encoding/binary"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// free lists the bytes of items that may have any value as far as the format
// goes. Negative positions are in the key: -17 is its first byte.
var free = map[ondisk.Type][][2]int{
	ondisk.TypePersistentItem: {{-8, 40}},                                // I/O statistics of any device
	ondisk.TypeChunkItem:      {{32, 40}, {46, 48}},                      // hints for I/O; sub_stripes matters for RAID10 only
	ondisk.TypeInodeItem:      {{16, 40}, {44, 53}, {64, 65}, {72, 160}}, // sizes of holes, owner, permissions, times, plain flags
	ondisk.TypeExtentData:     {{8, 16}},                                 // ram_bytes: kernels have written too large ones
	ondisk.TypeDirItem:        {{9, 17}},                                 // the key of a subvolume's root item: only its id is used
	ondisk.TypeRootItem:       {{-8, 0}, {0, 160}, {168, 176}, {184, 200}, {237, 238}, {239, 439}},
}

// freeIn lists what is free in one place only.
func freeIn(tree uint64, item ondisk.Item) [][2]int {
	if item.Key.Type == ondisk.TypeInodeRef && tree == ondisk.RootTree {
		return [][2]int{{-8, len(item.Data)}} // the name of the directory of default subvolumes
	}
	if item.Key.Type == ondisk.TypeInodeRef && item.Key.ObjectID == ondisk.FirstFree {
		return [][2]int{{0, 8}} // the index of ".."
	}
	return free[item.Key.Type]
}

// TestEveryByte changes every byte of the key and the data of one item of each
// type in each tree, with all checksums right. What is not noticed must be
// among the bytes listed above.
func TestEveryByte(t *testing.T) {
	m := makeImage(t, "--subvol", "sub", "--mixed", "-O", "block-group-tree")
	m.editSuper(t, func(s *ondisk.Superblock) { s.UUIDTreeGeneration = s.Generation })
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	type kind struct {
		tree uint64
		typ  ondisk.Type
	}
	seen := map[kind]bool{}
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
			if k := (kind{b.tree, item.Key.Type}); !seen[k] {
				seen[k] = true
				changeBytes(t, m, b, i, item)
			}
		}
	}
	if len(seen) < 25 {
		t.Errorf("%d kinds of items seen, expected at least 25", len(seen))
	}
}

// changeBytes changes each byte of item i of a leaf in turn.
func changeBytes(t *testing.T, m *image, b place, i int, item ondisk.Item) {
	t.Helper()
	for n := -ondisk.KeySize; n < min(len(item.Data), ondisk.RootItemSize); n++ {
		if contains(freeIn(b.tree, item), n) {
			continue
		}
		bad := &image{base: m, size: m.size}
		bad.editBlock(t, b, func(raw []byte) {
			head := ondisk.HeaderSize + i*ondisk.ItemHeaderSize
			if n < 0 {
				raw[head+ondisk.KeySize+n] ^= 0x11
				return
			}
			raw[ondisk.HeaderSize+int(binary.LittleEndian.Uint32(raw[head+ondisk.KeySize:]))+n] ^= 0x11
		})
		if _, err := bad.open(); err != nil {
			continue
		}
		if r := bad.run(t, check.Options{Data: item.Key.Type == ondisk.TypeExtentCsum}); r.Found == 0 {
			t.Errorf("tree %d, item %v: byte %d changed, no problem found", int64(b.tree), item.Key, n)
		}
	}
}

func contains(ranges [][2]int, n int) bool {
	for _, r := range ranges {
		if r[0] <= n && n < r[1] {
			return true
		}
	}
	return false
}
