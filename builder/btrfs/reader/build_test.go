package reader_test

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// A testImage is a small file system that a test describes item by item, also
// one that no kernel would make. Trees get two items a leaf and three children
// a node, so that all have several levels.
type testImage struct {
	bytes  []byte
	super  ondisk.Superblock
	chunks []ondisk.SysChunk
	trees  map[uint64][]ondisk.Item
	blocks []ondisk.Logical // of all trees, in the order of writing
	next   ondisk.Logical
	nextBy ondisk.Logical // of data

	lastSnapshot uint64 // of all subvolumes
	deleted      uint64 // the subvolume that is
}

const (
	testNode   = 4096
	testGen    = 7
	testSize   = 7 << 20
	sysLogical = ondisk.Logical(1 << 20)
	metaAt     = ondisk.Logical(8 << 20)
	dataAt     = ondisk.Logical(16 << 20)
	swapAt     = ondisk.Logical(32 << 20)
	chunkSize  = 1 << 20
)

var testFSID = [16]byte{1, 2, 3}

func newImage() *testImage {
	im := &testImage{
		bytes: make([]byte, testSize), trees: map[uint64][]ondisk.Item{},
		next: metaAt, nextBy: dataAt,
	}
	im.chunk(sysLogical, ondisk.GroupSystem, 1<<20)
	im.chunk(metaAt, ondisk.GroupMetadata|ondisk.GroupDUP, 2<<20, 3<<20)
	im.chunk(dataAt, ondisk.GroupData|ondisk.GroupDUP, 4<<20, 5<<20)
	im.chunk(swapAt, ondisk.GroupData, 6<<20)
	im.super = ondisk.Superblock{
		FSID: testFSID, Bytenr: ondisk.SuperMirrors[0], Generation: testGen, TotalBytes: testSize, NumDevices: 1,
		SectorSize: ondisk.SectorSize, NodeSize: testNode, LeafSize: testNode, StripeSize: ondisk.SectorSize,
		ChunkRootGeneration: testGen, RootDirObjectID: ondisk.RootTreeDir,
		IncompatFlags: ondisk.IncompatMixedBackref | ondisk.IncompatNoHoles | ondisk.IncompatSkinnyMetadata,
		DevItem:       ondisk.DevItem{DevID: 1, TotalBytes: testSize, FSID: testFSID},
		Label:         "test",
	}
	return im
}

func (im *testImage) chunk(at ondisk.Logical, kind ondisk.BlockGroupFlags, physical ...ondisk.Physical) {
	c := ondisk.Chunk{Length: chunkSize, Owner: ondisk.ExtentTree, StripeLen: ondisk.StripeLen, Type: kind, SectorSize: ondisk.SectorSize, SubStripes: 1}
	for _, p := range physical {
		c.Stripes = append(c.Stripes, ondisk.Stripe{DevID: 1, Offset: p})
	}
	key := ondisk.Key{ObjectID: ondisk.FirstChunkTree, Type: ondisk.TypeChunkItem, Offset: uint64(at)}
	im.chunks = append(im.chunks, ondisk.SysChunk{Key: key, Chunk: c})
}

// add adds an item to a tree.
func (im *testImage) add(tree, objectID uint64, kind ondisk.Type, offset uint64, data []byte) {
	key := ondisk.Key{ObjectID: objectID, Type: kind, Offset: offset}
	im.trees[tree] = append(im.trees[tree], ondisk.Item{Key: key, Data: data})
}

// subvolume starts a subvolume with its root directory.
func (im *testImage) subvolume(id uint64) {
	inode := ondisk.InodeItem{Mode: 0o040755, Nlink: 1}
	im.add(id, 256, ondisk.TypeInodeItem, 0, inode.Append(nil))
	im.add(id, 256, ondisk.TypeInodeRef, 256, ondisk.InodeRef{Name: ".."}.Append(nil))
}

// entry adds a directory entry.
func (im *testImage) entry(tree, dir, index uint64, name string, to ondisk.Key, kind ondisk.FileType) {
	item := ondisk.DirItem{Location: to, Type: kind, Name: name}
	im.add(tree, dir, ondisk.TypeDirItem, ondisk.NameHash(name), item.Append(nil))
	im.add(tree, dir, ondisk.TypeDirIndex, index, item.Append(nil))
}

// file adds an inode with one name.
func (im *testImage) file(tree, dir, ino uint64, name string, mode uint32, size, flags uint64) {
	inode := ondisk.InodeItem{Mode: mode, Nlink: 1, Size: size, Flags: flags, UID: 1000, GID: 100}
	im.add(tree, ino, ondisk.TypeInodeItem, 0, inode.Append(nil))
	im.add(tree, ino, ondisk.TypeInodeRef, dir, ondisk.InodeRef{Index: ino, Name: name}.Append(nil))
	im.entry(tree, dir, ino, name, ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeItem}, ondisk.FileTypeOf(mode))
}

func (im *testImage) extent(tree, ino, at uint64, e ondisk.FileExtent) {
	e.Generation = testGen
	im.add(tree, ino, ondisk.TypeExtentData, at, e.Append(nil))
}

// data stores bytes in both copies, with checksums, and returns where.
func (im *testImage) data(b []byte) ondisk.Logical {
	at := im.nextBy
	padded := append(bytes.Clone(b), make([]byte, -len(b)&(ondisk.SectorSize-1))...)
	copy(im.bytes[4<<20+int(at-dataAt):], padded)
	copy(im.bytes[5<<20+int(at-dataAt):], padded)
	im.add(ondisk.CsumTree, ondisk.ExtentCsum, ondisk.TypeExtentCsum, uint64(at), im.super.Checksum.AppendSectors(nil, padded))
	im.nextBy += ondisk.Logical(len(padded))
	return at
}

// write stores a file's content as one extent; packed is what is stored of it.
func (im *testImage) write(tree, ino uint64, size int, packed []byte, how ondisk.Compression) {
	at := im.data(packed)
	length := uint64(size+ondisk.SectorSize-1) / ondisk.SectorSize * ondisk.SectorSize
	stored := uint64(len(packed)+ondisk.SectorSize-1) / ondisk.SectorSize * ondisk.SectorSize
	im.extent(tree, ino, 0, ondisk.FileExtent{Kind: ondisk.ExtentRegular, Compression: how, RAMBytes: length, DiskBytenr: at, DiskNumBytes: stored, NumBytes: length})
}

// build writes trees and superblock and returns the image.
func (im *testImage) build() []byte {
	for _, id := range im.ids() {
		if id == ondisk.RootTree || id == ondisk.ChunkTree {
			continue
		}
		at, level := im.tree(id)
		root := ondisk.RootItem{Generation: testGen, GenerationV2: testGen, Bytenr: at, Level: level, RootDirID: 256, Refs: 1,
			UUID: [16]byte{byte(id)}, LastSnapshot: im.lastSnapshot}
		if id == im.deleted {
			root.Refs = 0
		}
		im.add(ondisk.RootTree, id, ondisk.TypeRootItem, 0, root.Append(nil))
	}
	im.super.Root, im.super.RootLevel = im.tree(ondisk.RootTree)
	for i := range im.chunks {
		c := &im.chunks[i]
		im.add(ondisk.ChunkTree, c.Key.ObjectID, c.Key.Type, c.Key.Offset, c.Chunk.Append(nil))
	}
	im.super.SysChunks = im.chunks[:1]
	im.next = sysLogical
	im.super.ChunkRoot, im.super.ChunkRootLevel = im.tree(ondisk.ChunkTree)
	im.seal()
	return im.bytes
}

// seal writes the superblock.
func (im *testImage) seal() {
	raw, err := im.super.Encode()
	if err != nil {
		panic(err)
	}
	copy(im.bytes[ondisk.SuperMirrors[0]:], raw)
}

func (im *testImage) ids() []uint64 {
	var ids []uint64
	for id := range im.trees {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// tree writes one tree and returns its root.
func (im *testImage) tree(id uint64) (ondisk.Logical, uint8) {
	items := im.trees[id]
	slices.SortFunc(items, func(a, b ondisk.Item) int { return a.Key.Compare(b.Key) })
	var level []ondisk.KeyPtr
	for leaf := range slices.Chunk(items, 2) {
		level = append(level, im.block(id, 0, leaf[0].Key, func(b []byte) int { return putLeaf(b, leaf) }))
	}
	height := uint8(0)
	for len(level) > 1 {
		height++
		var above []ondisk.KeyPtr
		for node := range slices.Chunk(level, 3) {
			above = append(above, im.block(id, height, node[0].Key, func(b []byte) int { return putNode(b, node) }))
		}
		level = above
	}
	return level[0].Block, height
}

func (im *testImage) block(owner uint64, level uint8, first ondisk.Key, fill func([]byte) int) ondisk.KeyPtr {
	raw := make([]byte, testNode)
	h := ondisk.Header{FSID: testFSID, Bytenr: im.next, Flags: ondisk.FlagWritten | ondisk.BackrefRev, Generation: testGen, Owner: owner, Level: level}
	h.NrItems = uint32(fill(raw))
	h.Put(raw)
	im.put(im.next, raw)
	im.blocks = append(im.blocks, im.next)
	im.next += testNode
	return ondisk.KeyPtr{Key: first, Block: h.Bytenr, Generation: testGen}
}

// put seals a block and stores all its copies.
func (im *testImage) put(at ondisk.Logical, raw []byte) {
	im.super.Checksum.Seal(raw)
	for _, physical := range im.places(at) {
		copy(im.bytes[physical:], raw)
	}
}

func (im *testImage) places(at ondisk.Logical) []int {
	if at < metaAt {
		return []int{int(at)}
	}
	return []int{2<<20 + int(at-metaAt), 3<<20 + int(at-metaAt)}
}

// change edits a block and seals it again.
func (im *testImage) change(at ondisk.Logical, edit func([]byte)) {
	raw := im.bytes[im.places(at)[0]:][:testNode]
	edit(raw)
	im.put(at, raw)
}

func putLeaf(b []byte, items []ondisk.Item) int {
	headers, end := b[ondisk.HeaderSize:ondisk.HeaderSize], ondisk.LeafSpace(len(b))
	for _, item := range items {
		end -= len(item.Data)
		copy(b[ondisk.HeaderSize+end:], item.Data)
		headers = ondisk.ItemHeader{Key: item.Key, Offset: uint32(end), Size: uint32(len(item.Data))}.Append(headers)
	}
	return len(items)
}

func putNode(b []byte, ptrs []ondisk.KeyPtr) int {
	out := b[ondisk.HeaderSize:ondisk.HeaderSize]
	for _, p := range ptrs {
		out = p.Append(out)
	}
	return len(ptrs)
}

// openBytes opens an image in memory.
func openBytes(t testing.TB, image []byte) *reader.FS {
	t.Helper()
	f, err := reader.Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return f
}

func sortedByName(list []reader.Xattr) bool {
	return slices.IsSortedFunc(list, func(a, b reader.Xattr) int { return cmp.Compare(a.Name, b.Name) })
}
