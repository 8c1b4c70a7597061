// Package hibernate keeps a running system able to hibernate to its swapfile,
// and says in words when it cannot.
//
// The kernel writes its image to the swap area that /sys/power/resume (a block
// device) and /sys/power/resume_offset (a page of it) name, and systemd-logind
// refuses to hibernate, before any unit starts, when no swap area in use is at
// that place. A swapfile made anew, or moved by a balance while it was not in
// use, is elsewhere: Watch writes the new place whenever /proc/swaps changes.
// Check does the same once, and refuses when hibernation cannot end well.
//
// Only the swapfile of the layout counts, since the initramfs resumes from no
// other place: never zram, which is the memory itself, and never a partition.
//
// # Writing to /sys/power/resume
//
// The kernel takes a write to that file as the order to resume from the device
// at once. Nothing is written before the page at the offset was read from the
// device and found to be the header of the swap space in use: then there is no
// image. It is written only when it differs.
package hibernate
