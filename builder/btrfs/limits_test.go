package btrfs

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// addFile puts a file into the root directory.
func addFile(t testing.TB, tree *fstree.Tree, name string, content []byte) *fstree.Inode {
	t.Helper()
	return addInode(t, tree.Root(), name, &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(content)), Content: fstree.Bytes(content)})
}

func addInode(t testing.TB, dir *fstree.Entry, name string, inode *fstree.Inode) *fstree.Inode {
	t.Helper()
	if _, err := dir.Add(name, inode); err != nil {
		t.Fatal(err)
	}
	return inode
}

func addXattr(t testing.TB, tree *fstree.Tree, name string, size int) {
	t.Helper()
	in := addFile(t, tree, name, nil)
	in.Xattrs = []fstree.Xattr{{Name: "user.x", Value: bytes.Repeat([]byte{'v'}, size)}}
}

// extentsOf returns the extents of a file in the top-level subvolume.
func extentsOf(t testing.TB, image, name string) []reader.Extent {
	t.Helper()
	volume, err := openImage(t, image).Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	extents, err := volume.Extents(name)
	if err != nil {
		t.Fatal(err)
	}
	return extents
}

// treeLevel returns the level of a tree's root block.
func treeLevel(t testing.TB, image string, tree uint64) uint8 {
	t.Helper()
	ref, err := openImage(t, image).RootRef(tree)
	if err != nil {
		t.Fatal(err)
	}
	return ref.Level
}

// blocksOf returns how many blocks a tree has by its root item.
func blocksOf(t testing.TB, image string, tree uint64) uint64 {
	t.Helper()
	root, err := openImage(t, image).Root(tree)
	if err != nil {
		t.Fatal(err)
	}
	return root.BytesUsed / ondisk.NodeSize
}

// TestInlineLimit writes files around the longest inline content, plain and
// compressed.
func TestInlineLimit(t *testing.T) {
	random := randomBytes(4097, 1)
	text := bytes.Repeat([]byte("all work and no play "), 300)
	tests := []struct {
		name    string
		content []byte
		level   int
		inline  bool
	}{
		{"plain 2047", random[:2047], 0, true},
		{"plain 2048", random[:2048], 0, true},
		{"plain 2049", random[:2049], 0, false},
		{"incompressible 2047", random[:2047], 3, true},
		{"incompressible 2048", random[:2048], 3, true},
		{"incompressible 2049", random[:2049], 3, false},
		{"text 4095", text[:4095], 3, true},
		{"text 4096", text[:4096], 3, true},
		{"text 4097", text[:4097], 3, false},
		{"one byte", text[:1], 3, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstree.New()
			addFile(t, tree, "f", test.content)
			image, _ := writeImage(t, tree, Params{Compression: Compression{test.level}})
			checkAll(t, image)
			if got := extentsOf(t, image, "f")[0].Kind == reader.ExtentInline; got != test.inline {
				t.Errorf("inline = %v; want %v", got, test.inline)
			}
		})
	}
}

// TestBlockLimit writes files around the most that one compressed extent
// holds.
func TestBlockLimit(t *testing.T) {
	text := bytes.Repeat([]byte("all work and no play makes jack a dull boy "), 8000)
	for _, test := range []struct{ size, extents int }{
		{blockSize - 1, 1}, {blockSize, 1}, {blockSize + 1, 2}, {2*blockSize - 1, 2}, {2 * blockSize, 2}, {2*blockSize + 1, 3},
	} {
		tree := fstree.New()
		addFile(t, tree, "f", text[:test.size])
		image, _ := writeImage(t, tree, Params{Compression: Compression{3}})
		checkAll(t, image)
		extents := extentsOf(t, image, "f")
		if len(extents) != test.extents || extents[0].Compression != ondisk.CompressZstd {
			t.Errorf("file of %d bytes: %d extents, the first %+v; want %d, compressed", test.size, len(extents), extents[0], test.extents)
		}
	}
}

// TestPlainExtentLimit writes plain files around the longest extent.
func TestPlainExtentLimit(t *testing.T) {
	for _, test := range []struct{ size, extents int }{
		{maxPlainExtent - ondisk.SectorSize, 1}, {maxPlainExtent, 1}, {maxPlainExtent + ondisk.SectorSize, 2},
	} {
		tree := fstree.New()
		addFile(t, tree, "f", randomBytes(test.size, 7))
		image, _ := writeImage(t, tree, Params{})
		checkAll(t, image)
		if got := len(extentsOf(t, image, "f")); got != test.extents {
			t.Errorf("file of %d bytes: %d extents; want %d", test.size, got, test.extents)
		}
	}
}

// TestLeafLimit fills a subvolume's first leaf to the last byte and beyond.
func TestLeafLimit(t *testing.T) {
	// The first leaf holds the root's two items and two entries, and the file's
	// inode, reference and xattr: what is left is for the value.
	const rest = ondisk.NodeSize - ondisk.HeaderSize - 7*ondisk.ItemHeaderSize -
		2*ondisk.InodeItemSize - (ondisk.InodeRefSize + 2) - (ondisk.InodeRefSize + 1) - 2*(ondisk.DirItemSize+1) - (ondisk.DirItemSize + len("user.x"))
	for _, test := range []struct {
		value  int
		blocks uint64
	}{{rest - 1, 1}, {rest, 1}, {rest + 1, 3}} {
		tree := fstree.New()
		addXattr(t, tree, "f", test.value)
		image, _ := writeImage(t, tree, Params{})
		checkAll(t, image)
		if got := blocksOf(t, image, ondisk.FSTree); got != test.blocks {
			t.Errorf("value of %d bytes: %d blocks; want %d", test.value, got, test.blocks)
		}
	}
}

// TestLevelLimit makes trees of 493 leaves, what one node holds, and of one
// leaf more, so that a third level is needed. Each file fills a leaf.
func TestLevelLimit(t *testing.T) {
	const value = ondisk.NodeSize - ondisk.HeaderSize - 3*ondisk.ItemHeaderSize - ondisk.InodeItemSize -
		(ondisk.InodeRefSize + len("f000")) - (ondisk.DirItemSize + len("user.x"))
	most := ondisk.MaxKeyPtrs(ondisk.NodeSize)
	levels := map[int]uint8{}
	for _, files := range []int{0, 1, most - 6, most - 5, most - 4, most - 3, most - 2, most - 1, most} {
		tree := fstree.New()
		for i := range files {
			addXattr(t, tree, fmt.Sprintf("f%03d", i), value)
		}
		image, _ := writeImage(t, tree, Params{})
		blocks, level := int(blocksOf(t, image, ondisk.FSTree)), treeLevel(t, image, ondisk.FSTree)
		leaves := blocks
		if level > 0 {
			leaves -= 1
		}
		if level > 1 {
			leaves -= 2
		}
		levels[leaves] = level
		ownCheck(t, image)
		if leaves >= most-1 || files <= 1 {
			imgtest.BtrfsCheck(t, image)
		}
	}
	for leaves, want := range map[int]uint8{1: 0, most - 1: 1, most: 1, most + 1: 2} {
		if got, seen := levels[leaves]; !seen || got != want {
			t.Errorf("%d leaves: level %d, %v; want %d", leaves, got, seen, want)
		}
	}
}

// TestChunkLimit writes just as much data as a chunk holds, a sector less and
// a sector more.
func TestChunkLimit(t *testing.T) {
	for _, test := range []struct{ size, chunks int }{
		{int(smallChunks.maxData) - ondisk.SectorSize, 1}, {int(smallChunks.maxData), 1}, {int(smallChunks.maxData) + ondisk.SectorSize, 2},
	} {
		tree := fstree.New()
		addFile(t, tree, "f", randomBytes(test.size, 3))
		image, _ := writeImageSized(t, tree, Params{}, smallChunks)
		checkAll(t, image)
		data := 0
		for _, c := range openImage(t, image).Chunks() {
			if c.Chunk.Type&ondisk.GroupData != 0 {
				data++
			}
		}
		if data != test.chunks {
			t.Errorf("%d bytes: %d data chunks; want %d", test.size, data, test.chunks)
		}
	}
}

// TestCollisionLimit fills a directory item with names of one hash, and one
// name more.
func TestCollisionLimit(t *testing.T) {
	names := imgtest.Colliding("c", 1000)
	fits := maxItem / (ondisk.DirItemSize + len(names[0]))
	for _, n := range []int{fits - 1, fits, fits + 1} {
		tree := fstree.New()
		for _, name := range names[:n] {
			addFile(t, tree, name, nil)
		}
		if n > fits {
			writeFails(t, tree, Params{}, fault.Input, "entries whose names have the hash of")
			continue
		}
		image, _ := writeImage(t, tree, Params{})
		checkAll(t, image)
	}
}

// TestLinkLimit gives an inode as many names as it may have, and one more.
func TestLinkLimit(t *testing.T) {
	for _, n := range []int{ondisk.MaxLinks - 1, ondisk.MaxLinks, ondisk.MaxLinks + 1} {
		tree := fstree.New()
		inode := &fstree.Inode{Mode: fstree.TypeRegular | 0o644}
		for i := range n {
			addInode(t, tree.Root(), fmt.Sprintf("%05d", i), inode)
		}
		if n > ondisk.MaxLinks {
			writeFails(t, tree, Params{}, fault.Input, "65536 hard links, expected at most 65535")
			continue
		}
		image, _ := writeImage(t, tree, Params{})
		ownCheck(t, image)
		if imgtest.Full() { // a minute, since it takes the links one by one
			imgtest.BtrfsCheck(t, image, "original") // see TestExtrefs
		}
	}
}

// TestNameLimits refuses what the format has no room for and takes the last
// that fits.
func TestNameLimits(t *testing.T) {
	long := strings.Repeat("n", ondisk.MaxNameLen)
	xattr := func(name string, size int) *fstree.Inode {
		return &fstree.Inode{Mode: fstree.TypeRegular, Xattrs: []fstree.Xattr{{Name: name, Value: make([]byte, size)}}}
	}
	link := func(n int) *fstree.Inode {
		return &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: strings.Repeat("l", n), Size: int64(n)}
	}
	const most = ondisk.NodeSize - ondisk.HeaderSize - ondisk.ItemHeaderSize - ondisk.DirItemSize
	tests := []struct {
		name  string
		inode *fstree.Inode
		want  string
	}{
		{long[1:], &fstree.Inode{Mode: fstree.TypeRegular}, ""},
		{long, &fstree.Inode{Mode: fstree.TypeDir}, ""},
		{long + "n", &fstree.Inode{Mode: fstree.TypeRegular}, "name of 256 bytes, expected at most 255"},
		{"link", link(4094), ""},
		{"link", link(4095), ""},
		{"link", link(4096), "link: symlink target of 4096 bytes, expected 1 to 4095"},
		{"link", link(0), "link: symlink target of 0 bytes"},
		{"value", xattr("user.x", most-7), ""},
		{"value", xattr("user.x", most-6), ""},
		{"value", xattr("user.x", most-5), "value: xattr user.x of 16223 bytes, expected at most 16222 with its name"},
		{"xattr", xattr(long, 1), ""},
		{"xattr", xattr(long+"n", 1), "xattr: xattr name of 256 bytes, expected 1 to 255"},
		{"type", &fstree.Inode{Mode: 0o644}, "type: unknown file type in mode 0644"},
	}
	for _, test := range tests {
		tree := fstree.New()
		addInode(t, tree.Root(), test.name, test.inode)
		if test.want != "" {
			writeFails(t, tree, Params{}, fault.Input, test.want)
			continue
		}
		image, _ := writeImage(t, tree, Params{})
		checkAll(t, image)
	}
}

// TestWideDirectory writes a directory of 200,000 entries.
func TestWideDirectory(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := imgtest.Wide(200_000)
	image, _ := writeImage(t, tree, Params{})
	ownCheck(t, image)
	imgtest.BtrfsCheck(t, image, "original")
	if imgtest.Full() { // mode lowmem takes a minute
		imgtest.BtrfsCheck(t, image, "lowmem")
	}
	imgtest.CompareMounted(t, tree, nil, imgtest.Mount(t, image, "ro"), imgtest.CompareOptions{})
}
