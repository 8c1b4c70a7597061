package identity

import (
	"bytes"
	"fmt"
	"hash/crc32"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// Places in the superblock.
const (
	superFSID     = 32
	superBytenr   = 48
	superDevItem  = 201
	superLabel    = 299
	superMetaUUID = 571
	superChunks   = 811
	superBackups  = superChunks + 2048
)

// Places in a device item, a chunk, its stripes and a device extent.
const (
	devItemUUID    = 66
	devItemFSID    = 82
	chunkStripes   = 48
	stripeSize     = 32
	stripeUUID     = 16
	devExtentChunk = 32 // UUID of the chunk tree
)

// superblocks decides what each copy of the superblock becomes. All must be
// intact and of one transaction: on the new device none may lead back.
func (p *preparation) superblocks() error {
	var first []byte
	for _, at := range ondisk.SuperMirrors {
		if uint64(at)+ondisk.SuperSize > p.super.TotalBytes {
			break
		}
		old, err := p.readPage(at)
		if err != nil {
			return refuse(hintDamaged, "superblock: %w", err)
		}
		s, err := ondisk.DecodeSuperblock(old)
		switch {
		case err != nil:
			return refuse(hintDamaged, "superblock at %d: %w", at, err)
		case !ondisk.CRC32C.Verify(old) || s.Bytenr != at:
			return refuse(hintDamaged, "superblock at %d: wrong checksum or place", at)
		}
		// From the first copy on, all but checksum and place are one.
		if first == nil {
			first = old
		}
		if !bytes.Equal(old[superFSID:superBytenr], first[superFSID:superBytenr]) || !bytes.Equal(old[superBytenr+8:], first[superBytenr+8:]) {
			return refuse(hintUnclean, "superblock at %d: generation %d, differs from the first one of generation %d", at, s.Generation, p.super.Generation)
		}
		p.out.pages = append(p.out.pages, page{
			at: int64(at), name: fmt.Sprintf("superblock at %d", at), old: crc32.Checksum(old, castagnoli),
			patches: []patch{{0, p.newSuper(old, s)}},
		})
	}
	if first == nil {
		return refuse(hintDamaged, "superblock: file system of %d bytes, expected a superblock in it", p.super.TotalBytes)
	}
	return nil
}

// newSuper returns what a superblock becomes. Bytes that have no meaning here
// stay.
func (p *preparation) newSuper(old []byte, s *ondisk.Superblock) []byte {
	b := bytes.Clone(old)
	copy(b[superFSID:], p.new.FSID[:])
	copy(b[superDevItem+devItemUUID:], p.new.DeviceUUID[:])
	copy(b[superDevItem+devItemFSID:], p.new.FSID[:])
	clear(b[superLabel : superLabel+ondisk.MaxLabel+1])
	copy(b[superLabel:], p.new.Label)
	// It has no meaning without METADATA_UUID, and may be the old fsid.
	clear(b[superMetaUUID : superMetaUUID+ondisk.UUIDSize])
	at := superChunks
	for _, c := range s.SysChunks {
		at += ondisk.KeySize + chunkStripes
		for range c.Chunk.Stripes {
			copy(b[at+stripeUUID:], p.new.DeviceUUID[:])
			at += stripeSize
		}
	}
	// mkfs.btrfs leaves there what it took out of the array.
	clear(b[at:superBackups])
	ondisk.CRC32C.Seal(b)
	return b
}
