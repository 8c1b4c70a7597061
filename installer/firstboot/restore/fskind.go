package restore

import (
	"bytes"
	"encoding/binary"
	"io"
)

// fsKind is a type of file system, as mount(2) calls it, and the options with
// which it is mounted read-only: those of the first that works. The later ones
// are for a disk that cannot be written to, whose file system was not unmounted
// cleanly: its journal cannot be replayed then.
type fsKind struct {
	name    string
	options []string
	at      int64 // bytes from the start of the device
	magic   string
}

var fsKinds = []fsKind{
	{"btrfs", []string{"", "rescue=nologreplay"}, 65536 + 64, "_BHRfS_M"}, // struct btrfs_super_block
	{"ext4", []string{"", "noload"}, 1024 + 56, "\x53\xef"},               // struct ext4_super_block, that of ext2 and ext3 as well
	{"xfs", []string{"", "norecovery"}, 0, "XFSB"},                        // struct xfs_dsb
	{"exfat", []string{""}, 3, "EXFAT   "},                                // struct boot_sector of exFAT
	{"ntfs3", []string{""}, 3, "NTFS    "},
	{"f2fs", []string{"", "norecovery"}, 1024, "\x10\x20\xf5\xf2"},
	{"vfat", []string{""}, 82, "FAT32   "},
	{"vfat", []string{""}, 54, "FAT16   "},
}

// superblocks is how much of a device holds all magic numbers, in bytes.
const superblocks = 65536 + 4096

// kindOf returns the type of the file system that begins with these bytes; the
// zero value when none is known, and why that may be.
func kindOf(head []byte) (kind fsKind, why string) {
	for _, k := range fsKinds {
		if int64(len(head)) >= k.at && bytes.HasPrefix(head[k.at:], []byte(k.magic)) {
			return k, ""
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte("LUKS\xba\xbe")):
		return fsKind{}, "it is encrypted (LUKS)"
	case len(head) >= 512 && binary.LittleEndian.Uint16(head[510:]) == 0xaa55:
		return fsKind{}, "it may be a whole disk with partitions"
	}
	return fsKind{}, "no file system that is known"
}

// readHead reads as much of a device as kindOf needs, or less of a smaller one.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, superblocks)
	n, err := io.ReadFull(r, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}
