package btrfs

import "github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"

// baseFeatures are the incompatible features that every file system written
// here has.
const baseFeatures = ondisk.IncompatMixedBackref | ondisk.IncompatBigMetadata | ondisk.IncompatExtendedIref |
	ondisk.IncompatSkinnyMetadata | ondisk.IncompatNoHoles

// writeSuper writes the superblock and its copies, the copies first: until the
// first is there, nothing recognises a file system.
func (w *writer) writeSuper() error {
	s := w.superblock()
	for i := len(ondisk.SuperMirrors) - 1; i >= 0; i-- {
		at := ondisk.SuperMirrors[i]
		if uint64(at)+ondisk.SuperSize > s.TotalBytes {
			continue
		}
		s.Bytenr = at
		b, err := s.Encode()
		if err != nil {
			return err
		}
		if err := w.out.writeAt(b, at); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) superblock() *ondisk.Superblock {
	s := &ondisk.Superblock{
		FSID: w.result.FSID, Flags: ondisk.FlagWritten, Generation: generation, TotalBytes: w.totalBytes(),
		BytesUsed:       w.extents.bytes() + uint64(w.blockCount())*ondisk.NodeSize,
		RootDirObjectID: ondisk.RootTreeDir, NumDevices: 1,
		SectorSize: ondisk.SectorSize, NodeSize: ondisk.NodeSize, LeafSize: ondisk.NodeSize, StripeSize: ondisk.SectorSize,
		ChunkRootGeneration: generation, UUIDTreeGeneration: generation,
		CompatROFlags: ondisk.CompatROFreeSpaceTree | ondisk.CompatROFreeSpaceTreeValid,
		IncompatFlags: baseFeatures, Checksum: w.params.Checksum, DevItem: w.deviceItem(), Label: w.params.Label,
	}
	if w.params.BlockGroupTree {
		s.CompatROFlags |= ondisk.CompatROBlockGroupTree
	}
	if w.params.Compression.Level > 0 {
		s.IncompatFlags |= ondisk.IncompatCompressZSTD
	}
	if w.plan.defaultVolume.id != ondisk.FSTree {
		s.IncompatFlags |= ondisk.IncompatDefaultSubvol
	}
	root, chunks := w.tree(ondisk.RootTree).root, w.tree(ondisk.ChunkTree).root
	s.Root, s.RootLevel = root.Block, root.Level
	s.ChunkRoot, s.ChunkRootLevel = chunks.Block, chunks.Level
	key, chunk := w.chunkItem(w.space.system)
	s.SysChunks = []ondisk.SysChunk{{Key: key, Chunk: chunk}}
	s.Backups[0] = ondisk.BackupRoot{
		TreeRoot: root, ChunkRoot: chunks, ExtentRoot: w.tree(ondisk.ExtentTree).root, FSRoot: w.tree(ondisk.FSTree).root,
		DevRoot: w.tree(ondisk.DevTree).root, CsumRoot: w.tree(ondisk.CsumTree).root,
		TotalBytes: s.TotalBytes, BytesUsed: s.BytesUsed, NumDevices: 1,
	}
	return s
}
