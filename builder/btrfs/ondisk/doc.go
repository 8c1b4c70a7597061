// Package ondisk holds the btrfs on-disk format: structures, constants, their
// encoding and decoding, checksums and hashes. It does no I/O and knows no
// policy; the writer and the reader share nothing but this package.
//
// All integers are little-endian and all structures are packed. Decoders
// accept exactly the bytes they need, never trust a count and never panic;
// they check form, not meaning: whether an address lies in a chunk is for the
// reader to say.
//
// Sources of the format: the kernel's include/uapi/linux/btrfs_tree.h and
// fs/btrfs/tree-checker.c, and the on-disk format page of the btrfs
// documentation. Names follow the kernel's, without the BTRFS_ prefix.
package ondisk

import (
	"encoding/binary"
	"fmt"
)

// Logical is an address in the logical address space of a file system, which
// the chunk tree maps to physical addresses.
type Logical uint64

// Physical is a byte offset on the device.
type Physical uint64

// Sizes that this implementation fixes or that the format fixes.
const (
	SectorSize  = 4096      // unit of data extents and data checksums
	NodeSize    = 16384     // default size of a tree block
	StripeLen   = 64 << 10  // unit of chunk addresses and lengths
	FirstUsable = 1 << 20   // no device extent may start below it
	MaxNameLen  = 255       // bytes of a file name or of an xattr's name
	MaxLinks    = 65535     // hard links of one inode
	MaxLevel    = 8         // a root's level is below this
	MaxCompress = 128 << 10 // uncompressed bytes of one compressed extent
	UUIDSize    = 16
)

// Object ids: trees, and well-known objects inside trees.
const (
	RootTree       uint64 = 1
	ExtentTree     uint64 = 2
	ChunkTree      uint64 = 3
	DevTree        uint64 = 4
	FSTree         uint64 = 5 // the top-level subvolume
	RootTreeDir    uint64 = 6 // a directory inode in the root tree
	CsumTree       uint64 = 7
	QuotaTree      uint64 = 8
	UUIDTree       uint64 = 9
	FreeSpaceTree  uint64 = 10
	BlockGroupTree uint64 = 11
	DataRelocTree  uint64 = ^uint64(0) - 8 // -9
	TreeReloc      uint64 = ^uint64(0) - 7 // -8
	TreeLog        uint64 = ^uint64(0) - 5 // -6
	ExtentCsum     uint64 = ^uint64(0) - 9 // -10, objectid of all checksum items
	FirstFree      uint64 = 256            // first inode of a subvolume, first subvolume
	LastFree       uint64 = ^uint64(0) - 255
	FirstChunkTree uint64 = 256 // objectid of all chunk items
	DevItems       uint64 = 1   // objectid of all device items
	DevStats       uint64 = 0   // objectid of the device statistics item
)

// BackrefRev is the revision of back references in a tree block's flags.
// Blocks without it make the kernel abort the first write.
const BackrefRev uint64 = 1 << 56

// Tree block flags.
const (
	FlagWritten uint64 = 1 << 0
	FlagReloc   uint64 = 1 << 1
)

// IsSubvolume reports whether a tree of this objectid holds files.
func IsSubvolume(tree uint64) bool {
	return tree == FSTree || (tree >= FirstFree && tree <= LastFree)
}

// FormatError says that bytes do not have the form of a structure.
type FormatError struct {
	What string // the structure, in the words of the format
	Text string // what was found and what was expected
}

// Error implements error.
func (e *FormatError) Error() string { return e.What + ": " + e.Text }

func malformed(what, format string, args ...any) error {
	return &FormatError{What: what, Text: fmt.Sprintf(format, args...)}
}

func needExactly(what string, b []byte, n int) error {
	if len(b) != n {
		return malformed(what, "has %d bytes, expected %d", len(b), n)
	}
	return nil
}

func needAtLeast(what string, b []byte, n int) error {
	if len(b) < n {
		return malformed(what, "has %d bytes, expected at least %d", len(b), n)
	}
	return nil
}

func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func put16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }
func put32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func put64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func zeros(b []byte, n int) []byte { return append(b, make([]byte, n)...) }
