package reader

import (
	"container/list"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// cachedBlocks bounds the cache: 8 MiB with the usual tree blocks of 16 KiB,
// 32 MiB with the largest. Enough for the upper levels of every tree of a
// system image.
const cachedBlocks = 512

// block is a tree block that passed its checks, with its content decoded.
// Items point into raw.
type block struct {
	raw    []byte
	header ondisk.Header
	items  []ondisk.Item   // of a leaf
	ptrs   []ondisk.KeyPtr // of a node
}

// firstKey returns the lowest key, and false for an empty leaf.
func (b *block) firstKey() (ondisk.Key, bool) {
	switch {
	case len(b.ptrs) > 0:
		return b.ptrs[0].Key, true
	case len(b.items) > 0:
		return b.items[0].Key, true
	}
	return ondisk.Key{}, false
}

// lastKey returns the highest key, and false for an empty leaf.
func (b *block) lastKey() (ondisk.Key, bool) {
	switch {
	case len(b.ptrs) > 0:
		return b.ptrs[len(b.ptrs)-1].Key, true
	case len(b.items) > 0:
		return b.items[len(b.items)-1].Key, true
	}
	return ondisk.Key{}, false
}

// blockCache keeps the most recently used blocks. Only blocks that passed
// their checks get in.
type blockCache struct {
	mu    sync.Mutex
	limit int
	order *list.List // of *block, most recently used first
	byPos map[ondisk.Logical]*list.Element
}

func newBlockCache(limit int) *blockCache {
	return &blockCache{limit: limit, order: list.New(), byPos: map[ondisk.Logical]*list.Element{}}
}

func (c *blockCache) get(at ondisk.Logical) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byPos[at]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*block)
}

func (c *blockCache) put(b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byPos[b.header.Bytenr]; e != nil {
		e.Value = b
		c.order.MoveToFront(e)
		return
	}
	c.byPos[b.header.Bytenr] = c.order.PushFront(b)
	if c.order.Len() > c.limit {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.byPos, oldest.Value.(*block).header.Bytenr)
	}
}
