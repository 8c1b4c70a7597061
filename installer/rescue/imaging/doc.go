// Package imaging copies a disk that fails, or a partition of it, to a file or to
// another disk, and gets the easy parts first: what is read last may be what kills
// the disk.
//
// It goes over the disk as GNU ddrescue does, whose manual has the reasons: large
// blocks forward, with a jump over what is damaged that grows with each error;
// what was jumped over backward, and then all that is left of it; then the edges of
// each block that failed, sector by sector, inwards; then what is between them; at
// last the bad sectors again, as often as is asked for. A sector is read twice at
// most before that.
//
// What is known of each part is kept in a map, in the format of ddrescue's own map
// files (version 1.27, manual, "Mapfile structure"), so that either program goes on
// where the other has stopped. A map names as copied only what is on the target's
// medium already: after a power cut at any instant it is true.
//
// What it does not do: it chooses no disk, looks into no file system, and writes
// nothing to the disk that it reads.
package imaging
