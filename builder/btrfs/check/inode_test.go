package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// inodeItems returns the items of a regular file in the DATA_RELOC tree, which
// has no paths, so that problems can be named without a file system.
func inodeItems(size, nbytes, flags uint64, nlink uint32, extents ...ondisk.Item) []ondisk.Item {
	i := ondisk.InodeItem{Size: size, Nbytes: nbytes, Flags: flags, Nlink: nlink, Mode: 0o100644}
	return append([]ondisk.Item{{Key: key(257, ondisk.TypeInodeItem, 0), Data: i.Append(nil)}}, extents...)
}

func extentAt(offset uint64, edit func(*ondisk.FileExtent)) ondisk.Item {
	return ondisk.Item{Key: key(257, ondisk.TypeExtentData, offset), Data: stored(edit)}
}

func TestInodes(t *testing.T) {
	plain := func(*ondisk.FileExtent) {}
	hole := func(e *ondisk.FileExtent) { e.DiskBytenr, e.DiskNumBytes = 0, 0 }
	prealloc := func(e *ondisk.FileExtent) { e.Kind = ondisk.ExtentPrealloc }
	zstd := func(e *ondisk.FileExtent) { e.Compression = ondisk.CompressZstd }
	orphan := ondisk.Item{Key: key(orphanObjectID, ondisk.TypeOrphanItem, 257)}
	for _, c := range []struct {
		name    string
		noHoles bool
		items   []ondisk.Item
		want    string
	}{
		{"two extents", false, inodeItems(16384, 16384, 0, 1, extentAt(0, plain), extentAt(8192, plain)), ""},
		{"overlap by a sector", false, inodeItems(12288, 16384, 0, 1, extentAt(0, plain), extentAt(4096, plain)), "overlaps the extent before"},
		{"gap", false, inodeItems(20480, 16384, 0, 1, extentAt(0, plain), extentAt(12288, plain)), "no extent at file offset 8192"},
		{"gap with NO_HOLES", true, inodeItems(20480, 16384, 0, 1, extentAt(0, plain), extentAt(12288, plain)), ""},
		{"explicit hole", false, inodeItems(16384, 8192, 0, 1, extentAt(0, hole), extentAt(8192, plain)), ""},
		{"end missing", false, inodeItems(8193, 8192, 0, 1, extentAt(0, plain)), "no extent at file offset 8192"},
		{"end exact", false, inodeItems(8192, 8192, 0, 1, extentAt(0, plain)), ""},
		{"gap behind the end", false, inodeItems(8192, 16384, 0, 1, extentAt(0, plain), extentAt(16384, prealloc)), ""},
		{"nbytes", true, inodeItems(8192, 4096, 0, 1, extentAt(0, plain)), "nbytes 4096, its extents add up to 8192"},
		{"compressed without checksums", true, inodeItems(8192, 8192, ondisk.InodeNoDataSum, 1, extentAt(0, zstd)), "compressed, though its inode has the flag NODATASUM"},
		{"orphan", true, append(inodeItems(8192, 0, 0, 0), orphan), ""},
		{"orphan without item", true, inodeItems(8192, 0, 0, 0), "has no name and no ORPHAN_ITEM"},
		{"no inode item", true, inodeItems(8192, 8192, 0, 1, extentAt(0, plain))[1:], "has items, but no INODE_ITEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := testChecker()
			if c.noHoles {
				k.super.IncompatFlags = ondisk.IncompatNoHoles
			}
			tr := &tree{id: ondisk.DataRelocTree}
			s := &subvolume{c: k, tree: tr, rooted: true}
			root := ondisk.InodeItem{Nlink: 1, Mode: 0o40755}
			items := []ondisk.Item{{Key: key(256, ondisk.TypeInodeItem, 0), Data: root.Append(nil)}}
			if len(c.items) > 0 && c.items[0].Key.Type == ondisk.TypeInodeItem && c.items[0].Data[40] == 1 {
				root.Size = 2
				items[0].Data = root.Append(nil)
				at := key(257, ondisk.TypeInodeItem, 0)
				items = append(items,
					ondisk.Item{Key: key(256, ondisk.TypeDirItem, ondisk.NameHash("x")), Data: named("x", 1, at)},
					ondisk.Item{Key: key(256, ondisk.TypeDirIndex, 2), Data: named("x", 1, at)},
					c.items[0],
					ondisk.Item{Key: key(257, ondisk.TypeInodeRef, 256), Data: ondisk.InodeRef{Index: 2, Name: "x"}.Append(nil)})
				items = append(items, c.items[1:]...)
			} else {
				items = append(items, c.items...)
			}
			s.leaf(&leaf{tree: tr, fresh: true, items: items})
			s.finishInode()
			s.compareNames()
			got := fmt.Sprint(k.log.report.Problems)
			if c.want == "" && k.log.report.Found != 0 || !strings.Contains(got, c.want) {
				t.Errorf("problems: %s; want %q", got, c.want)
			}
		})
	}
}

// TestPartialInode checks that an inode of which a block could not be read is
// not reported for what is missing, and that the ones after it are checked.
func TestPartialInode(t *testing.T) {
	k := testChecker()
	k.super.IncompatFlags = ondisk.IncompatNoHoles
	tr := &tree{id: ondisk.DataRelocTree}
	s := &subvolume{c: k, tree: tr}
	s.leaf(&leaf{tree: tr, fresh: true, items: inodeItems(8192, 8192, 0, 1)})
	tr.breaks++
	other := inodeItems(8192, 4096, 0, 1, extentAt(0, func(*ondisk.FileExtent) {}))
	for i := range other {
		other[i].Key.ObjectID = 300
	}
	rest := append([]ondisk.Item{{Key: key(299, ondisk.TypeExtentData, 4096), Data: stored(func(*ondisk.FileExtent) {})}}, other...)
	s.leaf(&leaf{tree: tr, fresh: true, items: rest})
	s.noteBreak()
	s.finishInode()
	if got := fmt.Sprint(k.log.report.Problems); k.log.report.Found != 1 || !strings.Contains(got, "inode 300") {
		t.Errorf("problems: %s; want one about inode 300", got)
	}
}
