package btrfs

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// memoryStore keeps blocks in memory.
type memoryStore struct {
	blocks map[ondisk.Logical][]byte
	next   ondisk.Logical
}

func (m *memoryStore) alloc(uint64, uint8, ondisk.Logical) (ondisk.Logical, error) {
	m.next += ondisk.NodeSize
	return m.next, nil
}

func (m *memoryStore) store(at ondisk.Logical, block []byte) error {
	m.blocks[at] = append([]byte(nil), block...)
	return nil
}

// walk returns the items below a block, checking each pointer.
func (m *memoryStore) walk(t *testing.T, at ondisk.Logical, level uint8, first ondisk.Key) []ondisk.Item {
	t.Helper()
	block := m.blocks[at]
	h, err := ondisk.DecodeHeader(block)
	if err != nil || h.Level != level || h.Bytenr != at {
		t.Fatalf("block %d: %+v, %v; want level %d", at, h, err, level)
	}
	if level == 0 {
		items, err := ondisk.DecodeLeaf(block)
		if err != nil || len(items) > 0 && items[0].Key != first {
			t.Fatalf("leaf %d: %v, first %v; want %v", at, err, items[0].Key, first)
		}
		return items
	}
	ptrs, err := ondisk.DecodeNode(block)
	if err != nil || ptrs[0].Key != first {
		t.Fatalf("node %d: %v; want first key %v", at, err, first)
	}
	var items []ondisk.Item
	for _, p := range ptrs {
		items = append(items, m.walk(t, p.Block, level-1, p.Key)...)
	}
	return items
}

func numberedKey(i int) ondisk.Key {
	return ondisk.Key{ObjectID: 256 + uint64(i), Type: ondisk.TypeExtentData, Offset: uint64(i) << 12}
}

// TestLoader loads trees whose leaves hold one item each, around the number of
// leaves that a node holds, and reads them back.
func TestLoader(t *testing.T) {
	most := ondisk.MaxKeyPtrs(ondisk.NodeSize)
	full := make([]byte, ondisk.MaxItemSize(ondisk.NodeSize))
	for _, test := range []struct {
		items int
		level uint8
	}{{0, 0}, {1, 0}, {2, 1}, {most - 1, 1}, {most, 1}, {most + 1, 2}, {2 * most, 2}, {2*most + 1, 2}} {
		m := &memoryStore{blocks: map[ondisk.Logical][]byte{}}
		l := newLoader(m, ondisk.FSTree, ondisk.Header{}, nil)
		for i := range test.items {
			if err := l.add(numberedKey(i), full); err != nil {
				t.Fatal(err)
			}
		}
		root, err := l.finish()
		if err != nil || root.Level != test.level || int(l.blocks) != len(m.blocks) {
			t.Fatalf("%d items: root %+v, %d of %d blocks, %v; want level %d", test.items, root, l.blocks, len(m.blocks), err, test.level)
		}
		first := ondisk.Key{}
		if test.items > 0 {
			first = numberedKey(0)
		}
		items := m.walk(t, root.Block, root.Level, first)
		if len(items) != test.items {
			t.Errorf("%d items read back; want %d", len(items), test.items)
		}
		for i, item := range items {
			if item.Key != numberedKey(i) || len(item.Data) != len(full) {
				t.Fatalf("item %d: %v with %d bytes", i, item.Key, len(item.Data))
			}
		}
	}
}

// TestLoaderFourthLevel counts a tree of 493^2 leaves, and one leaf more, which
// is too much to write: 4 GB.
func TestLoaderFourthLevel(t *testing.T) {
	most := ondisk.MaxKeyPtrs(ondisk.NodeSize)
	full := make([]byte, ondisk.MaxItemSize(ondisk.NodeSize))
	for leaves, want := range map[int]uint8{most*most - 1: 2, most * most: 2, most*most + 1: 3} {
		l := newLoader(&countStore{}, ondisk.FSTree, ondisk.Header{}, nil)
		l.dry = true
		for i := range leaves {
			if err := l.add(numberedKey(i), full); err != nil {
				t.Fatal(err)
			}
		}
		if root, err := l.finish(); err != nil || root.Level != want {
			t.Errorf("%d leaves: level %d, %v; want %d", leaves, root.Level, err, want)
		}
	}
}

// TestLoaderRefuses gives items out of order and one that no leaf holds.
func TestLoaderRefuses(t *testing.T) {
	l := newLoader(&countStore{}, ondisk.FSTree, ondisk.Header{}, nil)
	if err := l.add(numberedKey(1), nil); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 0} {
		if err := l.add(numberedKey(i), nil); err == nil || !strings.Contains(err.Error(), "does not follow") {
			t.Errorf("item %d after 1: %v", i, err)
		}
	}
	if err := l.add(numberedKey(2), make([]byte, maxItem+1)); err == nil || !strings.Contains(err.Error(), "a leaf holds 16258") {
		t.Errorf("item of %d bytes: %v", maxItem+1, err)
	}
}
