package reader

import "fmt"

// tries is how often Retry reads a file system that is being written to. The
// kernel commits every 30 seconds, or whenever a program asks for it; most
// reads take milliseconds.
const tries = 8

// Moved reports whether the file system was written since it was opened: the
// superblock is of another generation by now, or cannot be read.
//
// What a committed tree refers to is not overwritten before the next commit, so
// that all that was read of a file system that has not moved is of one state.
// Once it has, the place of a tree block that was freed may hold anything. That
// shows, as each block is compared with what its parent says of it.
func (f *FS) Moved() bool {
	super, _, err := findSuper(f.device, f.size)
	return err != nil || super.Generation != f.super.Generation
}

// Retry calls read, which opens a file system and reads from it, until the file
// system was not written meanwhile, as one that is mounted is. read returns the
// file system that it opened; nil, or one that has not moved, is the end of it.
// The device must be open still. After eight times what read returned holds:
// without an error that is the last state committed when it began.
func Retry(read func() (*FS, error)) error {
	for try := 1; ; try++ {
		f, err := read()
		switch {
		case f == nil || !f.Moved():
			return err
		case try < tries:
		case err != nil:
			return fmt.Errorf("%w (read %d times, and was written to each time)", err, tries)
		default:
			return nil
		}
	}
}
