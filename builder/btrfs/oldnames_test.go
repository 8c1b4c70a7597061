package btrfs

import (
	"fmt"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// TestNumbersKept gives what an older volume has the same number and DIR_INDEX, and
// what is new others.
func TestNumbersKept(t *testing.T) {
	before, _ := writeImage(t, manyFiles(t, 1), Params{})
	p := Params{Places: placesOf(t, before)}
	after, _ := writeImage(t, manyFiles(t, 2), p)
	older, newer := numbersOf(t, before), numbersOf(t, after)
	used := map[uint64]string{}
	for name, n := range older {
		used[n.inode] = name
	}
	kept := 0
	for name, n := range newer {
		if o, there := older[name]; there {
			kept++
			if n != o {
				t.Errorf("%s is %v; want %v as before", name, n, o)
			}
		} else if other, taken := used[n.inode]; taken {
			t.Errorf("%s has the number of %s", name, other)
		}
	}
	if kept < len(newer)-3 || kept == len(newer) {
		t.Errorf("%d of %d names are in both", kept, len(newer))
	}
}

type numbers struct{ dir, inode, index uint64 }

// numbersOf returns the numbers of all entries of the top-level subvolume, by the name
// of the entry and the number of its directory.
func numbersOf(t *testing.T, image string) map[string]numbers {
	t.Helper()
	all := map[string]numbers{}
	for item, err := range openImage(t, image).Items(ondisk.FSTree, ondisk.Key{}, lastKey) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Key.Type == ondisk.TypeDirIndex {
			entries, err := ondisk.DecodeDirItems(item.Data)
			if err != nil {
				t.Fatal(err)
			}
			n := numbers{item.Key.ObjectID, entries[0].Location.ObjectID, item.Key.Offset}
			all[fmt.Sprintf("%d/%s", n.dir, entries[0].Name)] = n
		}
	}
	return all
}

// TestAddName keeps numbers up to the highest, and leaves out what is no number of an
// inode or of an entry.
func TestAddName(t *testing.T) {
	for _, tt := range []struct {
		dir, inode, index uint64
		ok                bool
	}{
		{ondisk.FirstFree, ondisk.FirstFree + 1, firstDirIndex, true},
		{ondisk.FirstFree + maxOld, ondisk.FirstFree + maxOld, maxOld, true},
		{ondisk.FirstFree + maxOld + 1, ondisk.FirstFree + 1, 2, false}, {ondisk.FirstFree, ondisk.FirstFree + maxOld + 1, 2, false},
		{ondisk.FirstFree, ondisk.FirstFree + 1, maxOld + 1, false}, {ondisk.FirstFree, ondisk.FirstFree + 1, firstDirIndex - 1, false},
		{ondisk.FirstFree - 1, ondisk.FirstFree + 1, 2, false}, {^uint64(0), ^uint64(0), ^uint64(0), false},
		{ondisk.FirstFree, 0, 2, true}, // a subvolume
	} {
		p := newPlaces(ondisk.CRC32C)
		p.addName(5, tt.dir, tt.inode, tt.index, "name")
		v := p.volume(5)
		e, ok := v.entry(uint32(tt.dir-ondisk.FirstFree), "name")
		if ok != tt.ok {
			t.Errorf("%+v: kept %v", tt, ok)
		}
		if ok && (inodeNumber(e.number) != max(tt.inode, ondisk.FirstFree) || v.nextIndex(uint32(tt.dir-ondisk.FirstFree)) != uint32(tt.index)+1 || v.next <= e.number) {
			t.Errorf("%+v: %+v, then %+v", tt, e, v)
		}
	}
}

// TestNumberTwice gives one older number to one inode only.
func TestNumberTwice(t *testing.T) {
	tree := fstree.New()
	for _, name := range []string{"a", "b", "c"} {
		addFile(t, tree, name, []byte(name))
	}
	p := newPlaces(ondisk.CRC32C)
	for i, name := range []string{"a", "b"} { // hard links of one inode
		p.addName(ondisk.FSTree, ondisk.FirstFree, ondisk.FirstFree+7, uint64(5-i), name)
	}
	v := &volume{root: node{real: tree.Root()}}
	v.number(p.volume(ondisk.FSTree))
	if want := []uint32{0, 7, 8, 9}; !slices.Equal(v.numbers, want) {
		t.Errorf("numbers %v; want %v", v.numbers, want)
	}
	if want := []entry{{7, 5}, {8, 4}, {9, 6}}; !slices.Equal(v.entries, want) {
		t.Errorf("entries %v; want %v", v.entries, want)
	}
}

// TestDirIndexItem refuses an item with another number of names than one: two entries of
// a directory would get one DIR_INDEX.
func TestDirIndexItem(t *testing.T) {
	var data []byte
	for n := range 3 {
		_, err := dirIndexEntry(ondisk.Item{Key: ondisk.Key{ObjectID: ondisk.FirstFree, Type: ondisk.TypeDirIndex, Offset: 2}, Data: data})
		if (err == nil) != (n == 1) {
			t.Errorf("%d names: %v", n, err)
		}
		entry := ondisk.DirItem{Type: ondisk.FileDir, Name: "name"}
		data = entry.Append(data)
	}
}
