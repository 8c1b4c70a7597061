// Package btrfs writes a btrfs file system from a tree of files, without root
// rights, kernel, mount, loop device or mkfs.
//
// The file system is written in one pass. File content is read and compressed
// on all cores, placed in the order of inode numbers, and never moved; the
// trees are loaded from the bottom in the order of their keys, so that what is
// kept in memory is one record for a file, one for a data extent and one for a
// block that may have an equal, and the checksums, not the content: some 3 MiB for
// each GiB. The superblock goes last: until it is there, nothing recognises a file
// system.
//
// What is written: one device; data single, metadata and system DUP or single;
// skinny metadata, no holes, the free space tree, on wish the block group
// tree; inline, plain and zstd extents; extents shared between files of equal
// content; subvolumes and read-only snapshots, each with tree blocks of its
// own; preallocated swapfiles in one physical run.
//
// What is not: several devices, RAID, mixed block groups, quotas, zoned
// devices, fs-verity, zlib and LZO compression, received UUIDs.
//
// Invariants. The bytes written depend on the tree and on Params, not on the
// clock, the host, the number of workers or the order of the source's listing.
// Every generation is the same number. Without an older file system metadata chunks
// are filled from their start, so each has at most one range of free space. Written
// with the Places of itself, a file system is the same to the byte.
//
// The format is that of package ondisk; the choices follow the kernel's where
// later writes by the kernel should agree with what was written here.
package btrfs
