package ondisk

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInodeRefs(t *testing.T) {
	long := strings.Repeat("n", MaxNameLen)
	in := []InodeRef{{Index: 2, Name: "a"}, {Index: 1 << 40, Name: long}, {Index: 3, Name: "\xff"}}
	var b []byte
	for _, r := range in {
		b = r.Append(b)
	}
	got, err := DecodeInodeRefs(b)
	if diff := cmp.Diff(in, got); err != nil || diff != "" {
		t.Errorf("DecodeInodeRefs: %v\n%s", err, diff)
	}
	if want := []byte{2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 'a'}; !bytes.Equal(b[:11], want) {
		t.Errorf("first ref % x; want % x", b[:11], want)
	}
	refuseCuts(t, b, []int{11, 11 + InodeRefSize + MaxNameLen}, func(b []byte) error { _, err := DecodeInodeRefs(b); return err })
	for _, name := range []string{"", long + "n"} {
		if _, err := DecodeInodeRefs(InodeRef{Name: name}.Append(nil)); err == nil {
			t.Errorf("a name of %d bytes is accepted", len(name))
		}
	}
}

// refuseCuts cuts b at each length: only at the boundaries, and at none, may
// it decode.
func refuseCuts(t *testing.T, b []byte, boundaries []int, decode func([]byte) error) {
	t.Helper()
	good := map[int]bool{0: true}
	for _, n := range boundaries {
		good[n] = true
	}
	for n := range len(b) {
		if err := decode(b[:n]); (err == nil) != good[n] {
			t.Errorf("cut at %d of %d: %v", n, len(b), err)
		}
	}
}

func TestInodeExtrefs(t *testing.T) {
	in := []InodeExtref{{Parent: 256, Index: 2, Name: "first"}, {Parent: 257, Index: 3, Name: strings.Repeat("n", MaxNameLen)}}
	b := in[1].Append(in[0].Append(nil))
	got, err := DecodeInodeExtrefs(b)
	if diff := cmp.Diff(in, got); err != nil || diff != "" {
		t.Errorf("DecodeInodeExtrefs: %v\n%s", err, diff)
	}
	want := []byte{0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 'f'}
	if !bytes.Equal(b[:19], want) {
		t.Errorf("first ref % x; want % x", b[:19], want)
	}
	refuseCuts(t, b, []int{InodeExtrefSize + 5}, func(b []byte) error { _, err := DecodeInodeExtrefs(b); return err })
}

func TestDirItems(t *testing.T) {
	in := []DirItem{
		{Location: Key{ObjectID: 257, Type: TypeInodeItem}, Transid: 9, Type: FileRegular, Name: "name", Data: []byte{}},
		{Type: FileXattr, Name: "user.x", Data: []byte("value")},
	}
	b := in[1].Append(in[0].Append(nil))
	got, err := DecodeDirItems(b)
	if diff := cmp.Diff(in, got); err != nil || diff != "" {
		t.Errorf("DecodeDirItems: %v\n%s", err, diff)
	}
	want := append(in[0].Location.Append(nil), 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 'n', 'a', 'm', 'e')
	if !bytes.Equal(b[:len(want)], want) {
		t.Errorf("first entry % x; want % x", b[:len(want)], want)
	}
	refuseCuts(t, b, []int{DirItemSize + 4}, func(b []byte) error { _, err := DecodeDirItems(b); return err })
}

func TestFileTypeOf(t *testing.T) {
	for mode, want := range map[uint32]FileType{
		0o100644: FileRegular, 0o040755: FileDir, 0o020600: FileChar, 0o060600: FileBlock, 0o010600: FileFIFO,
		0o140755: FileSocket, 0o120777: FileSymlink, 0o000644: FileUnknown, 0o170000: FileUnknown,
	} {
		if got := FileTypeOf(mode); got != want {
			t.Errorf("FileTypeOf(%o) = %d; want %d", mode, got, want)
		}
	}
}

func TestFileExtent(t *testing.T) {
	regular := FileExtent{Generation: 1, RAMBytes: 2, Compression: CompressZstd, Kind: ExtentPrealloc, DiskBytenr: 3, DiskNumBytes: 4, Offset: 5, NumBytes: 6}
	b := regular.Append(nil)
	if len(b) != FileExtentRegularSize {
		t.Fatalf("%d bytes; want %d", len(b), FileExtentRegularSize)
	}
	for at, want := range map[int]byte{0: 1, 8: 2, 16: 3, 20: 2, 21: 3, 29: 4, 37: 5, 45: 6} {
		if b[at] != want {
			t.Errorf("byte %d is %d; want %d", at, b[at], want)
		}
	}
	if got, err := DecodeFileExtent(b); err != nil || !cmp.Equal(got, regular) {
		t.Errorf("DecodeFileExtent = %+v, %v; want %+v", got, err, regular)
	}
	inline := FileExtent{RAMBytes: 3, Inline: []byte("abc")}
	got, err := DecodeFileExtent(inline.Append(nil))
	if diff := cmp.Diff(inline, got); err != nil || diff != "" {
		t.Errorf("inline: %v\n%s", err, diff)
	}
	edit := func(at int, value byte) []byte { c := bytes.Clone(b); c[at] = value; return c }
	for name, bad := range map[string][]byte{
		"empty": nil, "short": b[:FileExtentInlineSize-1], "half": b[:FileExtentRegularSize-1], "long": append(bytes.Clone(b), 0),
		"compression": edit(16, 4), "encryption": edit(17, 1), "encoding": edit(18, 1), "encoding high": edit(19, 1), "kind": edit(20, 3),
	} {
		if _, err := DecodeFileExtent(bad); err == nil {
			t.Errorf("%s: DecodeFileExtent succeeded", name)
		}
	}
}

func TestExtentItem(t *testing.T) {
	head := ExtentItem{Refs: 3, Generation: 7, Flags: ExtentFlagData}
	b := head.Append(nil)
	data := DataRef{Root: 5, ObjectID: 257, Offset: 4096, Count: 2}
	b = data.Append(append(b, byte(TypeExtentDataRef)))
	b = put32(put64(append(b, byte(TypeSharedDataRef)), 1<<20), 9)
	b = put64(append(b, byte(TypeExtentOwnerRef)), 5)
	item, _, refs, err := DecodeExtentItem(b, false)
	want := []InlineRef{{Type: TypeExtentDataRef, Data: data}, {Type: TypeSharedDataRef, Offset: 1 << 20, Count: 9}, {Type: TypeExtentOwnerRef, Offset: 5}}
	if diff := cmp.Diff(want, refs); err != nil || item != head || diff != "" {
		t.Errorf("DecodeExtentItem = %+v, %v\n%s", item, err, diff)
	}
	first := ExtentItemSize + InlineDataRefSize
	refuseCuts(t, b, []int{ExtentItemSize, first, first + 13}, func(b []byte) error {
		if len(b) == 0 {
			return nil
		}
		_, _, _, err := DecodeExtentItem(b, false)
		return err
	})
	b[ExtentItemSize] = byte(TypeInodeItem)
	if _, _, _, err := DecodeExtentItem(b, false); err == nil || !strings.Contains(err.Error(), "type INODE_ITEM") {
		t.Errorf("an inline ref of another type: %v; want an error", err)
	}
	if _, _, _, err := DecodeExtentItem(nil, false); err == nil {
		t.Error("DecodeExtentItem of nothing succeeded")
	}
}

func TestExtentItemOfTreeBlock(t *testing.T) {
	head := ExtentItem{Refs: 1, Generation: 7, Flags: ExtentFlagTreeBlock}
	ref := put64([]byte{byte(TypeTreeBlockRef)}, 5)
	want := []InlineRef{{Type: TypeTreeBlockRef, Offset: 5}}
	skinny := append(head.Append(nil), ref...)
	if _, level, refs, err := DecodeExtentItem(skinny, true); err != nil || level != 0 || !cmp.Equal(refs, want) {
		t.Errorf("skinny: level %d, %v, %v; want %v", level, refs, err, want)
	}
	full := append(append(Key{ObjectID: 1}.Append(head.Append(nil)), 3), ref...)
	if _, level, refs, err := DecodeExtentItem(full, false); err != nil || level != 3 || !cmp.Equal(refs, want) {
		t.Errorf("with key: level %d, %v, %v; want level 3, %v", level, refs, err, want)
	}
	if _, _, _, err := DecodeExtentItem(full[:ExtentItemSize+treeBlockInfoSize-1], false); err == nil {
		t.Error("half a key is accepted")
	}
}

func TestRootRef(t *testing.T) {
	in := RootRef{DirID: 256, Sequence: 5, Name: "home"}
	b := in.Append(nil)
	want := []byte{0, 1, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 4, 0, 'h', 'o', 'm', 'e'}
	if !bytes.Equal(b, want) {
		t.Errorf("% x; want % x", b, want)
	}
	if got, err := DecodeRootRef(b); err != nil || got != in {
		t.Errorf("DecodeRootRef = %+v, %v; want %+v", got, err, in)
	}
	for _, bad := range [][]byte{nil, b[:RootRefSize-1], b[:len(b)-1], append(bytes.Clone(b), 0), RootRef{}.Append(nil)} {
		if _, err := DecodeRootRef(bad); err == nil {
			t.Errorf("DecodeRootRef of %d bytes succeeded", len(bad))
		}
	}
}

func TestUUIDKey(t *testing.T) {
	uuid := [16]byte{0: 1, 7: 2, 8: 3, 15: 4}
	want := Key{ObjectID: 0x0200000000000001, Type: TypeUUIDSubvol, Offset: 0x0400000000000003}
	if got := UUIDKey(uuid, TypeUUIDSubvol); got != want {
		t.Errorf("UUIDKey = %+v; want %+v", got, want)
	}
}
