package btrfs

import (
	"runtime"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// TestResultIsSmall: what Write returns does not keep the tree, which a check of what was
// written would then have beside it in memory.
func TestResultIsSmall(t *testing.T) {
	gone := make(chan struct{})
	result := func() *Result {
		tree := fstree.New()
		addFile(t, tree, "file", []byte("content"))
		runtime.AddCleanup(tree.Root(), func(gone chan struct{}) { close(gone) }, gone)
		_, result := writeImage(t, tree, Params{})
		return result
	}()
	runtime.GC()
	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Error("the tree is in memory still")
	}
	runtime.KeepAlive(result)
}
