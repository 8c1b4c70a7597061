package disks

import (
	"encoding/binary"
	"math/bits"
)

// Magic's place in the superblock of btrfs, where its other fields are counted
// from.
const (
	btrfsMagicAt = 64
	btrfsUUID    = 32 - btrfsMagicAt
	btrfsBytenr  = 48 - btrfsMagicAt
	btrfsLabel   = 299 - btrfsMagicAt
)

// btrfsSuper reads a copy of the superblock. One that says that it stands
// elsewhere belongs to an image in another file system.
func btrfsSuper(p *probe, at int64, c *Content) bool {
	if le64(p, at+btrfsBytenr) != uint64(at-btrfsMagicAt) {
		return false
	}
	return fields{uuid: btrfsUUID, label: btrfsLabel, labelSize: 256}.read(p, at, c)
}

// Features of ext2, ext3 and ext4 (fs/ext4/ext4.h), by which they are told
// apart as blkid does.
const (
	extJournal      = 0x4  // compat: has_journal
	extJournalDev   = 0x8  // incompat: an external journal
	ext2Incompat    = 0x12 // filetype, meta_bg
	ext3Incompat    = 0x16 // and recover
	ext3ReadOnly    = 0x7  // sparse_super, large_file, btree_dir
	extMaxBlockBits = 6    // blocks of 64 KiB
)

// extSuper reads the superblock, which begins 0x38 bytes before the magic. That
// has two bytes only: other fields must make sense, too.
func extSuper(p *probe, at int64, c *Content) bool {
	super := at - 0x38
	if le32(p, super+0x18) > extMaxBlockBits || le32(p, super+0x4) == 0 || le32(p, super+0x4c) > 1 {
		return false
	}
	compat, incompat, readOnly := le32(p, super+0x5c), le32(p, super+0x60), le32(p, super+0x64)
	switch {
	case incompat&extJournalDev != 0:
		c.Type = "jbd"
	case compat&extJournal == 0 && readOnly&^ext3ReadOnly == 0 && incompat&^ext2Incompat == 0:
		c.Type = "ext2"
	case compat&extJournal != 0 && readOnly&^ext3ReadOnly == 0 && incompat&^ext3Incompat == 0:
		c.Type = "ext3"
	default:
		c.Type = "ext4"
	}
	c.UUID, c.Label = uuidText(p.at(super+0x68, 16)), text(p.at(super+0x78, 16))
	return true
}

func f2fsSuper(p *probe, at int64, c *Content) bool {
	c.UUID, c.Label = uuidText(p.at(at+0x6c, 16)), utf16Text(p.at(at+0x7c, 1024))
	return true
}

// Labels of ZFS are of 256 KiB, two at each end; the second half of each has
// the uberblocks, in slots of 1 KiB or a larger power of two.
const (
	zfsLabel    = 256 << 10
	zfsBlocksAt = 128 << 10
	zfsMagic    = 0x00bab10c
)

// zfsUberblocks returns the places of the rings of uberblocks.
func zfsUberblocks(size int64) []int64 {
	end := size / zfsLabel * zfsLabel
	return []int64{zfsBlocksAt, zfsLabel + zfsBlocksAt, end - 2*zfsLabel + zfsBlocksAt, end - zfsLabel + zfsBlocksAt}
}

// zfsUberblock looks for an uberblock in a ring, in either byte order.
func zfsUberblock(p *probe, at int64, c *Content) bool {
	ring := p.at(at, zfsLabel-zfsBlocksAt)
	for slot := 0; slot+8 <= len(ring); slot += 1 << 10 {
		if v := binary.LittleEndian.Uint64(ring[slot:]); v == zfsMagic || bits.ReverseBytes64(v) == zfsMagic {
			c.Offset = at + int64(slot)
			return true
		}
	}
	return false
}
