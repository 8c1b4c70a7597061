// Command busybox builds the rescue userland of our initramfs: the commands of
// u-root that a broken system is repaired with, in one static program.
//
// It writes one file, a cpio archive (newc) compressed with zstd, that the
// kernel unpacks behind the rest of the initramfs:
//
//	bin/bb        the program, which goes by the name it is started as
//	bin/sh        and every other command: symlinks to bb
//
// The commands are the tools of this module's go.mod, which also pins their
// versions; gobusybox makes one program of their sources. Equal versions of Go
// and of this module give equal bytes, whatever the directory, the environment
// and the state of the build cache. It is a module of its own so that nothing
// of this reaches what imports mkimage.
//
// The shell is gosh with the liner editor: it redraws no more than it must, so
// that it can be used over a serial line.
package main
