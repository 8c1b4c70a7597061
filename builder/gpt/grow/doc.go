// Package grow changes the GUID partition table of a disk that is in use: it
// grows the last partition to the end of the disk, and clears an attribute of
// a partition.
//
// Whatever stops it, between any two sectors and with any of the writes since
// the last sync lost, the primary table is whole: the one that was there, or
// the new one. That is more than a whole backup would give, since Linux looks
// at the backup only with "gpt" on its command line. It takes every sector to
// be written as a whole or not at all. Running it again finishes what was cut.
//
// The primary array spans several sectors and cannot be replaced at once, but
// its header can, and says where the array is. So the new array is first put
// between the place of the array and the first partition, where nothing
// stands, the header is pointed at it, and then the same is done at the usual
// place.
//
// It touches the table's own sectors alone and knows nothing of what is in the
// partitions. Tables have 128 entries of 128 bytes, sectors 512 or 4096 bytes;
// others are refused. It does not repair: a damaged primary table is refused.
// The package is small, since it runs in the initramfs; package gpt makes and
// checks tables.
//
// Format: UEFI Specification 2.10, chapter 5. Attribute 59: Discoverable
// Partitions Specification.
package grow
