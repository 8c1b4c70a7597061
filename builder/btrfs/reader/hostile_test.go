package reader_test

import (
	"io/fs"
	"math"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// all is the range of all keys.
func all(f *reader.FS, tree uint64) (items int, err error) {
	for _, err := range f.Items(tree, ondisk.Key{}, ondisk.Key{ObjectID: math.MaxUint64, Type: math.MaxUint8, Offset: math.MaxUint64}) {
		if err != nil {
			return items, err
		}
		items++
	}
	return items, nil
}

func TestItems(t *testing.T) {
	im := sampleImage(t)
	im.build()
	f := openBytes(t, im.bytes)
	for tree, want := range im.trees {
		items, err := all(f, tree)
		if err != nil || items != len(want) {
			t.Errorf("tree %d: %d items, %v; want %d", tree, items, err, len(want))
		}
		for i := range want {
			for item, err := range f.Items(tree, want[i].Key, want[i].Key) {
				if err != nil || item.Key != want[i].Key || string(item.Data) != string(want[i].Data) {
					t.Errorf("tree %d: %v, %v; want %v", tree, item.Key, err, want[i].Key)
				}
			}
		}
		for range f.Items(tree, want[0].Key, want[len(want)-1].Key) {
			break // must not call the body again
		}
	}
	if _, err := all(f, 999); err == nil {
		t.Error("Items of a tree that is not there succeeded")
	}
}

// TestTreeCircle lets a node point at itself and at its root: levels must stop
// the walk.
func TestTreeCircle(t *testing.T) {
	im := sampleImage(t)
	im.build()
	ref, err := openBytes(t, im.bytes).RootRef(ondisk.FSTree)
	if err != nil {
		t.Fatal(err)
	}
	im.change(ref.Bytenr, func(b []byte) {
		ptrs, err := ondisk.DecodeNode(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ptrs {
			ptrs[i].Block = ref.Bytenr
		}
		putNode(b, ptrs)
	})
	if _, err := all(openBytes(t, im.bytes), ondisk.FSTree); err == nil || !strings.Contains(err.Error(), "level 3, expected 2") {
		t.Errorf("walk of a circle: %v; want a wrong level", err)
	}
}

// TestTreeOverlap lets a leaf reach beyond the start of the next one.
func TestTreeOverlap(t *testing.T) {
	im := sampleImage(t)
	im.build()
	f := openBytes(t, im.bytes)
	ref, err := f.RootRef(ondisk.FSTree)
	if err != nil {
		t.Fatal(err)
	}
	for ref.Level > 0 {
		raw, header, err := f.ReadBlock(ref)
		if err != nil {
			t.Fatal(err)
		}
		ptrs, err := ondisk.DecodeNode(raw)
		if err != nil {
			t.Fatal(err)
		}
		ref = reader.ChildRef(ondisk.FSTree, header.Level, ptrs[0])
	}
	im.change(ref.Bytenr, func(b []byte) { b[ondisk.HeaderSize+ondisk.ItemHeaderSize+7] = 0xff })
	if _, err := all(openBytes(t, im.bytes), ondisk.FSTree); err == nil || !strings.Contains(err.Error(), "the next block starts at") {
		t.Errorf("walk of overlapping leaves: %v; want an error", err)
	}
}

// TestHostileNames has trees that only an attacker makes; every walk must end,
// and none may leave its folder.
func TestHostileNames(t *testing.T) {
	const top = ondisk.FSTree
	dir := func(ino uint64) ondisk.Key { return ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeItem} }
	subvol := func(id uint64) ondisk.Key { return ondisk.Key{ObjectID: id, Type: ondisk.TypeRootItem} }
	tests := []struct {
		name string
		edit func(im *testImage)
		path string // to look at
		want string
	}{
		{"directory in itself", func(im *testImage) { im.entry(top, 264, 400, "self", dir(264), ondisk.FileDir) }, "dir/self", "its INODE_REF says"},
		{"root in a directory", func(im *testImage) { im.entry(top, 264, 400, "up", dir(256), ondisk.FileDir) }, "dir/up", `name ".."`},
		{"directory with two names", func(im *testImage) {
			im.entry(top, 256, 400, "again", dir(264), ondisk.FileDir)
			im.add(top, 264, ondisk.TypeInodeRef, 257, ondisk.InodeRef{Name: "again"}.Append(nil))
		}, "again", "no name or several"},
		{"dot dot", func(im *testImage) { im.entry(top, 256, 400, "..", dir(257), ondisk.FileRegular) }, ".", `name ".."`},
		{"slash", func(im *testImage) { im.entry(top, 256, 400, "a/b", dir(257), ondisk.FileRegular) }, ".", `name "a/b"`},
		{"subvolume in itself", func(im *testImage) {
			im.entry(256, 256, 400, "self", subvol(256), ondisk.FileDir)
			im.add(ondisk.RootTree, 256, ondisk.TypeRootBackref, 256, ondisk.RootRef{DirID: 256, Sequence: 400, Name: "self"}.Append(nil))
		}, "nested", "several parents"},
		{"entry to a tree", func(im *testImage) { im.entry(top, 256, 400, "tree", subvol(ondisk.CsumTree), ondisk.FileDir) }, "tree", "points at tree 7"},
		{"entry to an item", func(im *testImage) {
			im.entry(top, 256, 400, "item", ondisk.Key{ObjectID: 257, Type: ondisk.TypeInodeRef}, ondisk.FileRegular)
		}, "item", "expected an inode or a subvolume"},
		{"entry to nowhere", func(im *testImage) { im.entry(top, 256, 400, "nowhere", dir(9999), ondisk.FileRegular) }, "nowhere", "no INODE_ITEM"},
		{"size", func(im *testImage) { im.file(top, 256, 400, "huge", regular, 1<<63, 0) }, "huge", "size 9223372036854775808"},
		{"symlink size", func(im *testImage) { im.file(top, 256, 400, "long", symlink, 4096, 0) }, "long", "symlink target of 4096 bytes"},
		{"symlink loop", func(im *testImage) {
			im.file(top, 256, 400, "loop", symlink, 4, 0)
			im.extent(top, 400, 0, ondisk.FileExtent{RAMBytes: 4, Inline: []byte("loop")})
		}, "loop", "too many levels"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := sampleImage(t)
			test.edit(im)
			f := openBytes(t, im.build())
			walkAll(t, f)
			v, err := f.VolumeByID(top)
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Stat(test.path)
			if err == nil {
				_, err = v.ReadDir(test.path)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q: %v; want %q", test.path, err, test.want)
			}
		})
	}
}

// TestSubvolumeCircle has two subvolumes that name each other as parent.
func TestSubvolumeCircle(t *testing.T) {
	im := sampleImage(t)
	for id, parent := range map[uint64]uint64{300: 301, 301: 300} {
		im.subvolume(id)
		im.add(ondisk.RootTree, id, ondisk.TypeRootBackref, parent, ondisk.RootRef{DirID: 256, Name: "circle"}.Append(nil))
	}
	if list, err := openBytes(t, im.build()).Subvolumes(); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("Subvolumes() = %v, %v; want a circle", list, err)
	}
}

// TestHostileExtents has one bad extent a file.
func TestHostileExtents(t *testing.T) {
	const sector = ondisk.SectorSize
	good := ondisk.FileExtent{Kind: ondisk.ExtentRegular, RAMBytes: sector, DiskBytenr: dataAt, DiskNumBytes: sector, NumBytes: sector}
	tests := []struct {
		name string
		at   uint64
		edit func(e *ondisk.FileExtent)
		want string
	}{
		{"good", 0, func(*ondisk.FileExtent) {}, ""},
		{"file offset", 1, func(*ondisk.FileExtent) {}, "not multiples"},
		{"length", 0, func(e *ondisk.FileExtent) { e.NumBytes = 1 }, "not multiples"},
		{"no length", 0, func(e *ondisk.FileExtent) { e.NumBytes = 0 }, "extent of 0 bytes"},
		{"wraps", 1<<63 - sector, func(*ondisk.FileExtent) {}, "extent of 4096 bytes at"},
		{"offset", 0, func(e *ondisk.FileExtent) { e.Offset = sector }, "4096 bytes from 4096"},
		{"offset wraps", 0, func(e *ondisk.FileExtent) { e.Offset = 1<<64 - sector }, "of an extent of 4096"},
		{"no chunk", 0, func(e *ondisk.FileExtent) { e.DiskBytenr = 1 << 40 }, "in no chunk"},
		{"beyond the chunk", 0, func(e *ondisk.FileExtent) { e.DiskBytenr, e.DiskNumBytes = dataAt+chunkSize-sector, 2*sector }, "left in the chunk"},
		{"compressed size", 0, func(e *ondisk.FileExtent) { e.Compression, e.RAMBytes = ondisk.CompressZstd, 1<<17+sector }, "compressed extent of"},
		{"stored size", 0, func(e *ondisk.FileExtent) { e.Compression, e.DiskNumBytes = ondisk.CompressZstd, 1<<17+sector }, "compressed extent of"},
		{"not zstd", 0, func(e *ondisk.FileExtent) { e.Compression = ondisk.CompressZstd }, "zstd"},
		{"not zlib", 0, func(e *ondisk.FileExtent) { e.Compression = ondisk.CompressZlib }, "zlib"},
		{"not lzo", 0, func(e *ondisk.FileExtent) { e.Compression = ondisk.CompressLZO }, "lzo"},
		{"inline later", sector, func(e *ondisk.FileExtent) { *e = ondisk.FileExtent{RAMBytes: 1, Inline: []byte("x")} }, "at the start of a file"},
		{"inline size", 0, func(e *ondisk.FileExtent) { *e = ondisk.FileExtent{RAMBytes: 2, Inline: []byte("x")} }, "1 bytes of data, expected 2"},
		{"inline huge", 0, func(e *ondisk.FileExtent) { *e = ondisk.FileExtent{RAMBytes: 1 << 40, Compression: 1} }, "inline extent of"},
		{"kind", 0, func(e *ondisk.FileExtent) { e.Kind = 3 }, "type 3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := sampleImage(t)
			e := good
			test.edit(&e)
			im.file(ondisk.FSTree, 256, 400, "file", regular, 1<<62, 0)
			im.extent(ondisk.FSTree, 400, test.at, e)
			v := volume(t, openBytes(t, im.build()), "")
			_, err := v.Extents("file")
			if err == nil {
				err = readAt(v, "file", int64(test.at))
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
			if _, err := v.ReadFile("file"); err == nil || !strings.Contains(err.Error(), "more than 1073741824") {
				t.Errorf("ReadFile of 2^62 bytes: %v; want a refusal", err)
			}
		})
	}
	t.Run("overlap", func(t *testing.T) {
		im := sampleImage(t)
		im.file(ondisk.FSTree, 256, 400, "file", regular, 4*sector, 0)
		long := good
		long.RAMBytes, long.DiskNumBytes, long.NumBytes = 2*sector, 2*sector, 2*sector
		im.extent(ondisk.FSTree, 400, 0, long)
		im.extent(ondisk.FSTree, 400, sector, good)
		v := volume(t, openBytes(t, im.build()), "")
		for _, read := range []func() error{
			func() error { _, err := v.Extents("file"); return err },
			func() error { _, err := v.ReadFile("file"); return err },
		} {
			if err := read(); err == nil || !strings.Contains(err.Error(), "overlaps") {
				t.Errorf("%v; want an overlap", err)
			}
		}
	})
}

func readAt(v *reader.Volume, name string, at int64) error {
	file, err := v.Open(name)
	if err != nil {
		return err
	}
	_, err = file.(*reader.File).ReadAt(make([]byte, 100), at)
	return err
}

// TestVolumeErrors asks for what is not there or is something else.
func TestVolumeErrors(t *testing.T) {
	f := openBytes(t, sampleImage(t).build())
	v := volume(t, f, "")
	for _, name := range []string{"", "/", "/dir", "dir/", "dir//below", "./dir", "dir/../inline", ".."} {
		if _, err := v.Lstat(name); err == nil || !strings.Contains(err.Error(), fs.ErrInvalid.Error()) {
			t.Errorf("Lstat(%q) = %v; want fs.ErrInvalid", name, err)
		}
	}
	for name, err := range map[string]error{
		"a file as directory": second(v.Stat("inline/x")),
		"list a file":         second(v.ReadDir("inline")),
		"read a directory":    second(v.ReadFile("dir")),
		"link of a file":      second(v.ReadLink("inline")),
		"long name":           second(v.Stat(strings.Repeat("n", 256))),
		"extents of a dir":    second(v.Extents("dir")),
		"xattrs of nothing":   second(v.Xattrs("absent")),
		"no such subvolume":   second(f.Subvolume("absent")),
		"no such id":          second(f.VolumeByID(257)),
		"not a subvolume":     second(f.VolumeByID(ondisk.RootTree)),
	} {
		if err == nil {
			t.Errorf("%s: succeeded", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }
