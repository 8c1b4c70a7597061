// Package gpt places partitions, and writes and reads GUID partition tables.
//
// Place decides where partitions go, from their sizes alone. Write puts the
// backup table down before it touches the primary one, so that a power cut
// leaves the table that was there, the new one, or, on a disk that had none,
// none at all. Read checks both copies apart, in every field, and says which
// one is damaged; Repair writes what is damaged from what is whole.
//
// The bytes come from github.com/diskfs/go-diskfs, which writes in an order of
// its own and has no protective MBR for disks over 2 TiB: Write takes the
// sectors from it. Reading is our own, since an input is hostile until its
// lengths and checksums are known; go-diskfs is the oracle of the tests.
//
// Tables have 128 entries of 128 bytes, sectors 512 or 4096 bytes.
//
// Format: UEFI Specification 2.10, chapter 5.
package gpt
