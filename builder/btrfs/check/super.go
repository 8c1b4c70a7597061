package check

import (
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// checkSuperCopies checks every copy of the superblock that the device has
// room for. A copy of an older generation is no damage: it is what a power cut
// between two writes leaves.
func (c *checker) checkSuperCopies() {
	raw := make([]byte, ondisk.SuperSize)
	for i, at := range ondisk.SuperMirrors {
		if uint64(at)+ondisk.SuperSize > c.super.TotalBytes {
			break
		}
		place := text(fmt.Sprintf("superblock copy %d at physical %d", i+1, at))
		if err := c.fs.ReadCopy(raw, at); err != nil {
			c.log.add(place, "%v", err)
			continue
		}
		s, err := ondisk.DecodeSuperblock(raw)
		if err != nil {
			c.log.add(place, "%v", err)
			continue
		}
		c.checkSuperCopy(place, raw, s, at)
	}
}

func (c *checker) checkSuperCopy(place text, raw []byte, s *ondisk.Superblock, at ondisk.Physical) {
	first := c.super
	switch {
	case s.Checksum != first.Checksum:
		c.log.add(place, "checksum type %v, expected %v", s.Checksum, first.Checksum)
		return
	case !s.Checksum.Verify(raw):
		c.log.add(place, "wrong %v checksum", s.Checksum)
		return
	case s.FSID != first.FSID:
		c.log.add(place, "fsid %x, expected %x", s.FSID, first.FSID)
		return
	}
	if s.Bytenr != at {
		c.log.add(place, "says that it stands at %d", s.Bytenr)
	}
	if s.Generation > first.Generation {
		c.log.add(place, "generation %d, the copy in use has %d", s.Generation, first.Generation)
	}
	if s.Generation != first.Generation {
		return
	}
	a, errA := encodeAt(*s, 0)
	b, errB := encodeAt(*first, 0)
	if errA != nil || errB != nil || string(a) != string(b) {
		c.log.add(place, "differs from the copy in use, though both are of generation %d", s.Generation)
	}
}

// encodeAt returns a superblock as it would stand at another place, so that
// copies can be compared.
func encodeAt(s ondisk.Superblock, at ondisk.Physical) ([]byte, error) {
	s.Bytenr = at
	return s.Encode()
}

// checkSuper compares the superblock in use with what the trees say. What
// would keep the file system from being opened the reader has checked.
func (c *checker) checkSuper() {
	s := c.super
	place := text("superblock")
	check := func(ok bool, format string, args ...any) {
		if !ok {
			c.log.add(place, format, args...)
		}
	}
	check(s.Flags&^3 == 0, "flags %#x, expected WRITTEN (1) at most with RELOC (2)", s.Flags)
	check(s.RootDirObjectID == ondisk.RootTreeDir, "root directory %d, expected %d", s.RootDirObjectID, ondisk.RootTreeDir)
	check(s.LeafSize == s.NodeSize, "leafsize %d, expected the nodesize, %d", s.LeafSize, s.NodeSize)
	check(s.TotalBytes == s.DevItem.TotalBytes, "total_bytes %d, its device item has %d", s.TotalBytes, s.DevItem.TotalBytes)
	check(int64(s.TotalBytes) <= c.fs.Size(), "total_bytes %d, the device has %d", s.TotalBytes, c.fs.Size())
	check(s.ChunkRootGeneration <= s.Generation, "chunk root of generation %d, the superblock has %d", s.ChunkRootGeneration, s.Generation)
	if len(c.devItems) > 0 {
		check(c.devItems[0] == s.DevItem, "device item differs from the one in the chunk tree")
	}
	c.checkFeatures(check)
	c.checkSysChunks(check)
}

// checkFeatures compares the feature flags with what the trees make use of.
func (c *checker) checkFeatures(check func(bool, string, ...any)) {
	s := c.super
	ro := func(flag uint64) bool { return s.CompatROFlags&flag != 0 }
	in := func(flag uint64) bool { return s.IncompatFlags&flag != 0 }
	check(!ro(ondisk.CompatROFreeSpaceTreeValid) || ro(ondisk.CompatROFreeSpaceTree), "FREE_SPACE_TREE_VALID without FREE_SPACE_TREE")
	check(!ro(ondisk.CompatROBlockGroupTree) || ro(ondisk.CompatROFreeSpaceTreeValid) && in(ondisk.IncompatNoHoles),
		"BLOCK_GROUP_TREE without FREE_SPACE_TREE_VALID and NO_HOLES")
	if c.brokenTrees[ondisk.RootTree] {
		return
	}
	check(ro(ondisk.CompatROBlockGroupTree) == c.hasRoot(ondisk.BlockGroupTree), "BLOCK_GROUP_TREE %v, but there is such a tree: %v",
		ro(ondisk.CompatROBlockGroupTree), c.hasRoot(ondisk.BlockGroupTree))
	check(!ro(ondisk.CompatROFreeSpaceTreeValid) || c.hasRoot(ondisk.FreeSpaceTree), "FREE_SPACE_TREE_VALID without such a tree")
	check(c.defaultRoot == 0 || c.defaultRoot == ondisk.FSTree || in(ondisk.IncompatDefaultSubvol),
		"default subvolume %d without DEFAULT_SUBVOL", c.defaultRoot)
	check(!c.compressed[ondisk.CompressZstd] || in(ondisk.IncompatCompressZSTD), "extents compressed with zstd without COMPRESS_ZSTD")
	check(!c.compressed[ondisk.CompressLZO] || in(ondisk.IncompatCompressLZO), "extents compressed with lzo without COMPRESS_LZO")
	check(in(ondisk.IncompatMixedBackref), "incompat flags %#x without MIXED_BACKREF", s.IncompatFlags)
}

// checkSysChunks demands that the superblock holds exactly the system chunks.
func (c *checker) checkSysChunks(check func(bool, string, ...any)) {
	if c.brokenTrees[ondisk.ChunkTree] {
		return
	}
	system := 0
	for _, k := range c.chunks {
		if k.flags&ondisk.GroupSystem != 0 {
			system++
		}
	}
	check(system == len(c.super.SysChunks), "%d system chunks, the chunk tree has %d", len(c.super.SysChunks), system)
	for _, sys := range c.super.SysChunks {
		i, ok := c.findChunk(ondisk.Logical(sys.Key.Offset))
		check(ok && c.chunks[i].same(&sys.Chunk), "system chunk %d differs from the chunk tree", sys.Key.Offset)
	}
}
