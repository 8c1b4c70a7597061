package reader

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

func TestBlockCache(t *testing.T) {
	c := newBlockCache(3)
	add := func(at ondisk.Logical) *block {
		b := &block{header: ondisk.Header{Bytenr: at}}
		c.put(b)
		return b
	}
	for at := range ondisk.Logical(3) {
		add(at)
	}
	c.get(0) // so that 1 is the oldest
	add(3)
	for at, want := range map[ondisk.Logical]bool{0: true, 1: false, 2: true, 3: true, 4: false} {
		if got := c.get(at); (got != nil) != want {
			t.Errorf("get(%d) = %v; want it to be there: %v", at, got, want)
		}
	}
	newer := add(2)
	if c.get(2) != newer || c.order.Len() != 3 || len(c.byPos) != 3 {
		t.Errorf("a block that was put again: %v, %d and %d blocks; want the newer of 3", c.get(2), c.order.Len(), len(c.byPos))
	}
}
