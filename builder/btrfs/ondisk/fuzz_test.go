package ondisk

import (
	"bytes"
	"testing"
)

// fuzzDecoder checks that what decodes encodes to the same bytes, as far as
// want says that it must.
func fuzzDecoder(f *testing.F, seed []byte, again func(b []byte) (encoded []byte, ok bool)) {
	f.Helper()
	f.Add([]byte{})
	f.Add(seed)
	f.Add(append(bytes.Clone(seed), 0))
	f.Add(seed[:len(seed)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		if encoded, ok := again(b); ok && !bytes.Equal(encoded, b) {
			t.Errorf("decoded and encoded again: % x; want % x", encoded, b)
		}
	})
}

func FuzzDecodeInodeRefs(f *testing.F) {
	fuzzDecoder(f, InodeRef{Index: 1, Name: "name"}.Append(nil), func(b []byte) (out []byte, ok bool) {
		refs, err := DecodeInodeRefs(b)
		for _, r := range refs {
			out = r.Append(out)
		}
		return out, err == nil
	})
}

func FuzzDecodeInodeExtrefs(f *testing.F) {
	fuzzDecoder(f, InodeExtref{Parent: 1, Index: 1, Name: "name"}.Append(nil), func(b []byte) (out []byte, ok bool) {
		refs, err := DecodeInodeExtrefs(b)
		for _, r := range refs {
			out = r.Append(out)
		}
		return out, err == nil
	})
}

func FuzzDecodeDirItems(f *testing.F) {
	seed := DirItem{Name: "name", Data: []byte("data")}
	fuzzDecoder(f, seed.Append(seed.Append(nil)), func(b []byte) (out []byte, ok bool) {
		items, err := DecodeDirItems(b)
		for i := range items {
			out = items[i].Append(out)
		}
		return out, err == nil
	})
}

func FuzzDecodeRootRef(f *testing.F) {
	fuzzDecoder(f, RootRef{Name: "name"}.Append(nil), func(b []byte) ([]byte, bool) {
		r, err := DecodeRootRef(b)
		return r.Append(nil), err == nil
	})
}

func FuzzDecodeFileExtent(f *testing.F) {
	f.Add((&FileExtent{RAMBytes: 1, Inline: []byte("x")}).Append(nil))
	fuzzDecoder(f, (&FileExtent{Kind: ExtentRegular}).Append(nil), func(b []byte) ([]byte, bool) {
		e, err := DecodeFileExtent(b)
		return e.Append(nil), err == nil
	})
}

func FuzzDecodeChunk(f *testing.F) {
	seed := testChunk(2)
	fuzzDecoder(f, seed.Append(nil), func(b []byte) ([]byte, bool) {
		c, rest, err := DecodeChunk(b)
		return append(c.Append(nil), rest...), err == nil
	})
}

func FuzzDecodeFixed(f *testing.F) {
	f.Add((&DevItem{DevID: 1}).Append(nil))
	f.Add((&DevExtent{ChunkTree: 3}).Append(nil))
	f.Add(BlockGroupItem{Used: 1}.Append(nil))
	f.Add(FreeSpaceInfo{ExtentCount: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, again := range []func() ([]byte, error){
			func() ([]byte, error) { d, err := DecodeDevItem(b); return d.Append(nil), err },
			func() ([]byte, error) { d, err := DecodeDevExtent(b); return d.Append(nil), err },
			func() ([]byte, error) { g, err := DecodeBlockGroupItem(b); return g.Append(nil), err },
			func() ([]byte, error) { i, err := DecodeFreeSpaceInfo(b); return i.Append(nil), err },
		} {
			if out, err := again(); err == nil && !bytes.Equal(out, b) {
				t.Errorf("decoded and encoded again: % x; want % x", out, b)
			}
		}
	})
}

func FuzzDecodeInodeItem(f *testing.F) {
	f.Add((&InodeItem{Mode: 0o100644}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := DecodeInodeItem(b)
		if err != nil {
			return
		}
		if again, err := DecodeInodeItem(i.Append(nil)); err != nil || again != i {
			t.Errorf("decoded again: %+v, %v; want %+v", again, err, i)
		}
	})
}

func FuzzDecodeRootItem(f *testing.F) {
	seed := RootItem{Generation: 7, GenerationV2: 7}
	f.Add(seed.Append(nil))
	f.Add(seed.Append(nil)[:RootItemLegacySize])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRootItem(b)
		if err != nil {
			return
		}
		if again, err := DecodeRootItem(r.Append(nil)); err != nil || again != r {
			t.Errorf("decoded again: %+v, %v; want %+v", again, err, r)
		}
	})
}

func FuzzDecodeExtentItem(f *testing.F) {
	seed := append(ExtentItem{Refs: 1, Flags: ExtentFlagData}.Append(nil), byte(TypeExtentDataRef))
	f.Add(DataRef{Root: 5, Count: 1}.Append(seed), false)
	f.Add(put64(append(ExtentItem{Flags: ExtentFlagTreeBlock}.Append(nil), byte(TypeTreeBlockRef)), 5), true)
	f.Fuzz(func(t *testing.T, b []byte, skinny bool) {
		_, _, refs, err := DecodeExtentItem(b, skinny)
		if err == nil && len(refs)*InlineBlockRefSize > len(b) {
			t.Errorf("%d refs in %d bytes", len(refs), len(b))
		}
	})
}

// FuzzDecodeBlock decodes leaves and nodes; what they hold must lie in the
// block and ascend.
func FuzzDecodeBlock(f *testing.F) {
	f.Add(leafOf(512, itemOf(1, 5), itemOf(2, 7)))
	f.Add(nodeOf(512, 1, KeyPtr{Block: 5}, KeyPtr{Key: Key{Offset: 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := DecodeLeaf(b)
		if err == nil {
			total := 0
			for i, item := range items {
				total += len(item.Data) + ItemHeaderSize
				if i > 0 && items[i-1].Key.Compare(item.Key) >= 0 {
					t.Errorf("item %d does not ascend", i)
				}
			}
			if total > len(b)-HeaderSize {
				t.Errorf("%d bytes of items in a block of %d", total, len(b))
			}
		}
		if ptrs, err := DecodeNode(b); err == nil && len(ptrs)*KeyPtrSize > len(b)-HeaderSize {
			t.Errorf("%d pointers in a block of %d", len(ptrs), len(b))
		}
	})
}

func FuzzDecodeSuperblock(f *testing.F) {
	seed, err := testSuper().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSuperblock(b)
		if err != nil || !s.Checksum.Valid() {
			return
		}
		if len(s.Label) > MaxLabel {
			return // without a terminating zero, which Encode demands
		}
		again, err := s.Encode()
		if err != nil {
			t.Fatalf("encode again: %v", err)
		}
		if _, err := DecodeSuperblock(again); err != nil {
			t.Errorf("decode again: %v", err)
		}
	})
}
