package fstree

import (
	"testing"
	"unsafe"
)

// TestInodeSize: half a million files are a usual tree, and the allocator rounds up what it
// gives: to 96 and 112 bytes here, to 48 and 64.
func TestInodeSize(t *testing.T) {
	if n := unsafe.Sizeof(Inode{}); n > 96 {
		t.Errorf("an inode has %d bytes; want 96 at most", n)
	}
	if n := unsafe.Sizeof(Entry{}); n > 48 {
		t.Errorf("an entry has %d bytes; want 48 at most", n)
	}
}
