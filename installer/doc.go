// Package installer puts the system of a signed medium onto a disk.
//
// A medium is the image of a disk: an ESP with the kernel and the initramfs of
// the payload, and the payload, which is the very file system that is installed.
// Its manifest says what every byte of it must read as, and is signed.
//
// What an installation does is decided before the first write, and everything
// that can be wrong is found then: the medium's digests, the size of the target,
// the place of every partition. On the target the table of partitions comes last,
// once all the rest was read back from the disk, so that a power cut at any write
// leaves a disk without a system or one with a whole system.
//
// It asks nobody and prints nothing. Choosing the disk is the task of package
// disks; consent and the screen are of command mkimage-install.
package installer
