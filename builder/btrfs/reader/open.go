package reader

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// FS is an opened file system. Its methods may be called concurrently.
type FS struct {
	device   io.ReaderAt
	size     int64
	super    *ondisk.Superblock
	mirror   int
	metaUUID [ondisk.UUIDSize]byte // the fsid in tree block headers
	chunks   []ChunkInfo           // sorted by logical address, no overlaps
	cache    *blockCache
	damage   func(Damage)
	trust    bool // file data is not verified
	salvage  bool // see Salvage
	unpack   *unpacker

	rootsMu sync.Mutex
	roots   map[uint64]*ondisk.RootItem // trees looked up so far
}

// Features whose on-disk form this package knows how to read.
const knownIncompat = ondisk.IncompatMixedBackref | ondisk.IncompatDefaultSubvol | ondisk.IncompatMixedGroups |
	ondisk.IncompatCompressLZO | ondisk.IncompatCompressZSTD | ondisk.IncompatBigMetadata |
	ondisk.IncompatExtendedIref | ondisk.IncompatSkinnyMetadata | ondisk.IncompatNoHoles |
	ondisk.IncompatMetadataUUID | ondisk.IncompatSimpleQuota

// Limits of nodesize, as in the kernel's btrfs_validate_super.
const (
	minNodeSize = 4096
	maxNodeSize = 64 << 10
)

const (
	hintNotBtrfs  = "name a btrfs image, or the partition that holds one instead of the whole disk"
	hintTruncated = "copy the image again, whole"
	hintDamaged   = "take another copy of the image, or look at the device with: btrfs check --readonly"
	hintFeature   = "mount it with a kernel that has the feature, and copy the files out"
)

// Open opens the file system of size bytes behind r. It uses the first intact
// copy of the superblock and reads the chunk tree. All its errors have class
// fault.Input. Of one that is mounted it sees what was committed; see Retry.
func Open(r io.ReaderAt, size int64) (opened *FS, err error) {
	err = Retry(func() (*FS, error) {
		f, err := open(r, size)
		if err != nil {
			return f, err
		}
		opened = f
		return nil, nil
	})
	return opened, err
}

// open makes one try. What it returns with an error is nil, or has nothing but
// its superblock.
func open(r io.ReaderAt, size int64) (*FS, error) {
	super, mirror, err := findSuper(r, size)
	if err != nil {
		return nil, err
	}
	if err := checkSuper(super, size); err != nil {
		return nil, err
	}
	f := &FS{
		device: r, size: size, super: super, mirror: mirror, metaUUID: super.FSID,
		cache: newBlockCache(cachedBlocks), roots: map[uint64]*ondisk.RootItem{}, unpack: newUnpacker(),
	}
	if super.IncompatFlags&ondisk.IncompatMetadataUUID != 0 {
		f.metaUUID = super.MetadataUUID
	}
	if err := f.loadChunks(); err != nil {
		return f, fault.New(fault.Input, hintDamaged, "chunk map: %w", err)
	}
	return f, nil
}

// Super returns the superblock in use. It must not be changed.
func (f *FS) Super() *ondisk.Superblock { return f.super }

// SuperMirror returns the index in ondisk.SuperMirrors of the superblock copy
// in use; anything but 0 means that earlier copies are damaged.
func (f *FS) SuperMirror() int { return f.mirror }

// Size returns the size in bytes of the device, as given to Open.
func (f *FS) Size() int64 { return f.size }

// LogDirty reports whether the file system was not unmounted cleanly and has a
// log tree. What was synced to the log alone is not seen here: files may be
// older than a mount would show them.
func (f *FS) LogDirty() bool { return f.super.LogRoot != 0 }

// findSuper returns the first copy of the superblock with the right magic,
// place and checksum. The error is that of the first copy that was at least a
// superblock, since it says most about what is wrong.
func findSuper(r io.ReaderAt, size int64) (*ondisk.Superblock, int, error) {
	if size < int64(ondisk.SuperMirrors[0])+ondisk.SuperSize {
		return nil, 0, fault.New(fault.Input, hintNotBtrfs, "has %d bytes, a btrfs file system has at least %d",
			size, int64(ondisk.SuperMirrors[0])+ondisk.SuperSize)
	}
	var damaged error
	for i, at := range ondisk.SuperMirrors {
		if int64(at) > size-ondisk.SuperSize {
			break
		}
		super, err := readSuper(r, at)
		if err == nil {
			return super, i, nil
		}
		if fault.ClassOf(err) == fault.Input { // it cannot be read
			return nil, 0, err
		}
		if damaged == nil && super != nil {
			damaged = err
		}
	}
	if damaged != nil {
		return nil, 0, fault.New(fault.Input, hintDamaged, "%w", damaged)
	}
	return nil, 0, fault.New(fault.Input, hintNotBtrfs, "not a btrfs file system: no superblock at %d", ondisk.SuperMirrors[0])
}

// readSuper reads and checks one copy, with the results of intactSuper. One
// that is damaged is read again: while the kernel writes it a reader can get
// half of the old and half of the new one.
func readSuper(r io.ReaderAt, at ondisk.Physical) (super *ondisk.Superblock, err error) {
	block := make([]byte, ondisk.SuperSize)
	for range 2 {
		if err := readFull(r, block, int64(at)); err != nil {
			return nil, fault.New(fault.Input, hintTruncated, "superblock at %d: %w", at, err)
		}
		if super, err = intactSuper(block, at); err == nil || super == nil {
			break
		}
	}
	return super, err
}

// intactSuper checks one copy. With an error it returns a superblock that is
// not nil where the block has at least the magic number.
func intactSuper(block []byte, at ondisk.Physical) (*ondisk.Superblock, error) {
	if magic := [8]byte(block[64:]); magic != [8]byte([]byte("_BHRfS_M")) {
		return nil, fmt.Errorf("superblock at %d: magic %q, expected %q", at, magic, "_BHRfS_M")
	}
	kind := ondisk.ChecksumType(uint16(block[196]) | uint16(block[197])<<8)
	if !kind.Valid() {
		return &ondisk.Superblock{}, fmt.Errorf("superblock at %d: %v", at, kind)
	}
	if !kind.Verify(block) {
		return &ondisk.Superblock{}, fmt.Errorf("superblock at %d: wrong %v checksum", at, kind)
	}
	super, err := ondisk.DecodeSuperblock(block)
	if err != nil {
		return &ondisk.Superblock{}, fmt.Errorf("superblock at %d: %w", at, err)
	}
	if super.Bytenr != at {
		return super, fmt.Errorf("superblock at %d: says that it stands at %d", at, super.Bytenr)
	}
	return super, nil
}

// Superblock flags of file systems that are not to be read as they are; the
// values are those of the kernel's uapi/linux/btrfs_tree.h and btrfs-progs.
var refusedSuperFlags = []struct {
	flag uint64
	name string
}{
	{1 << 33, "METADUMP: a metadata dump without file data"},
	{1 << 34, "METADUMP_V2: a metadata dump without file data"},
	{1 << 35, "CHANGING_FSID: an interrupted btrfstune"},
	{1 << 36, "CHANGING_FSID_V2: an interrupted btrfstune"},
	{1 << 39, "CHANGING_DATA_CSUM: an interrupted btrfstune"},
	{1 << 40, "CHANGING_META_CSUM: an interrupted btrfstune"},
}

// checkSuper refuses what this package cannot read, and values that would make
// reading senseless.
func checkSuper(s *ondisk.Superblock, size int64) error {
	if unknown := s.IncompatFlags &^ knownIncompat; unknown != 0 {
		return fault.New(fault.Input, hintFeature, "superblock: features that cannot be read: %q", ondisk.IncompatNames(unknown))
	}
	for _, refused := range refusedSuperFlags {
		if s.Flags&refused.flag != 0 {
			return fault.New(fault.Input, "finish or undo that with btrfs-progs first", "superblock: flag %s", refused.name)
		}
	}
	if s.NumDevices != 1 {
		return fault.New(fault.Input, "mount it where all devices are present, and copy the files out",
			"superblock: %d devices, expected one", s.NumDevices)
	}
	if s.SectorSize != ondisk.SectorSize {
		return fault.New(fault.Input, hintFeature, "superblock: sectors of %d bytes, expected %d", s.SectorSize, ondisk.SectorSize)
	}
	if s.NodeSize < minNodeSize || s.NodeSize > maxNodeSize || bits.OnesCount32(s.NodeSize) != 1 {
		return fault.New(fault.Input, hintDamaged, "superblock: tree blocks of %d bytes, expected a power of two from %d to %d",
			s.NodeSize, minNodeSize, maxNodeSize)
	}
	if s.RootLevel >= ondisk.MaxLevel || s.ChunkRootLevel >= ondisk.MaxLevel {
		return fault.New(fault.Input, hintDamaged, "superblock: root tree of level %d and chunk tree of level %d, expected less than %d",
			s.RootLevel, s.ChunkRootLevel, ondisk.MaxLevel)
	}
	if len(s.SysChunks) == 0 {
		return fault.New(fault.Input, hintDamaged, "superblock: no system chunk")
	}
	if total := s.DevItem.TotalBytes; total > math.MaxInt64 || int64(total) > size {
		return fault.New(fault.Input, hintTruncated, "truncated: has %d bytes, the file system needs %d", size, total)
	}
	return nil
}

// readFull reads len(p) bytes at off; a short read is io.ErrUnexpectedEOF.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read of %d bytes at %d: %w", len(p), off, err)
}
