// Package esp writes FAT32 file systems: EFI system partitions.
//
// The whole tree is known before the first byte is written. First everything
// is decided (every name, every cluster), then it is written: files and
// directories contiguous and in the order of the tree, so that equal trees
// give equal bytes. What no file and no structure needs is never written, so
// a sparse output stays sparse.
//
// What it writes: FAT32 with two FATs, a backup boot sector and exact FSInfo
// counts; long names for every name that is not upper-case 8.3, each with an
// alias that no other entry of its directory has; times in UTC. Cluster sizes
// follow mkfs.fat and the Microsoft specification. What it does not: FAT12 and
// FAT16, code pages (aliases are ASCII), owners, permissions, symlinks or any
// other special file, which FAT cannot hold and which are refused. Hard links
// become copies.
//
// Format: "Microsoft Extensible Firmware Initiative FAT32 File System
// Specification", version 1.03, and the UEFI Specification, section 13.3.
package esp
