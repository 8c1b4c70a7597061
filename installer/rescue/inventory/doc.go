// Package inventory finds out what is there to rescue: disks, the systems on them with
// their subvolumes, generations and boot menus, sessions that sleep, backups, key media.
//
// It reads by our own readers and mounts nothing, writes nothing and asks nobody. So
// it is safe for a disk that fails and for one whose system sleeps, which no mount is.
// What is damaged is a Problem, and the rest is told all the same.
//
// What it reads is taken for hostile: texts and lists are bounded, and a disk that does
// not answer is given up after some time, while the others are looked at.
//
// What it does not do: it opens no repository of restic, for which it takes a password
// (see Opener), it checks no data, and nothing of a key gets out of it but its public
// half.
package inventory
