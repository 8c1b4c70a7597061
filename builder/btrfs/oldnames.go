package btrfs

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// oldVolume says which numbers the inodes of an older subvolume have.
type oldVolume struct {
	entries map[oldName]entry
	indexes map[uint32]uint32 // of each directory, behind all that are in use
	next    uint32            // behind all numbers in use
}

// oldName is a name in the directory with a number, counted from FirstFree.
type oldName struct {
	dir  uint32
	name string
}

// maxOld is the highest number, and the highest DIR_INDEX, that is kept. The rest up
// to the end of uint32 is for what is new.
const maxOld = math.MaxInt32

// addName adds an entry of a directory of a subvolume, at a DIR_INDEX. That of an inode
// has its number, that of a subvolume 0. One that is out of reach is left out.
func (p *Places) addName(volume, dir, inode, index uint64, name string) {
	v := p.volumes[volume]
	if v == nil {
		v = &oldVolume{entries: map[oldName]entry{}, indexes: map[uint32]uint32{}, next: 1}
		p.volumes[volume] = v
	}
	counted := func(number uint64) (uint32, bool) {
		number -= ondisk.FirstFree
		return uint32(number), number <= maxOld
	}
	parent, ok := counted(dir)
	number, inReach := counted(max(inode, ondisk.FirstFree))
	if !ok || !inReach || index < firstDirIndex || index > maxOld {
		return
	}
	v.entries[oldName{parent, name}] = entry{number, uint32(index)}
	v.indexes[parent] = max(v.indexes[parent], uint32(index)+1)
	v.next = max(v.next, number+1)
	sum := sha256.Sum256([]byte(name))
	p.note(volume, dir, inode, index, binary.LittleEndian.Uint64(sum[:]))
}

// entry returns what an older directory has under a name.
func (v *oldVolume) entry(dir uint32, name string) (entry, bool) {
	if v == nil {
		return entry{}, false
	}
	e, ok := v.entries[oldName{dir, name}]
	return e, ok
}

// nextIndex returns the DIR_INDEX behind all that an older directory has.
func (v *oldVolume) nextIndex(dir uint32) uint32 {
	if v == nil {
		return firstDirIndex
	}
	return max(v.indexes[dir], firstDirIndex)
}

// volume returns the numbers of a subvolume, or nil where there are none.
func (p *Places) volume(id uint64) *oldVolume {
	if p == nil {
		return nil
	}
	return p.volumes[id]
}

// addNames adds the names in all subvolumes but snapshots, whose names are those of
// their origins.
func (p *Places) addNames(f *reader.FS) error {
	for item, err := range f.Items(ondisk.RootTree, ondisk.Key{}, lastKey) {
		if err != nil {
			return err
		}
		if item.Key.Type != ondisk.TypeRootItem || !ondisk.IsSubvolume(item.Key.ObjectID) {
			continue
		}
		root, err := ondisk.DecodeRootItem(item.Data)
		if err != nil {
			return fault.New(fault.Input, hintCheck, "subvolume %d: %w", item.Key.ObjectID, err)
		}
		if root.Refs == 0 || root.ParentUUID != (ids.UUID{}) { // it is being deleted, or a snapshot
			continue
		}
		if err := p.addNamesOf(f, item.Key.ObjectID); err != nil {
			return err
		}
	}
	return nil
}

func (p *Places) addNamesOf(f *reader.FS, volume uint64) error {
	for item, err := range f.Items(volume, ondisk.Key{}, lastKey) {
		if err != nil {
			return err
		}
		if item.Key.Type != ondisk.TypeDirIndex {
			continue
		}
		e, err := dirIndexEntry(item)
		if err != nil {
			return fault.New(fault.Input, hintCheck, "subvolume %d, %v: %w", volume, item.Key, err)
		}
		inode := uint64(0)
		if e.Location.Type == ondisk.TypeInodeItem {
			inode = e.Location.ObjectID
		}
		p.addName(volume, item.Key.ObjectID, inode, item.Key.Offset, e.Name)
	}
	return nil
}

// dirIndexEntry returns the entry of a DIR_INDEX item, which has one.
func dirIndexEntry(item ondisk.Item) (ondisk.DirItem, error) {
	entries, err := ondisk.DecodeDirItems(item.Data)
	if err == nil && len(entries) != 1 {
		err = fmt.Errorf("%d entries, expected one", len(entries))
	}
	if err != nil {
		return ondisk.DirItem{}, err
	}
	return entries[0], nil
}

// lastKey is behind all items of a tree.
var lastKey = ondisk.Key{ObjectID: math.MaxUint64, Type: math.MaxUint8, Offset: math.MaxUint64}
