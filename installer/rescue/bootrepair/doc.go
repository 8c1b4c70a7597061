// Package bootrepair makes a disk start again whose system is whole: the table of
// partitions, the EFI system partition (ESP) with the boot loader, its menu and the
// kernels, and the entry in the firmware.
//
// Diagnose reads and says what is wrong and what would be done; Repair does it, in the
// order in which one rests on the other. Nothing is mounted to find out: the disk is
// read by our own readers. What is put on the ESP is what the image of that system had
// there, made again of the files of the system itself, by the code that made it then:
// kernels of a NixOS are in its store, and an initramfs of ours is made of the modules of
// the system. A kernel that was on the ESP alone comes from the stick, if the system has
// the modules of just this version.
//
// Safety: only Repair writes, only to the disk that it was given, and first it asks
// whether that is still the one that was chosen. A disk with a hibernated session is
// refused, unless the session is given up. Each write is in an order in which a power cut
// leaves either what was there or what is to be; run again, the repair ends the same. What
// others have on the ESP stays, but where the file system itself is lost.
//
// What it does not do: it repairs no btrfs, makes no partition larger, and leaves entries
// of other systems as they are.
package bootrepair
