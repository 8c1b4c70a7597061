// Package flash writes an image to a disk and proves that it is there.
//
// The order is what makes it safe. First both ends of the disk become zeros, so
// that no partition table is left, neither the primary copy nor the backup.
// Then the data is written, brought to the disk and read back past all caches.
// Only when it is right are the chunks with the tables written, the one with
// the backup first. Whatever stops a run, the disk holds the old table over the
// old data, no table, or the new table over data that was proved.
//
// The image's bytes are written as they are: on a larger disk its backup table
// stands where the image ends, as after dd, and the first boot moves it. A
// corrected table would differ from the manifest, and from what mkimage verify
// expects.
//
// Ranges that the image does not use are left as they are. Zeros are written
// where they mean something: where a file system of the image keeps zeros, and
// where old signatures could stand (see Plan). What is not known to be free is
// taken to mean something.
//
// What it does not: choose the disk (package disks), or ask.
package flash
