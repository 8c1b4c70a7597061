// Package identity gives a btrfs file system a new identity while it is
// copied, without a kernel and without mounting it.
//
// Prepare reads the trees of the original once and decides every byte that
// changes; Apply changes them in a piece of the copy. New are the fsid, the
// UUID of the chunk tree and that of the device, in every tree block, device
// item, stripe and device extent and in every copy of the superblock; the
// label; and, in files that are named, text in place of other text of equal
// length. The checksums of all that follow.
//
// The kernel knows a file system by its fsid, and refuses a second one of the
// same: an installer's medium and what it installed could not be mounted
// together.
//
// What stays: the UUIDs of subvolumes, which mean something to send and
// receive alone and are keys of a tree; the UUID of a swap area, which is
// content of a file; generations and times; and what stands in no chunk, where
// mkfs.btrfs leaves tree blocks of its own. What is left of freed tree blocks
// has the old identity: Apply overwrites all free space of metadata with zeros,
// the old trees for "mount -o usebackuproot" with it.
//
// Invariants. The original is not trusted: what it says is checked by package
// reader and here, and what is unclean or unknown is refused. A place that does
// not hold what Prepare read is an error, so that nothing damaged gets a right
// checksum. Nothing is random: see FromSeed.
//
// What it does not do: verify file data, which Apply leaves as it is; enlarge a
// file system; copy.
//
// The format is that of package ondisk.
package identity
