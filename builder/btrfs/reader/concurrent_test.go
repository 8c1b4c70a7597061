package reader_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConcurrent reads everything from several goroutines through one FS, with
// a bad copy for them all to meet. It says most under the race detector.
func TestConcurrent(t *testing.T) {
	im := sampleImage(t)
	im.build()
	im.bytes[im.places(im.blocks[0])[0]+200]++
	f := openBytes(t, im.bytes)
	want := walkAll(t, openBytes(t, im.bytes))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if diff := cmp.Diff(want, walkAll(t, f)); diff != "" {
				t.Errorf("differs from a walk alone:\n%s", diff)
			}
		})
	}
	group.Wait()
}
