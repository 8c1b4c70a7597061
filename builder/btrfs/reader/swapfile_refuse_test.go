package reader_test

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// item returns the item of this key, to be changed before the image is built.
func (im *testImage) item(t *testing.T, tree, objectID uint64, kind ondisk.Type, offset uint64) *ondisk.Item {
	t.Helper()
	key := ondisk.Key{ObjectID: objectID, Type: kind, Offset: offset}
	for i := range im.trees[tree] {
		if im.trees[tree][i].Key == key {
			return &im.trees[tree][i]
		}
	}
	t.Fatalf("tree %d: no item %v", tree, key)
	return nil
}

// TestSwapfileRefuses breaks one condition of the kernel's at a time.
func TestSwapfileRefuses(t *testing.T) {
	const tree, ino = 256, 257
	flags := func(change func(uint64) uint64) func(*testing.T, *testImage) {
		return func(t *testing.T, im *testImage) {
			item := im.item(t, tree, ino, ondisk.TypeInodeItem, 0)
			inode, err := ondisk.DecodeInodeItem(item.Data)
			if err != nil {
				t.Fatal(err)
			}
			inode.Flags = change(inode.Flags)
			item.Data = inode.Append(nil)
		}
	}
	extent := func(at uint64, change func(*ondisk.FileExtent)) func(*testing.T, *testImage) {
		return func(t *testing.T, im *testImage) {
			item := im.item(t, tree, ino, ondisk.TypeExtentData, at)
			e, err := ondisk.DecodeFileExtent(item.Data)
			if err != nil {
				t.Fatal(err)
			}
			change(&e)
			item.Data = e.Append(nil)
		}
	}
	ref := func(kind ondisk.Type, offset uint64, data []byte) func(*testing.T, *testImage) {
		return func(_ *testing.T, im *testImage) { im.add(ondisk.ExtentTree, uint64(swapAt)+8192, kind, offset, data) }
	}
	tests := []struct {
		name string
		edit func(*testing.T, *testImage)
		want string
	}{
		{"as it is", func(*testing.T, *testImage) {}, ""},
		{"copy on write", flags(func(f uint64) uint64 { return f &^ ondisk.InodeNoDataCow }), "NODATACOW"},
		{"checksums", flags(func(f uint64) uint64 { return f &^ ondisk.InodeNoDataSum }), "NODATASUM"},
		{"compress flag", flags(func(f uint64) uint64 { return f | ondisk.InodeCompress }), "COMPRESS"},
		{"inline", extent(0, func(e *ondisk.FileExtent) { *e = ondisk.FileExtent{RAMBytes: 1, Inline: []byte("x")} }), "inline"},
		{"compressed", extent(4096, func(e *ondisk.FileExtent) { e.Compression = ondisk.CompressZstd }), "extent at 4096 is compressed"},
		{"explicit hole", extent(4096, func(e *ondisk.FileExtent) { e.DiskBytenr = 0 }), "hole at 4096"},
		{"hole between", extent(4096, func(e *ondisk.FileExtent) { e.NumBytes -= 4096 }), "hole at 8192"},
		{"offset of the first", extent(0, func(e *ondisk.FileExtent) { e.Offset = 4096 }), "begins 4096 bytes into"},
		{"no chunk", extent(4096, func(e *ondisk.FileExtent) { e.DiskBytenr = 1 << 40 }), "in no chunk"},
		{"two copies", extent(4096, func(e *ondisk.FileExtent) { e.DiskBytenr = dataAt }), "2 copies, expected profile single"},
		{"unaccounted", extent(12288, func(e *ondisk.FileExtent) { e.DiskBytenr += 4096 }), "has no EXTENT_ITEM"},
		{"own ref apart", ref(ondisk.TypeExtentDataRef, 1, ondisk.DataRef{Root: tree, ObjectID: ino}.Append(nil)), ""},
		{"ref of another file", ref(ondisk.TypeExtentDataRef, 1, ondisk.DataRef{Root: tree, ObjectID: ino + 1}.Append(nil)), "shared"},
		{"ref of another subvolume", ref(ondisk.TypeExtentDataRef, 1, ondisk.DataRef{Root: tree + 1, ObjectID: ino}.Append(nil)), "shared"},
		{"ref of a shared leaf", ref(ondisk.TypeSharedDataRef, 1<<20, []byte{1, 0, 0, 0}), "shared"},
		{"broken ref", ref(ondisk.TypeExtentDataRef, 1, nil), "extent data ref"},
		{"signature", func(_ *testing.T, im *testImage) { im.bytes[6<<20+8192+4086]++ }, "signature"},
		{"hibernated", func(_ *testing.T, im *testImage) { copy(im.bytes[6<<20+8192+4086:], "S1SUSPEND\x00") }, ""},
		{"header too long", func(_ *testing.T, im *testImage) { im.bytes[6<<20+8192+1028]++ }, "counts 5 pages, the file has 4"},
		{"snapshot", func(_ *testing.T, im *testImage) { im.lastSnapshot = testGen }, "tree block"},
		{"snapshot before", func(_ *testing.T, im *testImage) { im.lastSnapshot = testGen - 1 }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := sampleImage(t)
			test.edit(t, im)
			_, err := volume(t, openBytes(t, im.build()), "nested").SwapfileOffset("swap")
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("SwapfileOffset = %v; want %q", err, test.want)
			}
		})
	}
	t.Run("map without a header", func(t *testing.T) {
		im := sampleImage(t)
		clear(im.bytes[6<<20+8192:][:4096])
		s, err := volume(t, openBytes(t, im.build()), "nested").MapSwapfile("swap")
		if err != nil || s.Offset != (6<<20+8192)/4096 || s.Size != 16384 || s.Signature != "" {
			t.Errorf("MapSwapfile = %+v, %v; want the place of a swapfile without a header", s, err)
		}
	})
	t.Run("fragments", func(t *testing.T) {
		im := sampleImage(t)
		extent(12288, func(e *ondisk.FileExtent) { e.DiskBytenr += 4096 })(t, im)
		im.item(t, ondisk.ExtentTree, uint64(swapAt)+20480, ondisk.TypeExtentItem, 4096).Key.ObjectID += 4096
		s, err := volume(t, openBytes(t, im.build()), "nested").Swapfile("swap")
		if err != nil || s.Fragments != 2 {
			t.Errorf("Swapfile = %+v, %v; want two fragments", s, err)
		}
	})
}

// TestSpecialFiles opens what has no content.
func TestSpecialFiles(t *testing.T) {
	im := sampleImage(t)
	for i, mode := range []uint32{0o020600, 0o060600, 0o010600, 0o140600} {
		im.file(ondisk.FSTree, 256, uint64(400+i), "special"+string(rune('0'+i)), mode, 0, 0)
	}
	v := volume(t, openBytes(t, im.build()), "")
	for _, name := range []string{"special0", "special1", "special2", "special3", "dir"} {
		file, err := v.Open(name)
		if err != nil {
			t.Errorf("Open(%q): %v", name, err)
			continue
		}
		if info, err := file.Stat(); err != nil || info.Name() != name || info.Mode().IsRegular() {
			t.Errorf("Stat of %q: %v, %v", name, info, err)
		}
		if _, err := file.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Read of %q: %v; want an error with its name", name, err)
		}
		if err := file.Close(); err != nil {
			t.Errorf("Close of %q: %v", name, err)
		}
	}
	if _, err := v.ReadFile("special0"); err == nil {
		t.Error("ReadFile of a device succeeded")
	}
	if _, err := v.Extents("special0"); err == nil {
		t.Error("Extents of a device succeeded")
	}
	if nested := volume(t, openBytes(t, im.bytes), "/nested/"); nested.ID() != 256 {
		t.Errorf("ID() = %d; want 256", nested.ID())
	}
}
