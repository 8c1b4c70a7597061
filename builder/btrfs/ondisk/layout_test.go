package ondisk

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fields is a structure's layout: the name of each field and where its bytes
// stand, as "offset+size".
type fields map[string]string

// setOnes sets all bits of a value of integers, arrays and structures.
func setOnes(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			setOnes(v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			setOnes(v.Index(i))
		}
	case reflect.Int64:
		v.SetInt(-1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(^uint64(0) >> (64 - v.Type().Bits()))
	}
}

// setNumbers gives all integers of a value different values.
func setNumbers(v reflect.Value, next *uint64) {
	*next++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			setNumbers(v.Field(i), next)
		}
	case reflect.Array:
		for i := range v.Len() {
			setNumbers(v.Index(i), next)
		}
	case reflect.Int64:
		v.SetInt(int64(*next*0x0101010101) & 0x7fffffffff)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(*next * 0x0102030405060708 & (^uint64(0) >> (64 - v.Type().Bits())))
	}
}

// layoutOf finds where each field of T is encoded: it sets one at a time to
// all ones and looks for the bytes that are.
func layoutOf[T any](encode func(*T) []byte) fields {
	found := fields{}
	for i := range reflect.TypeFor[T]().NumField() {
		var v T
		setOnes(reflect.ValueOf(&v).Elem().Field(i))
		zero, b := encode(new(T)), encode(&v)
		first, last := -1, -1
		for at := range b {
			if b[at] != zero[at] {
				if first < 0 {
					first = at
				}
				last = at
			}
		}
		found[reflect.TypeFor[T]().Field(i).Name] = fmt.Sprintf("%d+%d", first, last-first+1)
	}
	return found
}

// checkStruct compares a structure's layout with that of the format, and
// encodes and decodes it with different numbers in all fields.
func checkStruct[T any](t *testing.T, size int, want fields, encode func(*T) []byte, decode func([]byte) (T, error)) {
	t.Helper()
	if diff := cmp.Diff(want, layoutOf(encode)); diff != "" {
		t.Errorf("layout (-format +encoded):\n%s", diff)
	}
	var in T
	next := uint64(0)
	setNumbers(reflect.ValueOf(&in).Elem(), &next)
	b := encode(&in)
	if len(b) != size {
		t.Errorf("%d bytes; want %d", len(b), size)
	}
	out, err := decode(b)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("round trip (-in +out):\n%s", diff)
	}
	if _, err := decode(b[:size-1]); err == nil {
		t.Errorf("decode of %d bytes succeeded; want an error", size-1)
	}
}

// Offsets are those of the kernel's include/uapi/linux/btrfs_tree.h.
func TestStructs(t *testing.T) {
	t.Run("inode item", func(t *testing.T) {
		checkStruct(t, InodeItemSize, fields{
			"Generation": "0+8", "Transid": "8+8", "Size": "16+8", "Nbytes": "24+8", "BlockGroup": "32+8", "Nlink": "40+4",
			"UID": "44+4", "GID": "48+4", "Mode": "52+4", "Rdev": "56+8", "Flags": "64+8", "Sequence": "72+8",
			"Atime": "112+12", "Ctime": "124+12", "Mtime": "136+12", "Otime": "148+12",
		}, func(i *InodeItem) []byte { return i.Append(nil) }, DecodeInodeItem)
	})
	t.Run("device item", func(t *testing.T) {
		checkStruct(t, DevItemSize, fields{
			"DevID": "0+8", "TotalBytes": "8+8", "BytesUsed": "16+8", "IOAlign": "24+4", "IOWidth": "28+4", "SectorSize": "32+4",
			"Type": "36+8", "Generation": "44+8", "Start": "52+8", "Group": "60+4", "SeekSpeed": "64+1", "Bandwidth": "65+1",
			"UUID": "66+16", "FSID": "82+16",
		}, func(d *DevItem) []byte { return d.Append(nil) }, DecodeDevItem)
	})
	t.Run("device extent", func(t *testing.T) {
		checkStruct(t, DevExtentSize, fields{
			"ChunkTree": "0+8", "ChunkObjectID": "8+8", "ChunkOffset": "16+8", "Length": "24+8", "ChunkUUID": "32+16",
		}, func(d *DevExtent) []byte { return d.Append(nil) }, DecodeDevExtent)
	})
	t.Run("block group item", func(t *testing.T) {
		checkStruct(t, BlockGroupItemSize, fields{"Used": "0+8", "ChunkObjectID": "8+8", "Flags": "16+8"},
			func(g *BlockGroupItem) []byte { return g.Append(nil) }, DecodeBlockGroupItem)
	})
	t.Run("free space info", func(t *testing.T) {
		checkStruct(t, FreeSpaceInfoSize, fields{"ExtentCount": "0+4", "Flags": "4+4"},
			func(i *FreeSpaceInfo) []byte { return i.Append(nil) }, DecodeFreeSpaceInfo)
	})
	t.Run("extent data ref", func(t *testing.T) {
		checkStruct(t, ExtentDataRefSize, fields{"Root": "0+8", "ObjectID": "8+8", "Offset": "16+8", "Count": "24+4"},
			func(r *DataRef) []byte { return r.Append(nil) }, DecodeDataRef)
	})
	t.Run("key", func(t *testing.T) {
		checkStruct(t, KeySize, fields{"ObjectID": "0+8", "Type": "8+1", "Offset": "9+8"},
			func(k *Key) []byte { return k.Append(nil) }, DecodeKey)
	})
	t.Run("header", func(t *testing.T) {
		checkStruct(t, HeaderSize, fields{
			"FSID": "32+16", "Bytenr": "48+8", "Flags": "56+8", "ChunkUUID": "64+16", "Generation": "80+8", "Owner": "88+8",
			"NrItems": "96+4", "Level": "100+1",
		}, func(h *Header) []byte { b := make([]byte, HeaderSize); h.Put(b); return b }, DecodeHeader)
	})
}

func TestRootItemLayout(t *testing.T) {
	encode := func(r *RootItem) []byte { return r.Append(nil) }
	want := fields{
		"Inode": "0+160", "Generation": "160+8", "RootDirID": "168+8", "Bytenr": "176+8", "BytesUsed": "192+8", "LastSnapshot": "200+8",
		"Flags": "208+8", "Refs": "216+4", "DropProgress": "220+17", "DropLevel": "237+1", "Level": "238+1", "GenerationV2": "239+8",
		"UUID": "247+16", "ParentUUID": "263+16", "ReceivedUUID": "279+16", "Ctransid": "295+8", "Otransid": "303+8", "Stransid": "311+8",
		"Rtransid": "319+8", "Ctime": "327+12", "Otime": "339+12", "Stime": "351+12", "Rtime": "363+12",
	}
	if diff := cmp.Diff(want, layoutOf(encode)); diff != "" {
		t.Errorf("layout (-format +encoded):\n%s", diff)
	}
	var in RootItem
	next := uint64(0)
	setNumbers(reflect.ValueOf(&in).Elem(), &next)
	in.GenerationV2 = in.Generation
	b := encode(&in)
	if len(b) != RootItemSize {
		t.Fatalf("%d bytes; want %d", len(b), RootItemSize)
	}
	out, err := DecodeRootItem(b)
	if diff := cmp.Diff(in, out); err != nil || diff != "" {
		t.Errorf("round trip: %v (-in +out):\n%s", err, diff)
	}
	// A kernel from before generation_v2 leaves it behind: all after it is stale.
	stale := in
	stale.GenerationV2++
	out, err = DecodeRootItem(encode(&stale))
	if err != nil || out.UUID != [16]byte{} || out.Otime != (Timespec{}) || out.GenerationV2 != 0 || out.Level != in.Level {
		t.Errorf("stale: %+v, %v; want no UUID and no times", out, err)
	}
	out, err = DecodeRootItem(b[:RootItemLegacySize])
	if err != nil || out.UUID != [16]byte{} || out.Level != in.Level {
		t.Errorf("legacy: %+v, %v; want no UUID", out, err)
	}
	for _, n := range []int{0, RootItemLegacySize - 1, RootItemLegacySize + 1, RootItemSize - 1} {
		if _, err := DecodeRootItem(b[:n]); err == nil {
			t.Errorf("decode of %d bytes succeeded; want an error", n)
		}
	}
	if _, err := DecodeRootItem(append(b, 0)); err == nil {
		t.Error("decode of a byte too much succeeded")
	}
}
