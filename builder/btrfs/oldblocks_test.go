package btrfs

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// placedStore gives each block its place, or one behind all others, and refuses to
// give one twice.
type placedStore struct{ memoryStore }

func (p *placedStore) alloc(owner uint64, level uint8, place ondisk.Logical) (ondisk.Logical, error) {
	if place == 0 {
		return p.memoryStore.alloc(owner, level, place)
	}
	if p.blocks[place] != nil {
		return 0, fmt.Errorf("place %d: asked for twice", place)
	}
	return place, nil
}

// loadPlaced loads some items, by the numbers of their keys, with the places of an
// older tree, and returns all blocks and the places of the new tree.
func loadPlaced(t *testing.T, items map[int][]byte, old *Places) (map[ondisk.Logical][]byte, *Places) {
	t.Helper()
	store := &placedStore{memoryStore{blocks: map[ondisk.Logical][]byte{}, next: 1 << 40}}
	if old != nil {
		store.next = 1 << 41 // behind all of the older tree
	}
	l := newLoader(store, ondisk.FSTree, ondisk.Header{}, old.tree(ondisk.GroupMetadata, ondisk.FSTree))
	for _, i := range slices.Sorted(maps.Keys(items)) {
		if err := l.add(numberedKey(i), items[i]); err != nil {
			t.Fatal(err)
		}
	}
	root, err := l.finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := store.walk(t, root.Block, root.Level, numberedKey(slices.Min(slices.Collect(maps.Keys(items))))); len(got) != len(items) {
		t.Fatalf("%d items; want %d", len(got), len(items))
	}
	places := newPlaces(ondisk.CRC32C)
	places.addChunk(0, ondisk.Chunk{Type: ondisk.GroupMetadata, Length: 1 << 50, Stripes: []ondisk.Stripe{{Offset: ondisk.FirstUsable}}})
	places.chunks[0].unfit = false
	for _, at := range slices.Sorted(maps.Keys(store.blocks)) {
		h, err := ondisk.DecodeHeader(store.blocks[at])
		if err != nil {
			t.Fatal(err)
		}
		first, err := ondisk.DecodeKey(store.blocks[at][ondisk.HeaderSize:])
		if err != nil || !places.addBlock(at, h.Owner, h.Level, first) {
			t.Fatalf("block %d: %v, or its place was refused", at, err)
		}
	}
	places.sortBlocks()
	return store.blocks, places
}

// TestSeams changes one item of a tree of three levels: few blocks differ from those
// of the tree before: nodes of level 1 are full, so that one more leaf makes another.
func TestSeams(t *testing.T) {
	base := map[int][]byte{}
	for i := range 4000 {
		base[10*i] = make([]byte, ondisk.LeafSpace(ondisk.NodeSize)/4-ondisk.ItemHeaderSize)
	}
	big := make([]byte, ondisk.MaxItemSize(ondisk.NodeSize))
	before, old := loadPlaced(t, base, nil)
	for _, tt := range []struct {
		name   string
		change func(items map[int][]byte)
		most   int // blocks that differ
	}{
		{"nothing", func(map[int][]byte) {}, 0},
		{"shorter", func(m map[int][]byte) { m[20000] = m[20000][1:] }, 1},
		{"longer", func(m map[int][]byte) { m[20000] = append([]byte{1}, m[20000]...) }, 3},
		{"first of a leaf longer", func(m map[int][]byte) { m[4*10*100] = big }, 5},
		{"one more", func(m map[int][]byte) { m[20001] = big }, 6},
		{"one before all", func(m map[int][]byte) { m[-1] = []byte{1} }, 5},
		{"one behind all", func(m map[int][]byte) { m[1<<20] = []byte{1} }, 3},
		{"one less", func(m map[int][]byte) { delete(m, 20020) }, 1},
		{"first of a leaf less", func(m map[int][]byte) { delete(m, 4*10*100) }, 3},
		{"a leaf less", func(m map[int][]byte) {
			for i := range 4 {
				delete(m, 10*(400+i))
			}
		}, 2},
		{"first of all less", func(m map[int][]byte) { delete(m, 0) }, 3},
	} {
		items := maps.Clone(base)
		tt.change(items)
		after, places := loadPlaced(t, items, old)
		if again, _ := loadPlaced(t, items, places); !maps.EqualFunc(again, after, bytes.Equal) {
			t.Errorf("%s: other blocks with the places of itself", tt.name)
		}
		differ := 0
		for at, block := range after {
			if !bytes.Equal(block, before[at]) {
				differ++
			}
		}
		if differ > tt.most {
			t.Errorf("%s: %d of %d blocks differ; want at most %d", tt.name, differ, len(after), tt.most)
		}
	}
}

// TestAddBlock refuses blocks that are where none of a new file system may be.
func TestAddBlock(t *testing.T) {
	const start = ondisk.Logical(1 << 20)
	key := numberedKey(1)
	for _, tt := range []struct {
		name  string
		at    ondisk.Logical
		level uint8
		ok    bool
	}{
		{"first", start, 0, true}, {"last", start + 1<<20 - ondisk.NodeSize, ondisk.MaxLevel - 1, true}, {"level", start, ondisk.MaxLevel, false},
		{"before the chunk", start - ondisk.NodeSize, 0, false}, {"behind it", start + 1<<20, 0, false},
		{"over its end", start + 1<<20 - ondisk.SectorSize, 0, false}, {"unaligned", start + ondisk.SectorSize, 0, false},
		{"chunk of data", 8 << 20, 0, false}, {"chunk with a superblock", 16 << 20, 0, false},
	} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(start, ondisk.Chunk{Type: ondisk.GroupMetadata, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 1 << 20}}})
		p.addChunk(8<<20, ondisk.Chunk{Type: ondisk.GroupData, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 2 << 20}}})
		p.addChunk(16<<20, ondisk.Chunk{Type: ondisk.GroupMetadata, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 64 << 20}}})
		if ok := p.addBlock(tt.at, ondisk.FSTree, tt.level, key); ok != tt.ok {
			t.Errorf("%s: %v; want %v", tt.name, ok, tt.ok)
		}
		if tt.ok && p.addBlock(tt.at, ondisk.CsumTree, 0, key) {
			t.Errorf("%s: taken twice", tt.name)
		}
		if n := p.blocks(ondisk.GroupMetadata, ondisk.FSTree, ondisk.CsumTree); (n == 1) != tt.ok {
			t.Errorf("%s: %d blocks", tt.name, n)
		}
	}
}

// TestTreeHeight takes a tree of all levels for one only where it has one root.
func TestTreeHeight(t *testing.T) {
	for roots, ok := range []bool{true, true, false} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(1<<20, ondisk.Chunk{Type: ondisk.GroupMetadata, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 1 << 20}}})
		at := ondisk.Logical(1 << 20)
		for level := range uint8(ondisk.MaxLevel) {
			blocks := 2
			if level == ondisk.MaxLevel-1 {
				blocks = roots
			}
			for i := range blocks {
				p.addBlock(at, ondisk.FSTree, level, numberedKey(i))
				at += ondisk.NodeSize
			}
		}
		p.sortBlocks()
		if n := p.blocks(ondisk.GroupMetadata, ondisk.FSTree); (n > 0) != ok {
			t.Errorf("%d roots: %d blocks; want some: %v", roots, n, ok)
		}
		loadPlaced(t, map[int][]byte{-1: nil, 0: nil, 1: nil, 2: nil}, p)
	}
}

// TestAllocPlace gives a tree block its place, and another where that is in no chunk
// of tree blocks that was kept.
func TestAllocPlace(t *testing.T) {
	for _, tt := range []struct {
		kind ondisk.BlockGroupFlags
		ok   bool
	}{{ondisk.GroupMetadata, true}, {ondisk.GroupMetadata | ondisk.GroupDUP, false}, {ondisk.GroupData, false}} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(1<<30, ondisk.Chunk{Type: tt.kind, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 1 << 30}}})
		p.addBlock(1<<30+ondisk.NodeSize, ondisk.FSTree, 0, numberedKey(1))
		for _, at := range []ondisk.Logical{1<<30 + ondisk.NodeSize, 1<<30 - ondisk.NodeSize, 1 << 31, 1} {
			s := newSpace(smallChunks, Single, p)
			got, err := s.allocMeta(at)
			if want := tt.ok && at == 1<<30+ondisk.NodeSize; err != nil || (got == at) != want {
				t.Errorf("%#x, place %d: block at %d, %v; want it in its place: %v", tt.kind, at, got, err, want)
			}
			if next, err := s.allocMeta(0); err != nil || next == got || next == 1<<30+ondisk.NodeSize {
				t.Errorf("%#x: the next block is at %d, %v", tt.kind, next, err)
			}
		}
	}
}

// TestUnalignedChunk does not keep a chunk that is not of whole stripes, and gives no
// address in the midst of a block.
func TestUnalignedChunk(t *testing.T) {
	const start, sector = 1 << 30, ondisk.SectorSize
	for _, tt := range []struct {
		logical  ondisk.Logical
		length   uint64
		physical ondisk.Physical
		ok       bool
	}{
		{start, 1 << 20, start, true}, {start - ondisk.StripeLen, 1<<20 + ondisk.StripeLen, start + ondisk.StripeLen, true},
		{start - sector, 1 << 20, start, false}, {start + sector, 1 << 20, start, false}, {start, 1<<20 - sector, start, false},
		{start, 1<<20 + sector, start, false}, {start, 1 << 20, start - sector, false}, {start, 1 << 20, start + sector, false},
	} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(tt.logical, ondisk.Chunk{Type: ondisk.GroupMetadata, Length: tt.length, Stripes: []ondisk.Stripe{{Offset: tt.physical}}})
		if ok := p.addBlock(start+2*ondisk.NodeSize, ondisk.FSTree, 0, numberedKey(1)); ok != tt.ok {
			t.Errorf("%+v: block taken %v", tt, ok)
		}
		s := newSpace(smallChunks, Single, p)
		for range 100 {
			if at, err := s.allocMeta(0); err != nil || at%ondisk.NodeSize != 0 || s.find(at).at(at, 0)%ondisk.NodeSize != 0 {
				t.Errorf("%+v: block at %d, %v", tt, at, err)
			}
		}
	}
}

// TestUndo takes blocks back, in their places and in others: then the same are free.
func TestUndo(t *testing.T) {
	const place = 1<<30 + ondisk.NodeSize
	p := newPlaces(ondisk.CRC32C)
	p.addChunk(1<<30, ondisk.Chunk{Type: ondisk.GroupMetadata, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 1 << 30}}})
	p.addBlock(place, ondisk.FSTree, 0, numberedKey(1))
	s := newSpace(smallChunks, Single, p)
	room, free := slices.Clone(s.room), s.freeMeta()
	for range 3 {
		var blocks []treeBlock
		for i := range 5 {
			want := []ondisk.Logical{1 << 30, place, place + ondisk.NodeSize, place + 2*ondisk.NodeSize, place + 3*ondisk.NodeSize}[i]
			wish := ondisk.Logical(0)
			if i == 1 {
				wish = place
			}
			at, err := s.allocMeta(wish)
			if err != nil || at != want {
				t.Fatalf("block %d at %d, %v; want %d", i, at, err, want)
			}
			blocks = append(blocks, treeBlock{at: at})
		}
		if got := s.freeMeta(); got != free-5*ondisk.NodeSize {
			t.Errorf("%d bytes are free; want 5 blocks less than %d", got, free)
		}
		s.undo(blocks, room)
	}
	if got := s.freeMeta(); got != free {
		t.Errorf("%d bytes are free in the end; want %d", got, free)
	}
}

// manyFiles is a tree with so many short files that most of it is tree blocks. The
// version says which are there and how long some are.
func manyFiles(t testing.TB, version int) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for d := range 30 {
		dir, err := tree.Root().Add(fmt.Sprintf("%02d", d), &fstree.Inode{Mode: fstree.TypeDir | 0o755})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			size, name := 900, fmt.Sprintf("%03d", i)
			switch {
			case d == 10 && i == 7:
				name = fmt.Sprintf("%03d-%d", i, version) // another inode
			case d == 20 && i == 7:
				size = 300 + 500*version
			case d == 15 && i == version:
				continue
			}
			content := randomBytes(size, uint64(1000*d+i))
			addInode(t, dir, name, &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(size), Content: fstree.Bytes(content)})
		}
	}
	for i := range version {
		addFile(t, tree, fmt.Sprintf("0new%d", i), randomBytes(700, uint64(i)))
	}
	tree.Freeze()
	return tree
}

// TestBlocksKept changes a tree of short files several times: few of the tree blocks
// change, whether or not the last trees come to rest in their places.
func TestBlocksKept(t *testing.T) {
	versions := [4]*fstree.Tree{}
	for i := range versions {
		versions[i] = manyFiles(t, i)
	}
	for _, rounds := range []int{defaultChunkSizes.rounds, 1} {
		for _, sizes := range []chunkSizes{defaultChunkSizes, smallChunks} {
			sizes.rounds = rounds
			p := Params{Metadata: Single}
			before, first := writeImageSized(t, versions[0], p, sizes)
			for version := 1; version <= 3; version++ {
				tree := versions[version]
				p.Places = placesOf(t, before)
				after, result := writeImageSized(t, tree, p, sizes)
				checkAll(t, after)
				p.Places = nil
				fresh, _ := writeImageSized(t, tree, p, sizes)
				moved, used := changed(t, before, after)
				if without, _ := changed(t, before, fresh); moved > used/3 || without < used*2/3 {
					t.Errorf("%d rounds, version %d: %d of %d pieces differ, %d without the places", rounds, version, moved, used, without)
				}
				if most := first.Size + 2<<20; result.Size > most {
					t.Errorf("version %d: %d bytes; want at most %d", version, result.Size, most)
				}
				before = after
			}
		}
	}
}
