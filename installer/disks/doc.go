// Package disks finds the disks of a machine, says what is on them, and chooses
// the one that an installation may erase: exactly one, or none.
//
// A scan reads sysfs and the disks themselves; a choice is a function of what a
// scan found and of a profile's rules, so that the same rules can be tried on any
// machine, on what another one has recorded.
package disks
