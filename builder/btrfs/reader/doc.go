// Package reader reads btrfs file systems without mounting them.
//
// It is the independent half of our own verification: it shares only the
// structures of package ondisk with the writer, and checks whatever it reads.
// Every tree block is checked for checksum, address, file system, level,
// generation, owner and key order before a byte of it is believed, and file
// data is checked against the checksum tree. Where a chunk has two copies, a
// bad one is reported through FS.OnDamage and the other one is used.
//
// What it reads: one device, profiles single and DUP, sectors of 4096 bytes,
// tree blocks of 4 to 64 KiB, all four checksum algorithms, all three
// compression algorithms, mixed block groups and a metadata UUID of its own.
// What it does not: several devices and the RAID profiles, zoned devices,
// extent tree v2, the RAID stripe tree; those are refused by name. It never
// writes and never replays the log tree: FS.LogDirty says that there is one.
//
// Input is taken for hostile. Counts and lengths are bounded by the size of
// the image, levels of a tree descend strictly and keys ascend strictly, so
// that every walk ends.
//
// Format: package ondisk names the sources.
package reader
