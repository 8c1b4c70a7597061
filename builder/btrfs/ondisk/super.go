package ondisk

import "fmt"

// SuperSize is the size of a superblock, checksum included.
const SuperSize = 4096

// Magic is "_BHRfS_M" as a little-endian integer.
const Magic uint64 = 0x4D5F53665248425F

// MirrorRegion is the size of the area around each superblock copy that no
// chunk should cover.
const MirrorRegion = 64 << 10

// SuperMirrors are the places of the superblock and its copies. A copy exists
// only where the device reaches beyond its end.
var SuperMirrors = [...]Physical{64 << 10, 64 << 20, 256 << 30}

const (
	labelSize         = 256
	sysChunkArraySize = 2048
	backupRootSize    = 168
	backupRoots       = 4

	offLabel      = 299
	offSysChunks  = 811
	offBackups    = offSysChunks + sysChunkArraySize
	offDevItem    = 201
	offCacheGen   = 555
	offMetaUUID   = 571
	superFlagsOff = 56
)

// MaxLabel is the longest label in bytes.
const MaxLabel = labelSize - 1

// Feature flags of compat_ro_flags.
const (
	CompatROFreeSpaceTree      uint64 = 1 << 0
	CompatROFreeSpaceTreeValid uint64 = 1 << 1
	CompatROVerity             uint64 = 1 << 2
	CompatROBlockGroupTree     uint64 = 1 << 3
)

// Feature flags of incompat_flags.
const (
	IncompatMixedBackref   uint64 = 1 << 0
	IncompatDefaultSubvol  uint64 = 1 << 1
	IncompatMixedGroups    uint64 = 1 << 2
	IncompatCompressLZO    uint64 = 1 << 3
	IncompatCompressZSTD   uint64 = 1 << 4
	IncompatBigMetadata    uint64 = 1 << 5
	IncompatExtendedIref   uint64 = 1 << 6
	IncompatRAID56         uint64 = 1 << 7
	IncompatSkinnyMetadata uint64 = 1 << 8
	IncompatNoHoles        uint64 = 1 << 9
	IncompatMetadataUUID   uint64 = 1 << 10
	IncompatRAID1C34       uint64 = 1 << 11
	IncompatZoned          uint64 = 1 << 12
	IncompatExtentTreeV2   uint64 = 1 << 13
	IncompatRAIDStripeTree uint64 = 1 << 14
	IncompatSimpleQuota    uint64 = 1 << 16
	IncompatRemapTree      uint64 = 1 << 17
)

var incompatNames = [64]string{
	0: "MIXED_BACKREF", 1: "DEFAULT_SUBVOL", 2: "MIXED_GROUPS", 3: "COMPRESS_LZO", 4: "COMPRESS_ZSTD",
	5: "BIG_METADATA", 6: "EXTENDED_IREF", 7: "RAID56", 8: "SKINNY_METADATA", 9: "NO_HOLES",
	10: "METADATA_UUID", 11: "RAID1C34", 12: "ZONED", 13: "EXTENT_TREE_V2", 14: "RAID_STRIPE_TREE",
	16: "SIMPLE_QUOTA", 17: "REMAP_TREE",
}

// IncompatNames returns the names of the set bits, lowest first; a bit without
// a name is given as its number.
func IncompatNames(flags uint64) []string {
	var names []string
	for i := range 64 {
		if flags>>i&1 == 0 {
			continue
		}
		if incompatNames[i] != "" {
			names = append(names, incompatNames[i])
		} else {
			names = append(names, fmt.Sprintf("bit %d", i))
		}
	}
	return names
}

// Superblock is the anchor of a file system.
type Superblock struct {
	FSID                [UUIDSize]byte
	Bytenr              Physical // where this copy stands
	Flags               uint64
	Generation          uint64
	Root                Logical
	ChunkRoot           Logical
	LogRoot             Logical
	TotalBytes          uint64
	BytesUsed           uint64
	RootDirObjectID     uint64
	NumDevices          uint64
	SectorSize          uint32
	NodeSize            uint32
	LeafSize            uint32
	StripeSize          uint32
	ChunkRootGeneration uint64
	CompatFlags         uint64
	CompatROFlags       uint64
	IncompatFlags       uint64
	Checksum            ChecksumType
	RootLevel           uint8
	ChunkRootLevel      uint8
	LogRootLevel        uint8
	DevItem             DevItem
	Label               string
	CacheGeneration     uint64
	UUIDTreeGeneration  uint64
	MetadataUUID        [UUIDSize]byte
	SysChunks           []SysChunk
	Backups             [backupRoots]BackupRoot
}

// SysChunk is a chunk of type SYSTEM, kept in the superblock so that the chunk
// tree can be found.
type SysChunk struct {
	Key   Key
	Chunk Chunk
}

// BackupRoot remembers the roots of an earlier transaction.
type BackupRoot struct {
	TreeRoot, ChunkRoot, ExtentRoot, FSRoot, DevRoot, CsumRoot RootPointer
	TotalBytes, BytesUsed, NumDevices                          uint64
}

// RootPointer names a tree's root block.
type RootPointer struct {
	Block      Logical
	Generation uint64
	Level      uint8
}

// Encode returns the superblock's SuperSize bytes, sealed.
func (s *Superblock) Encode() ([]byte, error) {
	b := make([]byte, 0, SuperSize)
	b = zeros(b, ChecksumSize)
	b = append(b, s.FSID[:]...)
	for _, v := range []uint64{uint64(s.Bytenr), s.Flags, Magic, s.Generation, uint64(s.Root), uint64(s.ChunkRoot),
		uint64(s.LogRoot), 0, s.TotalBytes, s.BytesUsed, s.RootDirObjectID, s.NumDevices} {
		b = put64(b, v)
	}
	var sys []byte
	for i := range s.SysChunks {
		sys = s.SysChunks[i].Chunk.Append(s.SysChunks[i].Key.Append(sys))
	}
	if len(sys) > sysChunkArraySize || len(s.Label) > MaxLabel {
		return nil, malformed("superblock", "%d bytes of system chunks and a label of %d bytes, expected at most %d and %d",
			len(sys), len(s.Label), sysChunkArraySize, MaxLabel)
	}
	for _, v := range []uint32{s.SectorSize, s.NodeSize, s.LeafSize, s.StripeSize, uint32(len(sys))} {
		b = put32(b, v)
	}
	for _, v := range []uint64{s.ChunkRootGeneration, s.CompatFlags, s.CompatROFlags, s.IncompatFlags} {
		b = put64(b, v)
	}
	b = put16(b, uint16(s.Checksum))
	b = append(b, s.RootLevel, s.ChunkRootLevel, s.LogRootLevel)
	b = s.DevItem.Append(b)
	b = append(b, s.Label...)
	b = zeros(b, offCacheGen-len(b))
	b = put64(put64(b, s.CacheGeneration), s.UUIDTreeGeneration)
	b = append(b, s.MetadataUUID[:]...)
	b = append(zeros(b, offSysChunks-len(b)), sys...)
	b = zeros(b, offBackups-len(b))
	for i := range s.Backups {
		b = s.Backups[i].append(b)
	}
	b = zeros(b, SuperSize-len(b))
	s.Checksum.Seal(b)
	return b, nil
}

// DecodeSuperblock decodes a superblock of SuperSize bytes. It demands the
// magic number and well-formed system chunks; checksum and values are for the
// caller to judge.
func DecodeSuperblock(b []byte) (*Superblock, error) {
	if err := needExactly("superblock", b, SuperSize); err != nil {
		return nil, err
	}
	if magic := u64(b[64:]); magic != Magic {
		return nil, malformed("superblock", "magic %#016x, expected %#016x", magic, Magic)
	}
	s := &Superblock{
		Bytenr: Physical(u64(b[48:])), Flags: u64(b[superFlagsOff:]), Generation: u64(b[72:]),
		Root: Logical(u64(b[80:])), ChunkRoot: Logical(u64(b[88:])), LogRoot: Logical(u64(b[96:])),
		TotalBytes: u64(b[112:]), BytesUsed: u64(b[120:]), RootDirObjectID: u64(b[128:]), NumDevices: u64(b[136:]),
		SectorSize: u32(b[144:]), NodeSize: u32(b[148:]), LeafSize: u32(b[152:]), StripeSize: u32(b[156:]),
		ChunkRootGeneration: u64(b[164:]), CompatFlags: u64(b[172:]), CompatROFlags: u64(b[180:]), IncompatFlags: u64(b[188:]),
		Checksum: ChecksumType(u16(b[196:])), RootLevel: b[198], ChunkRootLevel: b[199], LogRootLevel: b[200],
		CacheGeneration: u64(b[offCacheGen:]), UUIDTreeGeneration: u64(b[offCacheGen+8:]),
	}
	copy(s.FSID[:], b[32:])
	copy(s.MetadataUUID[:], b[offMetaUUID:])
	s.Label = cString(b[offLabel : offLabel+labelSize])
	var err error
	if s.DevItem, err = DecodeDevItem(b[offDevItem : offDevItem+DevItemSize]); err != nil {
		return nil, err
	}
	if s.SysChunks, err = decodeSysChunks(b[offSysChunks:offBackups], u32(b[160:])); err != nil {
		return nil, err
	}
	for i := range s.Backups {
		s.Backups[i] = decodeBackupRoot(b[offBackups+i*backupRootSize:])
	}
	return s, nil
}

func decodeSysChunks(array []byte, size uint32) ([]SysChunk, error) {
	if uint64(size) > uint64(len(array)) {
		return nil, malformed("superblock", "system chunk array of %d bytes, expected at most %d", size, len(array))
	}
	var chunks []SysChunk
	for rest := array[:size]; len(rest) > 0; {
		key, err := DecodeKey(rest)
		if err != nil {
			return nil, err
		}
		var c Chunk
		if c, rest, err = DecodeChunk(rest[KeySize:]); err != nil {
			return nil, err
		}
		chunks = append(chunks, SysChunk{Key: key, Chunk: c})
	}
	return chunks, nil
}

func (r *BackupRoot) roots() [6]*RootPointer {
	return [6]*RootPointer{&r.TreeRoot, &r.ChunkRoot, &r.ExtentRoot, &r.FSRoot, &r.DevRoot, &r.CsumRoot}
}

func (r *BackupRoot) append(b []byte) []byte {
	start := len(b)
	for _, p := range r.roots() {
		b = put64(put64(b, uint64(p.Block)), p.Generation)
	}
	b = put64(put64(put64(b, r.TotalBytes), r.BytesUsed), r.NumDevices)
	b = zeros(b, 4*8)
	for _, p := range r.roots() {
		b = append(b, p.Level)
	}
	return zeros(b, start+backupRootSize-len(b))
}

func decodeBackupRoot(b []byte) BackupRoot {
	var r BackupRoot
	for i, p := range r.roots() {
		*p = RootPointer{Block: Logical(u64(b[16*i:])), Generation: u64(b[16*i+8:]), Level: b[152+i]}
	}
	r.TotalBytes, r.BytesUsed, r.NumDevices = u64(b[96:]), u64(b[104:]), u64(b[112:])
	return r
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
