package ondisk

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// drop makes the error of a decoder its only result.
func drop[T any](decode func([]byte) (T, error)) func([]byte) error {
	return func(b []byte) error { _, err := decode(b); return err }
}

// TestFormatErrors: whatever a decoder refuses is a FormatError that names the
// structure, what was found and what was expected.
func TestFormatErrors(t *testing.T) {
	edit := func(b []byte, at int, value byte) []byte { b[at] = value; return b }
	chunk, extent := testChunk(1), FileExtent{Kind: ExtentRegular}
	xattr := DirItem{Name: "n", Data: []byte("value")}
	dataExtent := ExtentItem{Flags: ExtentFlagData}.Append(nil)
	tests := []struct {
		decode func([]byte) error
		in     []byte
		what   string
		text   string
	}{
		{drop(DecodeKey), make([]byte, 16), "key", "has 16 bytes, expected at least 17"},
		{drop(DecodeHeader), make([]byte, 100), "tree block header", "has 100 bytes, expected at least 101"},
		{drop(DecodeInodeItem), make([]byte, 159), "inode item", "has 159 bytes, expected at least 160"},
		{drop(DecodeInodeRefs), make([]byte, 9), "inode ref", "has 9 bytes, expected at least 10"},
		{drop(DecodeInodeRefs), InodeRef{}.Append(nil), "inode ref", "name of 0 bytes, expected 1 to 255 with 0 left in the item"},
		{drop(DecodeInodeExtrefs), make([]byte, 17), "inode extref", "has 17 bytes, expected at least 18"},
		{drop(DecodeDirItems), make([]byte, 29), "dir item", "has 29 bytes, expected at least 30"},
		{drop(DecodeDirItems), xattr.Append(nil)[:DirItemSize+1+4], "dir item", "data of 5 bytes, 4 left in the item"},
		{drop(DecodeRootRef), make([]byte, 17), "root ref", "has 17 bytes, expected at least 18"},
		{drop(DecodeRootRef), append(RootRef{Name: "n"}.Append(nil), 0, 0), "root ref", "2 bytes behind the name"},
		{drop(DecodeRootItem), make([]byte, 240), "root item", "has 240 bytes, expected 439 or 239"},
		{drop(DecodeFileExtent), make([]byte, 20), "file extent", "has 20 bytes, expected at least 21"},
		{drop(DecodeFileExtent), extent.Append(nil)[:52], "file extent", "has 52 bytes, expected 53"},
		{drop(DecodeFileExtent), edit(extent.Append(nil), 17, 9), "file extent", "compression 0, encryption 9, other encoding 0, type 1"},
		{drop(DecodeDataRef), make([]byte, 27), "extent data ref", "has 27 bytes, expected at least 28"},
		{drop(DecodeFreeSpaceInfo), make([]byte, 9), "free space info", "has 9 bytes, expected 8"},
		{drop(DecodeDevItem), make([]byte, 99), "device item", "has 99 bytes, expected 98"},
		{drop(DecodeDevExtent), make([]byte, 47), "device extent", "has 47 bytes, expected 48"},
		{drop(DecodeBlockGroupItem), make([]byte, 25), "block group item", "has 25 bytes, expected 24"},
		{drop(DecodeLeaf), edit(make([]byte, 4096), 100, 3), "leaf", "level 3 with 0 items, expected level 0 with at most 159"},
		{drop(DecodeNode), make([]byte, 4096), "node", "level 0 with 0 pointers, expected level 1 to 7 with 1 to 121"},
		{drop(DecodeSuperblock), make([]byte, 4095), "superblock", "has 4095 bytes, expected 4096"},
		{drop(DecodeSuperblock), make([]byte, 4096), "superblock", "magic 0x0000000000000000, expected 0x4d5f53665248425f"},
		{decodeChunk, make([]byte, 79), "chunk", "has 79 bytes, expected at least 80"},
		{decodeChunk, edit(chunk.Append(nil), 44, 2), "chunk", "2 stripes in 32 bytes"},
		{decodeExtentItem, make([]byte, 23), "extent item", "has 23 bytes, expected at least 24"},
		{decodeExtentItem, append(bytes.Clone(dataExtent), 178), "inline ref", "has 1 bytes, expected at least 29"},
		{decodeExtentItem, append(bytes.Clone(dataExtent), 77), "inline ref", "type UNKNOWN.77"},
	}
	for _, test := range tests {
		err := test.decode(test.in)
		var format *FormatError
		if !errors.As(err, &format) || format.What != test.what || format.Text != test.text {
			t.Errorf("%s: %v; want a FormatError of it: %s", test.what, err, test.text)
		} else if want := test.what + ": " + test.text; err.Error() != want {
			t.Errorf("Error() = %q; want %q", err, want)
		}
	}
}

func decodeChunk(b []byte) error      { _, _, err := DecodeChunk(b); return err }
func decodeExtentItem(b []byte) error { _, _, _, err := DecodeExtentItem(b, true); return err }

// TestNameLimit takes names at the limit through every structure that has one.
// Their length field could hold 65535.
func TestNameLimit(t *testing.T) {
	structures := map[string]struct {
		encode func(name string) []byte
		decode func([]byte) error
	}{
		"inode ref":    {func(n string) []byte { return InodeRef{Name: n}.Append(nil) }, drop(DecodeInodeRefs)},
		"inode extref": {func(n string) []byte { return InodeExtref{Name: n}.Append(nil) }, drop(DecodeInodeExtrefs)},
		"dir item":     {func(n string) []byte { d := DirItem{Name: n}; return d.Append(nil) }, drop(DecodeDirItems)},
		"root ref":     {func(n string) []byte { return RootRef{Name: n}.Append(nil) }, drop(DecodeRootRef)},
	}
	for what, s := range structures {
		for length, want := range map[int]bool{0: false, 1: true, 254: true, 255: true, 256: false, 65535: false} {
			if err := s.decode(s.encode(strings.Repeat("n", length))); (err == nil) != want {
				t.Errorf("%s: name of %d bytes: %v; accepted: want %v", what, length, err, want)
			}
		}
	}
}

// TestLeafSums: what the limits say of a leaf and of a node is what the
// decoders accept, for every size of tree block, and one more is not.
func TestLeafSums(t *testing.T) {
	for nodeSize := 4096; nodeSize <= 64<<10; nodeSize *= 2 {
		if got, want := MaxItemSize(nodeSize)+ItemHeaderSize+HeaderSize, nodeSize; got != want {
			t.Errorf("node size %d: the largest item fills %d bytes", nodeSize, got)
		}
		left := LeafSpace(nodeSize) - MaxKeyPtrs(nodeSize)*KeyPtrSize
		if left < 0 || left >= KeyPtrSize {
			t.Errorf("node size %d: %d bytes left of a full node; want less than a pointer", nodeSize, left)
		}
		for size, want := range map[int]bool{MaxItemSize(nodeSize) - 1: true, MaxItemSize(nodeSize): true, MaxItemSize(nodeSize) + 1: false} {
			// Where the data would reach into its own header the header wins.
			b := leafOf(nodeSize, itemOf(1, size))
			offset := uint32(LeafSpace(nodeSize) - size)
			put32(put32(b[HeaderSize+KeySize:HeaderSize+KeySize], offset), uint32(size))
			if _, err := DecodeLeaf(b); (err == nil) != want {
				t.Errorf("node size %d, item of %d bytes: %v; accepted: want %v", nodeSize, size, err, want)
			}
		}
	}
}

// TestRootItemSizes: of all lengths two are root items, and the short one is
// the long one's beginning.
func TestRootItemSizes(t *testing.T) {
	in := RootItem{Generation: 7, GenerationV2: 7, Level: 3, Refs: 1, Bytenr: 1 << 20, LastSnapshot: 5, UUID: [16]byte{1}, Otime: Timespec{Sec: 9}}
	b := append(in.Append(nil), make([]byte, 100)...)
	for n := range len(b) {
		got, err := DecodeRootItem(b[:n])
		switch n {
		case 239:
			short := in
			short.GenerationV2, short.UUID, short.Otime = 0, [16]byte{}, Timespec{}
			if err != nil || got != short {
				t.Errorf("legacy: %+v, %v; want %+v", got, err, short)
			}
		case 439:
			if err != nil || got != in {
				t.Errorf("%+v, %v; want %+v", got, err, in)
			}
		default:
			if err == nil {
				t.Errorf("a root item of %d bytes is accepted", n)
			}
		}
	}
}

// TestDecodedDataIsCut: data that points into a block ends where the item
// does, so that an append by its user cannot reach the next item.
func TestDecodedDataIsCut(t *testing.T) {
	leaf := leafOf(4096, itemOf(1, 8), itemOf(2, 8))
	before := bytes.Clone(leaf)
	items, err := DecodeLeaf(leaf)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		_ = append(item.Data, 0xee)
	}
	if !bytes.Equal(leaf, before) {
		t.Error("an append to an item's data changes the leaf")
	}
	first, second := DirItem{Name: "a", Data: []byte("value")}, DirItem{Name: "b"}
	packed := second.Append(first.Append(nil))
	before = bytes.Clone(packed)
	entries, err := DecodeDirItems(packed)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(entries[0].Data, 0xee)
	if !bytes.Equal(packed, before) {
		t.Error("an append to an entry's data changes the next entry")
	}
}
