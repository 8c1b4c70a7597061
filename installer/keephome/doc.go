// Package keephome makes a new system beside one that is on a disk, in the same
// btrfs, so that /home and what identifies the machine survive: a
// reinstallation that can be cut at any instant, since until the boot entry is
// changed the old system is whole and the one that boots.
//
// It makes subvolumes NAME.new-ID of those of the payload (Stage), puts the
// identities of the disk into them (Fstab), takes their factory snapshots
// (Factory), copies into them what is kept of the old ones (Carry), and reads
// all of it back (Seal). Package beside says how they take the place of the old
// ones at the next boot; Discard and Expire remove what is not needed. Rollback puts
// a snapshot into the place of a subvolume with the same names and the same care.
//
// What it does not do: it mounts nothing, writes no boot entry, and asks nobody
// whether a session is hibernated on the disk. Owners of what is kept are
// numbers, which may be of other users in the new system. What a symlink leads
// to is not kept in its place, and symlinks never lead out of a subvolume: their
// targets are looked up as if it were the root.
package keephome
