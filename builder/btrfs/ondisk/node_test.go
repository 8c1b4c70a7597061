package ondisk

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leafOf encodes a leaf with data packed from the end.
func leafOf(nodeSize int, items ...Item) []byte {
	b := make([]byte, nodeSize)
	h := Header{NrItems: uint32(len(items))}
	h.Put(b)
	headers, end := b[HeaderSize:HeaderSize], LeafSpace(nodeSize)
	for _, item := range items {
		end -= len(item.Data)
		copy(b[HeaderSize+end:], item.Data)
		headers = ItemHeader{Key: item.Key, Offset: uint32(end), Size: uint32(len(item.Data))}.Append(headers)
	}
	return b
}

func nodeOf(nodeSize int, level uint8, ptrs ...KeyPtr) []byte {
	b := make([]byte, nodeSize)
	h := Header{NrItems: uint32(len(ptrs)), Level: level}
	h.Put(b)
	out := b[HeaderSize:HeaderSize]
	for _, p := range ptrs {
		out = p.Append(out)
	}
	return b
}

func itemOf(objectID uint64, size int) Item {
	return Item{Key: Key{ObjectID: objectID, Type: TypeXattrItem}, Data: bytes.Repeat([]byte{byte(objectID)}, size)}
}

func TestNodeLimits(t *testing.T) {
	if LeafSpace(NodeSize) != 16283 || MaxItemSize(NodeSize) != 16258 || MaxKeyPtrs(NodeSize) != 493 {
		t.Errorf("limits %d, %d, %d; want 16283, 16258, 493", LeafSpace(NodeSize), MaxItemSize(NodeSize), MaxKeyPtrs(NodeSize))
	}
}

func TestDecodeLeaf(t *testing.T) {
	for _, nodeSize := range []int{4096, NodeSize, 64 << 10} {
		var many []Item
		for i := range LeafSpace(nodeSize) / ItemHeaderSize {
			many = append(many, itemOf(uint64(i), 0))
		}
		for _, items := range [][]Item{
			{}, {itemOf(1, 0)}, {itemOf(1, 5), itemOf(2, 0), itemOf(3, 7)}, {itemOf(1, MaxItemSize(nodeSize))}, many,
			{itemOf(1, 100), itemOf(2, LeafSpace(nodeSize)-2*ItemHeaderSize-100)},
		} {
			got, err := DecodeLeaf(leafOf(nodeSize, items...))
			if diff := cmp.Diff(items, got); err != nil || diff != "" {
				t.Errorf("node size %d, %d items: %v\n%s", nodeSize, len(items), err, diff)
			}
		}
	}
}

func TestDecodeLeafRefuses(t *testing.T) {
	header := func(b []byte, i int, offset, size uint32) {
		at := HeaderSize + i*ItemHeaderSize + KeySize
		put32(put32(b[at:at], offset), size)
	}
	space := uint32(LeafSpace(4096))
	tests := []struct {
		name string
		edit func(b []byte)
		want string
	}{
		{"level", func(b []byte) { b[100] = 1 }, "level 1"},
		{"one item too many", func(b []byte) { put32(b[96:96], space/ItemHeaderSize+1) }, "160 items, expected level 0 with at most 159"},
		{"count", func(b []byte) { put32(b[96:96], ^uint32(0)) }, "4294967295 items"},
		{"gap at the end", func(b []byte) { header(b, 0, space-6, 5) }, "expected to end at 3995"},
		{"beyond the end", func(b []byte) { header(b, 0, space-4, 5) }, "expected to end at 3995"},
		{"gap between", func(b []byte) { header(b, 1, space-13, 7) }, "expected to end at 3990"},
		{"offset wraps", func(b []byte) { header(b, 0, ^uint32(0), space+1) }, "expected to end at 3995"},
		{"data meets headers", func(b []byte) { header(b, 1, 49, space-5-49) }, "item 1"},
		{"order", func(b []byte) { b[HeaderSize] = 2 }, "does not follow"},
		{"equal keys", func(b []byte) { copy(b[HeaderSize+ItemHeaderSize:], b[HeaderSize:HeaderSize+KeySize]) }, "does not follow"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := leafOf(4096, itemOf(1, 5), itemOf(2, 7))
			test.edit(b)
			if _, err := DecodeLeaf(b); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("DecodeLeaf = %v; want %q", err, test.want)
			}
		})
	}
	b := leafOf(4096, itemOf(1, 5), itemOf(2, 7))
	header(b, 1, 50, space-5-50) // the most that fits
	if _, err := DecodeLeaf(b); err != nil {
		t.Errorf("DecodeLeaf of a full leaf: %v", err)
	}
	if _, err := DecodeLeaf(b[:HeaderSize-1]); err == nil {
		t.Error("DecodeLeaf of half a header succeeded")
	}
}

func TestDecodeNode(t *testing.T) {
	var most []KeyPtr
	for i := range MaxKeyPtrs(NodeSize) {
		most = append(most, KeyPtr{Key: Key{ObjectID: uint64(i), Type: 7, Offset: 9}, Block: Logical(i * NodeSize), Generation: uint64(i + 5)})
	}
	for _, n := range []int{1, 2, len(most)} {
		for _, level := range []uint8{1, MaxLevel - 1} {
			got, err := DecodeNode(nodeOf(NodeSize, level, most[:n]...))
			if diff := cmp.Diff(most[:n], got); err != nil || diff != "" {
				t.Errorf("%d pointers of level %d: %v\n%s", n, level, err, diff)
			}
		}
	}
	full := nodeOf(NodeSize, 1, most...)
	put32(full[96:96], uint32(len(most)+1))
	for _, test := range []struct {
		name string
		in   []byte
		want string
	}{
		{"level 0", nodeOf(NodeSize, 0, most[:1]...), "level 0 with 1"},
		{"level 8", nodeOf(NodeSize, MaxLevel, most[:1]...), "level 8 with 1"},
		{"no pointer", nodeOf(NodeSize, 1), "with 0 pointers"},
		{"one too many", full, "with 494 pointers, expected level 1 to 7 with 1 to 493"},
		{"order", nodeOf(NodeSize, 1, most[1], most[0]), "does not follow"},
		{"equal", nodeOf(NodeSize, 1, most[1], most[1]), "does not follow"},
		{"half a header", full[:100], "has 100 bytes"},
	} {
		if _, err := DecodeNode(test.in); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: DecodeNode = %v; want %q", test.name, err, test.want)
		}
	}
}

func TestKeyCompare(t *testing.T) {
	ascending := []Key{
		{}, {Offset: 1}, {Type: 1}, {Type: 1, Offset: ^uint64(0)}, {Type: 255}, {ObjectID: 1},
		{ObjectID: FirstFree, Type: TypeInodeItem}, {ObjectID: LastFree}, {ObjectID: DataRelocTree}, {ObjectID: TreeReloc},
	}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v.Compare(%v) = %d; want %d", a, b, got, want)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Key{ObjectID: 256, Type: TypeRootItem, Offset: 3}.String(): "(256 ROOT_ITEM 3)",
		Type(77).String(): "UNKNOWN.77",
		fmt.Sprint(IncompatNames(IncompatNoHoles | IncompatZoned | 1<<63)):      "[NO_HOLES ZONED bit 63]",
		fmt.Sprint(IncompatNames(0)):                                            "[]",
		malformed("thing", "has %d bytes", 3).Error():                           "thing: has 3 bytes",
		fmt.Sprint(DataRelocTree, " ", TreeLog, " ", ExtentCsum, " ", LastFree): "18446744073709551607 18446744073709551610 18446744073709551606 18446744073709551360",
	} {
		if got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
	for tree, want := range map[uint64]bool{5: true, 256: true, LastFree: true, 4: false, 6: false, 255: false, DataRelocTree: false, LastFree + 1: false} {
		if IsSubvolume(tree) != want {
			t.Errorf("IsSubvolume(%d) = %v; want %v", tree, !want, want)
		}
	}
}
