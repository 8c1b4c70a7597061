package ondisk

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tables of this file are copied from the kernel's
// include/uapi/linux/btrfs_tree.h and btrfs.h, not from this package: a wrong
// constant decodes what this package encodes, and nothing else.

func TestTypeNames(t *testing.T) {
	want := map[Type]string{
		1: "INODE_ITEM", 12: "INODE_REF", 13: "INODE_EXTREF", 24: "XATTR_ITEM", 36: "VERITY_DESC_ITEM", 37: "VERITY_MERKLE_ITEM",
		48: "ORPHAN_ITEM", 60: "DIR_LOG_ITEM", 72: "DIR_LOG_INDEX", 84: "DIR_ITEM", 96: "DIR_INDEX", 108: "EXTENT_DATA",
		128: "EXTENT_CSUM", 132: "ROOT_ITEM", 144: "ROOT_BACKREF", 156: "ROOT_REF", 168: "EXTENT_ITEM", 169: "METADATA_ITEM",
		172: "EXTENT_OWNER_REF", 176: "TREE_BLOCK_REF", 178: "EXTENT_DATA_REF", 182: "SHARED_BLOCK_REF", 184: "SHARED_DATA_REF",
		192: "BLOCK_GROUP_ITEM", 198: "FREE_SPACE_INFO", 199: "FREE_SPACE_EXTENT", 200: "FREE_SPACE_BITMAP", 204: "DEV_EXTENT",
		216: "DEV_ITEM", 228: "CHUNK_ITEM", 249: "PERSISTENT_ITEM", 251: "UUID_KEY_SUBVOL", 252: "UUID_KEY_RECEIVED_SUBVOL",
	}
	for i := range 256 {
		kind := Type(i)
		name, known := want[kind]
		if !known {
			name = fmt.Sprintf("UNKNOWN.%d", i)
		}
		if got := kind.String(); got != name {
			t.Errorf("Type(%d) = %q; want %q", i, got, name)
		}
	}
}

func TestIncompatNames(t *testing.T) {
	tests := []struct {
		bit  int
		flag uint64
		want string
	}{
		{0, IncompatMixedBackref, "MIXED_BACKREF"},
		{1, IncompatDefaultSubvol, "DEFAULT_SUBVOL"},
		{2, IncompatMixedGroups, "MIXED_GROUPS"},
		{3, IncompatCompressLZO, "COMPRESS_LZO"},
		{4, IncompatCompressZSTD, "COMPRESS_ZSTD"},
		{5, IncompatBigMetadata, "BIG_METADATA"},
		{6, IncompatExtendedIref, "EXTENDED_IREF"},
		{7, IncompatRAID56, "RAID56"},
		{8, IncompatSkinnyMetadata, "SKINNY_METADATA"},
		{9, IncompatNoHoles, "NO_HOLES"},
		{10, IncompatMetadataUUID, "METADATA_UUID"},
		{11, IncompatRAID1C34, "RAID1C34"},
		{12, IncompatZoned, "ZONED"},
		{13, IncompatExtentTreeV2, "EXTENT_TREE_V2"},
		{14, IncompatRAIDStripeTree, "RAID_STRIPE_TREE"},
		{15, 1 << 15, "bit 15"},
		{16, IncompatSimpleQuota, "SIMPLE_QUOTA"},
		{17, IncompatRemapTree, "REMAP_TREE"},
		{18, 1 << 18, "bit 18"},
		{63, 1 << 63, "bit 63"},
	}
	for _, test := range tests {
		if test.flag != 1<<test.bit {
			t.Errorf("%s = %#x; want bit %d", test.want, test.flag, test.bit)
		}
		if got := IncompatNames(test.flag); !slices.Equal(got, []string{test.want}) {
			t.Errorf("IncompatNames(%#x) = %q; want %q alone", test.flag, got, test.want)
		}
	}
	if got := IncompatNames(^uint64(0)); len(got) != 64 || got[0] != "MIXED_BACKREF" || got[63] != "bit 63" {
		t.Errorf("IncompatNames of all bits = %q; want 64 names, lowest first", got)
	}
}

func TestFlagBits(t *testing.T) {
	for _, test := range []struct {
		name string
		bits []uint64 // in the order of the header, from the first bit on
	}{
		{"compat_ro", []uint64{CompatROFreeSpaceTree, CompatROFreeSpaceTreeValid, CompatROVerity, CompatROBlockGroupTree}},
		{"block group", []uint64{
			uint64(GroupData), uint64(GroupSystem), uint64(GroupMetadata), uint64(GroupRAID0), uint64(GroupRAID1), uint64(GroupDUP),
			uint64(GroupRAID10), uint64(GroupRAID5), uint64(GroupRAID6), uint64(GroupRAID1C3), uint64(GroupRAID1C4),
		}},
		{"inode", []uint64{
			InodeNoDataSum, InodeNoDataCow, InodeReadOnly, InodeNoCompress, InodePrealloc, InodeSync, InodeImmutable, InodeAppend,
			InodeNoDump, InodeNoAtime, InodeDirSync, InodeCompress,
		}},
		{"extent", []uint64{ExtentFlagData, ExtentFlagTreeBlock}},
		{"tree block", []uint64{FlagWritten, FlagReloc}},
	} {
		for i, got := range test.bits {
			if got != 1<<i {
				t.Errorf("%s: flag %d is %#x; want %#x", test.name, i, got, 1<<i)
			}
		}
	}
	if InodeRootItemInit != 1<<31 || InodeVerity != 1<<32 || ExtentFlagFullBackref != 1<<8 || BackrefRev != 1<<56 {
		t.Errorf("flags %#x, %#x, %#x, %#x; want bits 31, 32, 8, 56", InodeRootItemInit, InodeVerity, ExtentFlagFullBackref, BackrefRev)
	}
	if GroupTypeMask != 7 || GroupProfileMask != 0x7f8 {
		t.Errorf("masks %#x and %#x; want 0x7 and 0x7f8", uint64(GroupTypeMask), uint64(GroupProfileMask))
	}
}

func TestObjectIDs(t *testing.T) {
	trees := []uint64{RootTree, ExtentTree, ChunkTree, DevTree, FSTree, RootTreeDir, CsumTree, QuotaTree, UUIDTree, FreeSpaceTree, BlockGroupTree}
	for i, got := range trees {
		if got != uint64(i+1) {
			t.Errorf("tree %d has objectid %d", i+1, got)
		}
	}
	// Those at the end are negative numbers in the header.
	for want, id := range map[int64]uint64{-6: TreeLog, -8: TreeReloc, -9: DataRelocTree, -10: ExtentCsum, -256: LastFree} {
		if got := int64(id); got != want {
			t.Errorf("objectid %d; want %d", got, want)
		}
	}
	if FirstFree != 256 || FirstChunkTree != 256 || DevItems != 1 || DevStats != 0 {
		t.Errorf("objectids %d, %d, %d, %d; want 256, 256, 1, 0", FirstFree, FirstChunkTree, DevItems, DevStats)
	}
}

// TestFileTypeOfEveryMode takes all values of the four type bits, with
// permission bits that must not count.
func TestFileTypeOfEveryMode(t *testing.T) {
	want := [16]FileType{1: 5, 2: 3, 4: 2, 6: 4, 8: 1, 10: 7, 12: 6} // BTRFS_FT_* by S_IFMT
	for kind, want := range want {
		for _, perm := range []uint32{0, 0o644, 0o7777} {
			if got := FileTypeOf(uint32(kind)<<12 | perm); got != want {
				t.Errorf("FileTypeOf(%#o) = %d; want %d", uint32(kind)<<12|perm, got, want)
			}
		}
	}
	if FileXattr != 8 || FileUnknown != 0 {
		t.Errorf("xattr %d and unknown %d; want 8 and 0", FileXattr, FileUnknown)
	}
}

func TestParseChecksumTypeRefuses(t *testing.T) {
	for _, name := range []string{"", "CRC32C", "crc32", "xxhash", "sha-256", "blake2", "crc32c ", "unknown checksum type 4"} {
		_, err := ParseChecksumType(name)
		want := fmt.Sprintf("checksum %q: expected one of [\"crc32c\" \"xxhash64\" \"sha256\" \"blake2b\"]", name)
		if err == nil || err.Error() != want {
			t.Errorf("ParseChecksumType(%q) = %v; want %s", name, err, want)
		}
	}
}

// TestVerifyPassesOverPadding: as the kernel does, which compares as many bytes
// as the algorithm has.
func TestVerifyPassesOverPadding(t *testing.T) {
	for kind := CRC32C; kind <= BLAKE2b; kind++ {
		block := []byte(strings.Repeat("b", 4096))
		kind.Seal(block)
		for at := kind.Size(); at < ChecksumSize; at++ {
			block[at] = 0xff
		}
		if !kind.Verify(block) {
			t.Errorf("%v: does not verify with bytes behind the checksum", kind)
		}
	}
}

// TestBackupRoots pins struct btrfs_root_backup, which layoutOf sees only as a
// whole.
func TestBackupRoots(t *testing.T) {
	pointer := func(n uint64) RootPointer {
		return RootPointer{Block: Logical(n), Generation: n + 1, Level: uint8(n + 2)}
	}
	in := BackupRoot{
		TreeRoot: pointer(10), ChunkRoot: pointer(20), ExtentRoot: pointer(30), FSRoot: pointer(40), DevRoot: pointer(50), CsumRoot: pointer(60),
		TotalBytes: 70, BytesUsed: 80, NumDevices: 90,
	}
	want := make([]byte, backupRootSize)
	for at, value := range map[int]byte{
		0: 10, 8: 11, 16: 20, 24: 21, 32: 30, 40: 31, 48: 40, 56: 41, 64: 50, 72: 51, 80: 60, 88: 61,
		96: 70, 104: 80, 112: 90, 152: 12, 153: 22, 154: 32, 155: 42, 156: 52, 157: 62,
	} {
		want[at] = value
	}
	s := testSuper()
	for slot := range s.Backups {
		s.Backups = [backupRoots]BackupRoot{}
		s.Backups[slot] = in
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		from := 2859 + slot*backupRootSize // offset of super_roots
		if diff := cmp.Diff(want, b[from:from+backupRootSize]); diff != "" {
			t.Errorf("slot %d (-format +encoded):\n%s", slot, diff)
		}
		if got, err := DecodeSuperblock(b); err != nil || got.Backups != s.Backups {
			t.Errorf("slot %d: %+v, %v; want %+v", slot, got, err, s.Backups)
		}
	}
}
