package disks

// signature says where the bytes are that tell a file system, container or
// member of an array.
type signature struct {
	kind  string // as blkid names it
	magic string
	at    []int64                  // bytes from the beginning, or from the end where negative
	where func(size int64) []int64 // places that depend on the size
	// more reads the identifier and the label. It reports false when what has
	// the magic is something else. nil: there is nothing to read.
	more func(p *probe, at int64, c *Content) bool
}

// find looks for the signature.
func (s *signature) find(p *probe) (Content, bool) {
	places := s.at
	if s.where != nil {
		places = s.where(p.size)
	}
	for _, at := range places {
		if at < 0 {
			at += p.size
		}
		if b := p.at(at, int64(len(s.magic))); b == nil || string(b) != s.magic {
			continue
		}
		c := Content{Type: s.kind, Offset: at}
		if s.more == nil || s.more(p, at, &c) {
			return c, true
		}
	}
	return Content{}, false
}

// signatures are what is looked for. Places and magic numbers are from the
// specifications and headers that the comments name; types and the form of
// identifiers are those of libblkid.
var signatures = []signature{
	// struct btrfs_super_block of linux/btrfs_tree.h, and its copies.
	{kind: "btrfs", magic: "_BHRfS_M", at: []int64{64<<10 + 64, 64<<20 + 64, 256<<30 + 64}, more: btrfsSuper},
	// struct ext4_super_block of Linux' fs/ext4/ext4.h.
	{kind: "ext", magic: "\x53\xef", at: []int64{0x438}, more: extSuper},
	// struct xfs_dsb of Linux' fs/xfs/libxfs/xfs_format.h.
	{kind: "xfs", magic: "XFSB", at: []int64{0}, more: fields{uuid: 32, label: 108, labelSize: 12}.read},
	// struct f2fs_super_block of linux/f2fs_fs.h; its copy is in the next block.
	{kind: "f2fs", magic: "\x10\x20\xf5\xf2", at: []int64{0x400, 0x1400}, more: f2fsSuper},
	// struct bch_sb of Linux' fs/bcachefs/bcachefs_format.h, and struct cache_sb of bcache.
	{kind: "bcachefs", magic: "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef", at: []int64{0x1018, 2<<20 + 0x18}, more: fields{uuid: 32, label: 48, labelSize: 32}.read},
	{kind: "bcache", magic: "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", at: []int64{0x1018}, more: fields{uuid: 16}.read},
	// OpenZFS' on-disk format: uberblocks in two labels at each end.
	{kind: "zfs_member", where: zfsUberblocks, more: zfsUberblock},
	// struct erofs_super_block and struct squashfs_super_block of Linux.
	{kind: "erofs", magic: "\xe2\xe1\xf5\xe0", at: []int64{1024}, more: fields{uuid: 48, label: 64, labelSize: 16}.read},
	{kind: "squashfs", magic: "hsqs", at: []int64{0}},
	{kind: "squashfs", magic: "sqsh", at: []int64{0}},
	// Apple: nx_superblock_t of the APFS reference, and TN1150 (HFS Plus).
	{kind: "apfs", magic: "NXSB", at: []int64{32}, more: fields{uuid: 40}.read},
	{kind: "hfsplus", magic: "H+\x00\x04", at: []int64{1024}},
	{kind: "hfsplus", magic: "HX\x00\x05", at: []int64{1024}},
	// Older ones of Linux: jfs_superblock.h, reiserfs.h.
	{kind: "jfs", magic: "JFS1", at: []int64{32 << 10}, more: fields{uuid: 136, label: 152, labelSize: 16}.read},
	{kind: "reiserfs", magic: "ReIsErFs", at: []int64{64<<10 + 52, 8<<10 + 52}},
	{kind: "reiserfs", magic: "ReIsEr2Fs", at: []int64{64<<10 + 52}, more: fields{uuid: 32, label: 48, labelSize: 16}.read},
	{kind: "reiserfs", magic: "ReIsEr3Fs", at: []int64{64<<10 + 52}, more: fields{uuid: 32, label: 48, labelSize: 16}.read},

	// Microsoft: the FAT, exFAT specifications, and [MS-FSCC] for NTFS.
	{kind: "exfat", magic: "EXFAT   ", at: []int64{3}, more: exfatBoot},
	{kind: "ntfs", magic: "NTFS    ", at: []int64{3}, more: ntfsBoot},
	{kind: "ReFS", magic: "\x00\x00\x00ReFS\x00", at: []int64{0}},
	{kind: "vfat", magic: "\x55\xaa", at: []int64{510}, more: fatBoot},
	{kind: "vfat", magic: "FAT32   ", at: []int64{0x52}, more: fatBoot},
	{kind: "vfat", magic: "FAT1", at: []int64{0x36}, more: fatBoot},
	{kind: "BitLocker", magic: "-FVE-FS-", at: []int64{3}},
	{kind: "BitLocker", magic: "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01", at: []int64{0x1a8}}, // To Go

	// ECMA-119 and ECMA-167: volume descriptors from sector 16 of 2048 bytes.
	{kind: "iso9660", magic: "CD001", at: []int64{32<<10 + 1}, more: isoVolume},
	{kind: "udf", magic: "NSR0", at: udfPlaces(), more: nil},

	// Swap space, see package swaparea; kernel/power/swap.c and user space's own
	// suspension write another mark over it.
	{kind: "swap", magic: "SWAPSPACE2", where: swapEnds, more: swapHeader},
	{kind: "swap", magic: "SWAP-SPACE", where: swapEnds, more: swapHeader},
	{kind: "swsuspend", magic: "S1SUSPEND\x00", where: swapEnds, more: suspended},
	{kind: "swsuspend", magic: "S2SUSPEND\x00", where: swapEnds, more: suspended},
	{kind: "swsuspend", magic: "ULSUSPEND\x00", where: swapEnds, more: suspended},
	{kind: "swsuspend", magic: "LINHIB0001", where: swapEnds, more: suspended},

	// Containers: LUKS1 and LUKS2 on-disk formats (the second header of LUKS2 is at
	// one of several places), LVM2's format_text/layout.h, Stratis' static header.
	{kind: "crypto_LUKS", magic: "LUKS\xba\xbe", at: []int64{0}, more: luksHeader},
	{kind: "crypto_LUKS", magic: "SKUL\xba\xbe", at: []int64{16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20}, more: luksHeader},
	{kind: "LVM2_member", magic: "LABELONE", at: []int64{512, 0, 1024, 1536}, more: lvmLabel},
	{kind: "stratis", magic: "!Stra0tis\x86\xff\x02^\x41rh", at: []int64{512 + 4, 9*512 + 4}},

	// Linux' uapi/linux/raid/md_p.h: 1.1, 1.2, 1.0, 0.90 in either byte order; and
	// arrays of firmware: Intel's Matrix and SNIA's DDF.
	{kind: "linux_raid_member", magic: "\xfc\x4e\x2b\xa9", at: []int64{0, 4096}, more: raid1Super},
	{kind: "linux_raid_member", magic: "\xfc\x4e\x2b\xa9", where: raid10Place, more: raid1Super},
	{kind: "linux_raid_member", magic: "\xfc\x4e\x2b\xa9", where: raid0Place, more: raid0Super},
	{kind: "linux_raid_member", magic: "\xa9\x2b\x4e\xfc", where: raid0Place, more: raid0Super},
	{kind: "isw_raid_member", magic: "Intel Raid ISM Cfg Sig. ", at: []int64{-1024, -8192}},
	{kind: "ddf_raid_member", magic: "\xde\x11\xde\x11", at: []int64{-512, -4096}},
	{kind: "VMFS_volume_member", magic: "\x0d\xd0\x01\xc0", at: []int64{1 << 20}},
	{kind: "ceph_bluestore", magic: "bluestore block device", at: []int64{0}},
}
