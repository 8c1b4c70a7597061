package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The superblock of btrfs, as far as it identifies the file system
// (fs/btrfs/accessors.h and include/uapi/linux/btrfs_tree.h of Linux).
const (
	superOffset   = 64 << 10 // bytes from the start of the device
	superSize     = 4096
	superFSID     = 0x20
	superBytenr   = 0x30
	superMagic    = 0x40
	superCsumType = 0xc4
	superLabel    = 0x12b
	superLabelEnd = superLabel + 256
)

var btrfsMagic = []byte("_BHRfS_M")

// errNotBtrfs says that a device holds no btrfs superblock.
var errNotBtrfs = errors.New("no btrfs superblock")

// btrfsIdentity returns the fsid, as blkid prints it, and the label in a
// superblock. Its checksum is verified where it is crc32c, the default; the
// kernel verifies the others when it mounts.
func btrfsIdentity(b []byte) (uuid, label string, err error) {
	if len(b) != superSize || !bytes.Equal(b[superMagic:superMagic+8], btrfsMagic) {
		return "", "", errNotBtrfs
	}
	if at := binary.LittleEndian.Uint64(b[superBytenr:]); at != superOffset {
		return "", "", fmt.Errorf("btrfs superblock: says that it stands at %d, is at %d", at, superOffset)
	}
	if binary.LittleEndian.Uint16(b[superCsumType:]) == 0 {
		got := crc32.Checksum(b[superFSID:], crc32.MakeTable(crc32.Castagnoli))
		if want := binary.LittleEndian.Uint32(b); got != want {
			return "", "", fmt.Errorf("btrfs superblock: checksum %08x, expected %08x", got, want)
		}
	}
	text, _, ended := bytes.Cut(b[superLabel:superLabelEnd], []byte{0})
	if !ended {
		return "", "", errors.New("btrfs superblock: label without an end")
	}
	return formatUUID([16]byte(b[superFSID:])), string(text), nil
}

// formatUUID writes 16 bytes in the usual order and form.
func formatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
