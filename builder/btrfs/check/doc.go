// Package check is an offline checker of single-device btrfs file systems.
//
// It reads everything and believes nothing: every copy of every tree block
// that a root reaches, every item's form, the back references and the space
// accounting recomputed from the trees and compared exactly with what the
// extent, block group, device and free space trees say, the agreement of names
// and inodes in each subvolume, and on demand every sector of file data against
// its checksum. It goes further than "btrfs check" where that tool is known to
// be silent, and never repairs.
//
// What it does not look at: the log tree (Report.Skipped says so), quota and
// qgroup items, the content of v1 space caches, and whether compressed data
// can be decompressed.
//
// Memory is a few dozen bytes for each tree block, extent, back reference and,
// for one subvolume at a time, name and inode. Data checksums are streamed.
//
// The rules are those of the kernel's fs/btrfs/tree-checker.c and of
// btrfs-progs' check/main.c; package ondisk names the sources of the format.
// Like the reader, on which it builds, it shares nothing with the writer but
// package ondisk.
package check
