// Package boot is what runs as PID 1 of an initramfs of mkimage: it loads
// modules, waits for the root partition, mounts what the layout says and
// hands over to the system's init.
//
// What can be decided without a machine is decided by pure functions that are
// tested on the host: the command line (ParseCmdline), which device is meant
// (Root, Device), which mounts are made (Plan), where a path leads inside the
// new root (Resolve). Run carries them out in the order of the steps in
// boot.go. A step that fails ends in a message that says what was seen and
// what to type, and in a shell when the archive has one; leaving the shell
// tries the step again.
//
// What it does not do: it starts no udev, mounts no file system but btrfs
// (overlayfs and tmpfs apart; the FAT of a key medium is read, not mounted),
// checks none, and resolves no module
// dependencies: the host has done that.
package boot
