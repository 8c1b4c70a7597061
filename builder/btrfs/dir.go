package btrfs

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// dirEntry is one entry of the directory being written.
type dirEntry struct {
	name  string
	hash  uint64
	index uint64 // DIR_INDEX
	kind  ondisk.FileType
	at    ondisk.Key // inode or subvolume
}

func (e *dirEntry) append(b []byte) []byte {
	item := ondisk.DirItem{Location: e.at, Transid: generation, Type: e.kind, Name: e.name}
	return item.Append(b)
}

// collectChildren lists the entries of the directory at an index of vol.order by
// their DIR_INDEX.
func (v *volumeWriter) collectChildren(index uint32) []dirEntry {
	list, entries := v.children[:0], v.vol.entries[v.vol.children[index]:]
	for c := range v.vol.order[index].children() {
		e := dirEntry{name: c.name(), index: uint64(entries[0].index), kind: ondisk.FileTypeOf(c.inode().Mode)}
		e.hash = ondisk.NameHash(e.name)
		e.at = ondisk.Key{ObjectID: inodeNumber(entries[0].number), Type: ondisk.TypeInodeItem}
		if sub := c.subvolume(); sub != nil {
			e.at = ondisk.Key{ObjectID: sub.id, Type: ondisk.TypeRootItem}
		}
		list, entries = append(list, e), entries[1:]
	}
	slices.SortFunc(list, func(a, b dirEntry) int { return cmp.Compare(a.index, b.index) })
	v.children = list
	return list
}

// writeChildren emits a directory's entries twice: by the hash of their names
// for look-up, and by index for reading in order.
func (v *volumeWriter) writeChildren(ino uint64, dir node, list []dirEntry) error {
	byHash := append(v.byHash[:0], list...)
	v.byHash = byHash
	slices.SortStableFunc(byHash, func(a, b dirEntry) int { return cmp.Compare(a.hash, b.hash) })
	for len(byHash) > 0 {
		first, data := byHash[0], v.buf[:0]
		for ; len(byHash) > 0 && byHash[0].hash == first.hash; byHash = byHash[1:] {
			data = byHash[0].append(data)
		}
		v.buf = data
		if len(data) > maxItem {
			return fault.New(fault.Input, "rename some of them", "%s: entries whose names have the hash of %q need %d bytes together, expected at most %d",
				dir.path(), first.name, len(data), maxItem)
		}
		if err := v.emit(ino, ondisk.TypeDirItem, first.hash, data); err != nil {
			return err
		}
	}
	for i := range list {
		v.buf = list[i].append(v.buf[:0])
		if err := v.emit(ino, ondisk.TypeDirIndex, list[i].index, v.buf); err != nil {
			return err
		}
	}
	return nil
}
