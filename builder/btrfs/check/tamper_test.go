package check_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// add64 adds to a little-endian number inside an item.
func add64(b []byte, delta int64) {
	binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+uint64(delta))
}

func add32(b []byte, delta int32) {
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)+uint32(delta))
}

func ofType(t ondisk.Type) func(ondisk.Item) bool {
	return func(i ondisk.Item) bool { return i.Key.Type == t }
}

// inodeOf matches items of one type of the inodes with this file type.
func inodeOf(kind ondisk.FileType) func(ondisk.Item) bool {
	return func(i ondisk.Item) bool {
		n, err := ondisk.DecodeInodeItem(i.Data)
		return i.Key.Type == ondisk.TypeInodeItem && err == nil && ondisk.FileTypeOf(n.Mode) == kind && i.Key.ObjectID > ondisk.FirstFree
	}
}

func fileExtent(kind ondisk.ExtentKind) func(ondisk.Item) bool {
	return func(i ondisk.Item) bool {
		return i.Key.Type == ondisk.TypeExtentData && i.Data[20] == byte(kind) && (kind == ondisk.ExtentInline || binary.LittleEndian.Uint64(i.Data[21:]) != 0)
	}
}

func dataExtent(i ondisk.Item) bool {
	return i.Key.Type == ondisk.TypeExtentItem && i.Data[16] == byte(ondisk.ExtentFlagData)
}

// laterExtent matches a data extent that is not the first of its group.
func laterExtent(i ondisk.Item) bool { return dataExtent(i) && i.Key.ObjectID > 13631488 }

// keyOffset is where the offset of the key is in an item's header.
const keyOffset = 9

// tampering is one change of one field, with all checksums right.
type tampering struct {
	name  string
	tree  uint64
	match func(ondisk.Item) bool
	edit  func(head, data []byte)
	want  string // a problem that must be among those found
}

var tamperings = []tampering{
	// Extent tree.
	{"data refs", ondisk.ExtentTree, dataExtent, func(_, d []byte) { add64(d, 1) }, "data extent 13631488+"},
	{"data ref count", ondisk.ExtentTree, dataExtent, func(_, d []byte) { add32(d[24+1+24:], 1) }, "found 1 times, the extent tree says 2"},
	{"data ref inode", ondisk.ExtentTree, dataExtent, func(_, d []byte) { add64(d[24+1+8:], 1000) }, "is missing from the extent tree"},
	{"data ref root", ondisk.ExtentTree, dataExtent, func(_, d []byte) { add64(d[24+1:], 300) }, "EXTENT_DATA_REF from subvolume 305"},
	{"data ref offset", ondisk.ExtentTree, dataExtent, func(_, d []byte) { add64(d[24+1+16:], 4096) }, "of count 1 in the extent tree is not found in any tree"},
	{"data extent start", ondisk.ExtentTree, laterExtent, func(h, _ []byte) { add64(h, 4096) }, "is referenced, but has no extent item"},
	{"data extent length", ondisk.ExtentTree, dataExtent, func(h, _ []byte) { add64(h[keyOffset:], 4096) }, "overlaps the extent"},
	{"data extent as block", ondisk.ExtentTree, dataExtent, func(_, d []byte) { d[16] = 4 }, "flags 0x4, expected DATA"},
	{"block owner", ondisk.ExtentTree, ofType(ondisk.TypeMetadataItem), func(_, d []byte) { add64(d[25:], 1) }, "TREE_BLOCK_REF from tree"},
	{"block refs", ondisk.ExtentTree, ofType(ondisk.TypeMetadataItem), func(_, d []byte) { add64(d, 1) }, "refs 2, its references add up to 1"},
	{"block level", ondisk.ExtentTree, ofType(ondisk.TypeMetadataItem), func(h, _ []byte) { add64(h[keyOffset:], 1) }, "its extent item has 1 and"},
	{"block generation", ondisk.ExtentTree, ofType(ondisk.TypeMetadataItem), func(_, d []byte) { add64(d[8:], -1) }, "and generation"},
	{"block full backref", ondisk.ExtentTree, ofType(ondisk.TypeMetadataItem), func(_, d []byte) { d[17] = 2 }, "flags 0x202"},
	// Block groups, chunks, devices.
	{"group used", ondisk.ExtentTree, ofType(ondisk.TypeBlockGroupItem), func(_, d []byte) { add64(d, 4096) }, "the extents inside add up to"},
	{"group flags", ondisk.ExtentTree, ofType(ondisk.TypeBlockGroupItem), func(_, d []byte) { d[16] ^= 0x20 }, "block group 13631488+8388608: type 0x21"},
	{"group length", ondisk.ExtentTree, ofType(ondisk.TypeBlockGroupItem), func(h, _ []byte) { add64(h[keyOffset:], 65536) }, "its chunk has"},
	{"group chunk", ondisk.ExtentTree, ofType(ondisk.TypeBlockGroupItem), func(_, d []byte) { add64(d[8:], 1) }, "chunk objectid 257"},
	{"chunk owner", ondisk.ChunkTree, ofType(ondisk.TypeChunkItem), func(_, d []byte) { add64(d[8:], 1) }, "owner 3"},
	{"chunk device", ondisk.ChunkTree, ofType(ondisk.TypeChunkItem), func(_, d []byte) { d[48+16]++ }, "stripe on device"},
	{"device bytes used", ondisk.ChunkTree, ofType(ondisk.TypeDevItem), func(_, d []byte) { add64(d[16:], 4096) }, "bytes_used"},
	{"device uuid", ondisk.ChunkTree, ofType(ondisk.TypeDevItem), func(_, d []byte) { d[66]++ }, "device item differs"},
	{"device extent length", ondisk.DevTree, ofType(ondisk.TypeDevExtent), func(_, d []byte) { add64(d[24:], 65536) }, "is not a stripe of that chunk"},
	{"device extent place", ondisk.DevTree, ofType(ondisk.TypeDevExtent), func(h, _ []byte) { add64(h[keyOffset:], -65536) }, "is missing, though the chunk has such a stripe"},
	{"device extent chunk", ondisk.DevTree, ofType(ondisk.TypeDevExtent), func(_, d []byte) { add64(d[16:], 65536) }, "is not a stripe of that chunk"},
	{"device extent tree", ondisk.DevTree, ofType(ondisk.TypeDevExtent), func(_, d []byte) { add64(d, 1) }, "chunk tree 4 and"},
	// Checksums and free space.
	{"checksum missing at the start", ondisk.CsumTree, ofType(ondisk.TypeExtentCsum), func(h, _ []byte) { add64(h[keyOffset:], 4096) }, "has no checksums"},
	{"checksum without extent", ondisk.CsumTree, ofType(ondisk.TypeExtentCsum), func(h, _ []byte) { add64(h[keyOffset:], 4096) }, "has checksums, but is not in a data extent"},
	{"checksum objectid", ondisk.CsumTree, ofType(ondisk.TypeExtentCsum), func(h, _ []byte) { add64(h, 1) }, "does not belong in the checksum tree"},
	{"checksum value", ondisk.CsumTree, ofType(ondisk.TypeExtentCsum), func(_, d []byte) { d[4]++ }, "wrong crc32c checksum"},
	{"free space start", ondisk.FreeSpaceTree, liveSpace, func(h, _ []byte) { add64(h, 4096); add64(h[keyOffset:], -4096) }, "which is not a gap between extents"},
	{"free space length", ondisk.FreeSpaceTree, liveSpace, func(h, _ []byte) { add64(h[keyOffset:], -4096) }, "expected a length of"},
	{"free space count", ondisk.FreeSpaceTree, liveInfo, func(_, d []byte) { d[0]++ }, "FREE_SPACE_INFO has"},
	{"free space kind", ondisk.FreeSpaceTree, liveInfo, func(_, d []byte) { d[4] = 1 }, "has flags 1, expected 0"},
	{"free space group", ondisk.FreeSpaceTree, liveInfo, func(h, _ []byte) { add64(h[keyOffset:], 4096) }, "there is no such block group"},
	// Inodes.
	{"nlink", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[40]++ }, `nlink 2, expected 1 as it has names`},
	{"nlink 0", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[40] = 0 }, "nlink 0, expected"},
	{"directory nlink", ondisk.FSTree, inodeOf(ondisk.FileDir), func(_, d []byte) { d[40]++ }, "directory with nlink 2"},
	{"directory size", ondisk.FSTree, inodeOf(ondisk.FileDir), func(_, d []byte) { d[16]++ }, "the names in it add up to"},
	{"nbytes", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[24]++ }, "its extents add up to"},
	{"mode without type", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[53] &= 0x0f }, "expected a file type"},
	{"mode of another type", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[53] = d[53]&0x0f | 0x60 }, "has type 1"},
	{"inode flag", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[65] |= 0x20 }, "flags 0x2"},
	{"inode generation", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[1] = 9 }, "the superblock has"},
	{"nodatasum with checksums", ondisk.FSTree, inodeNamed("noise"), func(_, d []byte) { d[64] |= 1 }, "though its inode has the flag NODATASUM"},
	{"nanoseconds", ondisk.FSTree, inodeOf(ondisk.FileRegular), func(_, d []byte) { d[112+11] = 0xff }, "nanoseconds"},
	{"symlink size", ondisk.FSTree, inodeOf(ondisk.FileSymlink), func(_, d []byte) { d[16] += 9 }, "symbolic link of size 14"},
	// Names.
	{"inode ref index", ondisk.FSTree, refOf(nil), func(_, d []byte) { d[0]++ }, "but no entry of that name and index there"},
	{"inode ref name", ondisk.FSTree, refOf(nil), func(_, d []byte) { d[10]++ }, "but it has no INODE_REF of that name and index"},
	{"inode ref parent", ondisk.FSTree, refOf(nil), func(h, _ []byte) { add64(h[keyOffset:], 1) }, "but no entry of that name and index there"},
	{"entry hash", ondisk.FSTree, ofType(ondisk.TypeDirItem), func(h, _ []byte) { add64(h[keyOffset:], 1) }, "the key has another"},
	{"entry name", ondisk.FSTree, ofType(ondisk.TypeDirItem), func(_, d []byte) { d[30]++ }, "the key has another"},
	{"entry inode", ondisk.FSTree, ofType(ondisk.TypeDirItem), func(_, d []byte) { d[1] = 7 }, "has no DIR_INDEX of the same name, inode and type"},
	{"entry type", ondisk.FSTree, ofType(ondisk.TypeDirItem), func(_, d []byte) { d[29] ^= 3 }, "has no DIR_INDEX of the same name, inode and type"},
	{"entry type unknown", ondisk.FSTree, ofType(ondisk.TypeDirItem), func(_, d []byte) { d[29] = 8 }, "type 8 with"},
	{"entry location", ondisk.FSTree, ofType(ondisk.TypeDirItem), func(_, d []byte) { d[9] = 1 }, "expected an inode"},
	{"entry length", ondisk.FSTree, ofType(ondisk.TypeDirItem), func(_, d []byte) { d[27]++ }, "DIR_ITEM"},
	{"index name", ondisk.FSTree, ofType(ondisk.TypeDirIndex), func(_, d []byte) { d[30]++ }, "has no DIR_ITEM of the same name, inode and type"},
	{"index inode", ondisk.FSTree, ofType(ondisk.TypeDirIndex), func(_, d []byte) { d[1] = 7 }, "which does not exist"},
	// File extents.
	{"extent address", ondisk.FSTree, fileExtent(1), func(_, d []byte) { add64(d[21:], 4096) }, "is referenced, but has no extent item"},
	{"extent disk length", ondisk.FSTree, fileExtent(1), func(_, d []byte) { add64(d[29:], 4096) }, "takes it for data: true, of"},
	{"extent offset", ondisk.FSTree, fileExtent(1), func(_, d []byte) { add64(d[37:], 4096) }, "on disk"},
	{"extent length", ondisk.FSTree, fileExtent(1), func(_, d []byte) { add64(d[45:], -4096) }, "its extents add up to"},
	{"extent compression", ondisk.FSTree, fileExtent(1), func(_, d []byte) { d[16] = 3 }, "without COMPRESS_ZSTD"},
	{"extent compression unknown", ondisk.FSTree, fileExtent(1), func(_, d []byte) { d[16] = 4 }, "compression 4"},
	{"extent kind", ondisk.FSTree, fileExtent(1), func(_, d []byte) { d[20] = 3 }, "type 3"},
	{"extent position", ondisk.FSTree, fileExtent(1), func(h, _ []byte) { add64(h[keyOffset:], 1) }, "file offset not a multiple"},
	{"inline length", ondisk.FSTree, fileExtent(0), func(_, d []byte) { d[8]++ }, "ram_bytes"},
	// Root tree.
	{"root generation", ondisk.RootTree, rootOf(ondisk.CsumTree), func(_, d []byte) { add64(d[160:], -1) }, "generation"},
	{"root level", ondisk.RootTree, rootOf(ondisk.CsumTree), func(_, d []byte) { d[238]++ }, "tree 7: level 1: level 0, expected 1"},
	{"root block", ondisk.RootTree, rootOf(ondisk.CsumTree), func(_, d []byte) { add64(d[176:], 16384) }, "tree 7"},
	{"root flags", ondisk.RootTree, rootOf(ondisk.FSTree), func(_, d []byte) { d[208] = 2 }, "flags 0x2"},
	{"root refs", ondisk.RootTree, rootOf(ondisk.FSTree), func(_, d []byte) { d[216] = 2 }, "refs 2"},
	{"root deleted", ondisk.RootTree, rootOf(ondisk.FSTree), func(_, d []byte) { d[216] = 0 }, "refs 0, but no ORPHAN_ITEM"},
	{"root directory", ondisk.RootTree, rootOf(ondisk.FSTree), func(_, d []byte) { add64(d[168:], 1) }, "root_dirid 257"},
	{"root drop level", ondisk.RootTree, rootOf(ondisk.FSTree), func(_, d []byte) { d[220] = 1 }, "drop_level 0"},
	{"root id", ondisk.RootTree, rootOf(ondisk.DataRelocTree), func(h, _ []byte) { add64(h, 1) }, "no root item for tree -9"},
	{"root uuid", ondisk.RootTree, rootOf(256), func(_, d []byte) { d[247]++ }, "is not in the UUID tree"},
	{"root ref directory", ondisk.RootTree, ofType(ondisk.TypeRootRef), func(_, d []byte) { d[0]++ }, "has a ROOT_REF without the same ROOT_BACKREF"},
	{"root backref index", ondisk.RootTree, ofType(ondisk.TypeRootBackref), func(_, d []byte) { d[8]++ }, "has a ROOT_BACKREF without the same ROOT_REF"},
	{"uuid", ondisk.UUIDTree, ofType(ondisk.TypeUUIDSubvol), func(h, _ []byte) { h[0]++ }, "is not in the UUID tree"},
	{"uuid subvolume", ondisk.UUIDTree, ofType(ondisk.TypeUUIDSubvol), func(_, d []byte) { d[1] = 9 }, "does not exist"},
	{"default subvolume", ondisk.RootTree, ofType(ondisk.TypeDirItem), func(_, d []byte) { d[1] = 9 }, "default subvolume 23"},
}

// liveSpace matches free space of block groups that exist; mkfs leaves others.
func liveSpace(i ondisk.Item) bool {
	return i.Key.Type == ondisk.TypeFreeSpaceExtent && i.Key.ObjectID >= 13<<20 && i.Key.Offset > 8192
}

func liveInfo(i ondisk.Item) bool {
	return i.Key.Type == ondisk.TypeFreeSpaceInfo && i.Key.ObjectID >= 13<<20
}

func rootOf(id uint64) func(ondisk.Item) bool {
	return func(i ondisk.Item) bool { return i.Key.Type == ondisk.TypeRootItem && i.Key.ObjectID == id }
}

// refOf matches INODE_REF items other than the root directory's.
func refOf(name []byte) func(ondisk.Item) bool {
	return func(i ondisk.Item) bool {
		return i.Key.Type == ondisk.TypeInodeRef && i.Key.ObjectID > ondisk.FirstFree && (name == nil || string(i.Data[10:]) == string(name))
	}
}

// inodeNamed matches the INODE_ITEM before the INODE_REF of that name: it
// remembers the largest regular file, which the source tree calls noise.
func inodeNamed(string) func(ondisk.Item) bool {
	return func(i ondisk.Item) bool {
		n, err := ondisk.DecodeInodeItem(i.Data)
		return i.Key.Type == ondisk.TypeInodeItem && err == nil && n.Size == 300<<10
	}
}

func TestTamper(t *testing.T) {
	m := makeImage(t, "--subvol", "sub")
	// mkfs leaves the UUID tree for the kernel to check, the kernel says with this that it did.
	m.editSuper(t, func(s *ondisk.Superblock) { s.UUIDTreeGeneration = s.Generation })
	wantClean(t, m.run(t, check.Options{Data: true}))
	for _, c := range tamperings {
		t.Run(c.name, func(t *testing.T) {
			bad := &image{base: m, size: m.size}
			bad.editItem(t, c.tree, c.match, c.edit)
			wantProblem(t, bad, c.want)
		})
	}
}

// wantProblem demands that opening or checking the image complains with a text.
func wantProblem(t *testing.T, m *image, want string) {
	t.Helper()
	if _, err := m.open(); err != nil {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v; want %q", err, want)
		}
		return
	}
	r := m.run(t, check.Options{Data: true})
	for _, p := range r.Problems {
		if strings.Contains(p.String(), want) {
			return
		}
	}
	t.Errorf("none of %d problems says %q: %v", r.Found, want, r.Problems)
}
