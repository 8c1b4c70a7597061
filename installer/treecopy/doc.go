// Package treecopy copies a tree of files from one mounted file system to
// another, exactly: content with its holes, modes with set-user-ID, owners,
// times to the nanosecond, extended attributes with capabilities and ACLs, hard
// links within the tree, symlinks, devices, FIFOs, and on btrfs the flags of
// chattr(1) and nested subvolumes. Compare reads a copy back.
//
// Files are reached from the descriptors of their directories, never through a
// symlink, and each is made new: what has its name already is an error. So
// nothing but the destination is ever written, whatever the source has.
//
// What it does not do: it syncs nothing, resolves no names of users (owners
// are numbers), enters no other file system, and leaves out sockets, which mean
// nothing without the process that made them. Data that files share is shared
// in the copy only where source and destination are one file system; between
// two btrfs the kernel refuses to copy for us (copy_file_range(2), EXDEV).
package treecopy
