// Package health says how well a disk, a file system and a backup are: by the disk's
// own account of itself, by reading all of a btrfs, unmounted with our own reader or
// mounted with the kernel's scrub, and by reading a sample of a repository of restic.
//
// Nothing is repaired but by a scrub that may write, and that only from a good copy.
// Damage is no error but part of a report.
//
// What it does not do: it mounts nothing, and takes no locks that would change a
// repository.
package health
