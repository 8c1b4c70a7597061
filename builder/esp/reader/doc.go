// Package reader reads FAT32 file systems without mounting them, and checks
// them.
//
// It is the independent half of our own verification: it shares no code with
// the writer. Open refuses a boot sector that is not right in every field it
// needs; reading refuses any chain of clusters that does not fit the size of
// its file; FS.Check finds what reading does not meet.
//
// What it reads: FAT32 with one or two FATs, sectors of 512 to 4096 bytes, long
// names, the lower-case flags of Windows NT. What it does not: FAT12 and FAT16,
// which are refused by name, file systems that use one of their FATs only, and
// code pages: characters of a short name beyond ASCII read as underscores. It
// never writes.
//
// Input is taken for hostile: every length is bounded by the size of the image
// before it is used, and every chain ends. What is kept at a time is one
// directory of at most 2 MiB, the runs of one file, a bit for each cluster and
// the directories that wait for their check. Only fs.WalkDir over directories
// that are linked across each other can take long: check first.
//
// Format: "Microsoft Extensible Firmware Initiative FAT32 File System
// Specification", version 1.03.
package reader
