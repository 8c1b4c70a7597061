package check

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

func key(id uint64, t ondisk.Type, offset uint64) ondisk.Key {
	return ondisk.Key{ObjectID: id, Type: t, Offset: offset}
}

func named(name string, typ ondisk.FileType, at ondisk.Key) []byte {
	return (&ondisk.DirItem{Location: at, Type: typ, Name: name}).Append(nil)
}

func stored(edit func(*ondisk.FileExtent)) []byte {
	e := ondisk.FileExtent{RAMBytes: 8192, Kind: ondisk.ExtentRegular, DiskBytenr: 1 << 20, DiskNumBytes: 8192, NumBytes: 8192}
	edit(&e)
	return e.Append(nil)
}

// TestCheckForm feeds single items, among them every kind that no test image
// holds. Each problem must be the only one.
func TestCheckForm(t *testing.T) {
	file := key(257, ondisk.TypeInodeItem, 0)
	hash := ondisk.NameHash
	xattr := func(typ ondisk.FileType, at ondisk.Key) []byte {
		return (&ondisk.DirItem{Location: at, Type: typ, Name: "user.x", Data: []byte("v")}).Append(nil)
	}
	inline := func(ram uint64, n int) []byte {
		return (&ondisk.FileExtent{RAMBytes: ram, Inline: make([]byte, n)}).Append(nil)
	}
	for _, c := range []struct {
		name string
		key  ondisk.Key
		data []byte
		want string // "" is no problem
	}{
		{"ref", key(257, ondisk.TypeInodeRef, 256), ondisk.InodeRef{Index: 2, Name: "x"}.Append(nil), ""},
		{"ref empty", key(257, ondisk.TypeInodeRef, 256), nil, "0 names"},
		{"ref with slash", key(257, ondisk.TypeInodeRef, 256), ondisk.InodeRef{Index: 2, Name: "a/b"}.Append(nil), "slash or a zero byte"},
		{"ref with zero byte", key(257, ondisk.TypeInodeRef, 256), ondisk.InodeRef{Index: 2, Name: "a\x00"}.Append(nil), "slash or a zero byte"},
		{"extref", key(257, ondisk.TypeInodeExtref, ondisk.ExtrefHash(256, "x")), ondisk.InodeExtref{Parent: 256, Index: 2, Name: "x"}.Append(nil), ""},
		{"extref hash", key(257, ondisk.TypeInodeExtref, 1), ondisk.InodeExtref{Parent: 256, Index: 2, Name: "x"}.Append(nil), "the key has another"},
		{"extref cut", key(257, ondisk.TypeInodeExtref, 1), []byte{1}, "inode extref"},
		{"entry", key(256, ondisk.TypeDirItem, hash("x")), named("x", ondisk.FileRegular, file), ""},
		{"entry twice", key(256, ondisk.TypeDirItem, hash("x")), append(named("x", 1, file), named("x", 1, file)...), "stands twice"},
		{"entry dot", key(256, ondisk.TypeDirItem, hash(".")), named(".", ondisk.FileDir, file), `name "."`},
		{"entry dot dot", key(256, ondisk.TypeDirItem, hash("..")), named("..", ondisk.FileDir, file), `name ".."`},
		{"entry of subvolume", key(256, ondisk.TypeDirItem, hash("s")), named("s", ondisk.FileDir, key(300, ondisk.TypeRootItem, 7)), ""},
		{"entry of subvolume as file", key(256, ondisk.TypeDirItem, hash("s")), named("s", 1, key(300, ondisk.TypeRootItem, 7)), "expected a subvolume as a directory"},
		{"entry of a tree", key(256, ondisk.TypeDirItem, hash("s")), named("s", ondisk.FileDir, key(7, ondisk.TypeRootItem, 7)), "expected a subvolume as a directory"},
		{"entry of inode 255", key(256, ondisk.TypeDirItem, hash("x")), named("x", 1, key(255, ondisk.TypeInodeItem, 0)), "expected an inode"},
		{"entry with data", key(256, ondisk.TypeDirItem, hash("user.x")), (&ondisk.DirItem{Location: file, Type: 1, Name: "user.x", Data: []byte("v")}).Append(nil), "1 bytes of data"},
		{"index 1", key(256, ondisk.TypeDirIndex, 1), named("x", 1, file), "at an index of at least 2"},
		{"index 2", key(256, ondisk.TypeDirIndex, 2), named("x", 1, file), ""},
		{"index of two", key(256, ondisk.TypeDirIndex, 2), append(named("x", 1, file), named("y", 1, file)...), "2 entries, expected one"},
		{"xattr", key(257, ondisk.TypeXattrItem, hash("user.x")), xattr(ondisk.FileXattr, ondisk.Key{}), ""},
		{"xattr type", key(257, ondisk.TypeXattrItem, hash("user.x")), xattr(1, ondisk.Key{}), "xattr"},
		{"xattr location", key(257, ondisk.TypeXattrItem, hash("user.x")), xattr(ondisk.FileXattr, file), "xattr"},
		{"xattr hash", key(257, ondisk.TypeXattrItem, 3), xattr(ondisk.FileXattr, ondisk.Key{}), "the key has another"},
		{"inline", key(257, ondisk.TypeExtentData, 0), inline(9, 9), ""},
		{"inline, sector", key(257, ondisk.TypeExtentData, 0), inline(4096, 4096), ""},
		{"inline, sector and one", key(257, ondisk.TypeExtentData, 0), inline(4097, 4097), "inline extent of 4097 bytes"},
		{"inline empty", key(257, ondisk.TypeExtentData, 0), inline(0, 0), "inline extent of 0 bytes"},
		{"inline later", key(257, ondisk.TypeExtentData, 4096), inline(9, 9), "offset other than 0"},
		{"regular", key(257, ondisk.TypeExtentData, 4096), stored(func(*ondisk.FileExtent) {}), ""},
		{"no length", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.NumBytes = 0 }), "length 0"},
		{"length wraps", key(257, ondisk.TypeExtentData, 1<<63), stored(func(e *ondisk.FileExtent) { e.NumBytes = 1 << 63 }), "length 9223372036854775808"},
		{"hole", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.DiskBytenr, e.DiskNumBytes = 0, 0 }), ""},
		{"hole with bytes", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.DiskBytenr = 0 }), "hole of type 1"},
		{"hole preallocated", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.DiskBytenr, e.DiskNumBytes, e.Kind = 0, 0, 2 }), "hole of type 2"},
		{"part", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.Offset, e.NumBytes = 4096, 4096 }), ""},
		{"part beyond", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.Offset = 4096 }), "bytes 4096+8192 of"},
		{"compressed", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.RAMBytes, e.NumBytes, e.Compression = 131072, 131072, 3 }), ""},
		{"compressed, too long", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.RAMBytes, e.Compression = 131072+4096, 3 }), "expected at most 131072"},
		{"compressed, preallocated", key(257, ondisk.TypeExtentData, 0), stored(func(e *ondisk.FileExtent) { e.Compression, e.Kind = 3, 2 }), "preallocated, yet compressed"},
		{"other type", key(257, ondisk.TypeChunkItem, 0), nil, "does not belong in a subvolume"},
		{"verity", key(257, ondisk.TypeVerityDesc, 0), nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := testChecker()
			k.checkForm(&leaf{tree: &tree{id: 5}}, ondisk.Item{Key: c.key, Data: c.data})
			got := fmt.Sprint(k.log.report.Problems)
			if c.want == "" && k.log.report.Found != 0 || c.want != "" && !strings.Contains(got, c.want) {
				t.Errorf("checkForm: %s; want %q", got, c.want)
			}
		})
	}
}

// TestLeafItems feeds single items to the handlers of the other trees.
func TestLeafItems(t *testing.T) {
	ref := ondisk.DataRef{Root: 5, ObjectID: 257, Count: 1}
	count := binary.LittleEndian.AppendUint32(nil, 3)
	for _, c := range []struct {
		name string
		tree uint64
		key  ondisk.Key
		data []byte
		want string
	}{
		{"keyed block ref", 2, key(4096, ondisk.TypeTreeBlockRef, 5), nil, ""},
		{"keyed block ref with data", 2, key(4096, ondisk.TypeTreeBlockRef, 5), []byte{1}, "has 1 bytes, expected 0"},
		{"keyed shared block ref", 2, key(4096, ondisk.TypeSharedBlockRef, 8192), nil, ""},
		{"keyed data ref", 2, key(4096, ondisk.TypeExtentDataRef, ref.Hash()), ref.Append(nil), ""},
		{"keyed data ref, collision", 2, key(4096, ondisk.TypeExtentDataRef, ref.Hash()+1), ref.Append(nil), ""},
		{"keyed data ref, hash", 2, key(4096, ondisk.TypeExtentDataRef, ref.Hash()-1), ref.Append(nil), "expected the reference's hash"},
		{"keyed data ref, cut", 2, key(4096, ondisk.TypeExtentDataRef, ref.Hash()), ref.Append(nil)[:27], "has 27 bytes, expected 28"},
		{"keyed shared data ref", 2, key(4096, ondisk.TypeSharedDataRef, 8192), count, ""},
		{"keyed shared data ref, none", 2, key(4096, ondisk.TypeSharedDataRef, 8192), make([]byte, 4), "with count 0"},
		{"owner ref", 2, key(4096, ondisk.TypeExtentOwnerRef, 5), nil, ""},
		{"extent without refs", 2, key(4096, ondisk.TypeExtentItem, 4096), ondisk.ExtentItem{Flags: 1}.Append(nil), "refs 0"},
		{"foreign", 2, key(4096, ondisk.TypeInodeItem, 0), nil, "does not belong in the extent tree"},
		{"checksums at the end of the space", 7, key(ondisk.ExtentCsum, ondisk.TypeExtentCsum, ^uint64(0)-4095), make([]byte, 4), "beyond the address space"},
		{"checksums cut", 7, key(ondisk.ExtentCsum, ondisk.TypeExtentCsum, 4096), make([]byte, 5), "5 bytes of checksums"},
		{"uuid cut", 9, key(1, ondisk.TypeUUIDSubvol, 2), make([]byte, 7), "expected a multiple of 8"},
		{"free space with data", 10, key(4096, ondisk.TypeFreeSpaceExtent, 4096), []byte{1}, "has 1 bytes, expected none"},
		{"free space before info", 10, key(4096, ondisk.TypeFreeSpaceExtent, 4096), nil, "before any FREE_SPACE_INFO"},
		{"bitmap before info", 10, key(4096, ondisk.TypeFreeSpaceBitmap, 4096), []byte{1}, "before any FREE_SPACE_INFO"},
		{"free space info cut", 10, key(4096, ondisk.TypeFreeSpaceInfo, 4096), []byte{1}, "free space info"},
		{"device extent cut", 4, key(1, ondisk.TypeDevExtent, 1<<20), []byte{1}, "device extent"},
		{"group cut", 11, key(4096, ondisk.TypeBlockGroupItem, 4096), []byte{1}, "block group item"},
		{"foreign in quota tree", 8, key(1, ondisk.TypeInodeItem, 0), nil, ""},
		{"orphan", 1, key(orphanObjectID, ondisk.TypeOrphanItem, 300), nil, ""},
		{"orphan with data", 1, key(orphanObjectID, ondisk.TypeOrphanItem, 300), []byte{1}, "expected objectid -5 and none"},
		{"space cache", 1, key(freeSpaceObjectID, 0, 1<<20), make([]byte, 41), ""},
		{"type 0", 1, key(1, 0, 0), nil, "unknown item"},
		{"root cut", 1, key(300, ondisk.TypeRootItem, 0), []byte{1}, "root item"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := testChecker()
			l := &leaf{tree: &tree{id: c.tree}, fresh: true, items: []ondisk.Item{{Key: c.key, Data: c.data}}}
			if c.tree == ondisk.RootTree {
				k.rootLeaf(l)
			} else {
				k.super.CompatROFlags = ondisk.CompatROBlockGroupTree
				k.leafHandler(c.tree)(l)
			}
			got := fmt.Sprint(k.log.report.Problems)
			if c.want == "" && k.log.report.Found != 0 || c.want != "" && !strings.Contains(got, c.want) {
				t.Errorf("handler of tree %d: %s; want %q", c.tree, got, c.want)
			}
		})
	}
}

// TestCsumItems checks how checksum items join.
func TestCsumItems(t *testing.T) {
	k := testChecker()
	at := func(offset uint64, n int) ondisk.Item {
		return ondisk.Item{Key: key(ondisk.ExtentCsum, ondisk.TypeExtentCsum, offset), Data: make([]byte, 4*n)}
	}
	k.csumLeaf(&leaf{tree: &tree{id: 7}, items: []ondisk.Item{at(0, 2), at(8192, 1), at(16384, 2)}})
	if got := fmt.Sprint(k.csums); got != "[{0 12288} {16384 8192}]" || k.log.report.Found != 0 {
		t.Errorf("csums = %s with %d problems", got, k.log.report.Found)
	}
	k.csumLeaf(&leaf{tree: &tree{id: 7}, items: []ondisk.Item{at(20480, 2)}})
	if k.log.report.Found != 1 {
		t.Errorf("overlapping checksums: %v; want one problem", k.log.report.Problems)
	}
}
