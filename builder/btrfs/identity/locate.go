package identity

import (
	"encoding/binary"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// spot is where an item stands.
type spot struct {
	item ondisk.Item
	leaf ondisk.Logical
	from int              // of its data in the leaf
	way  []ondisk.Logical // from the root to the leaf
}

// locate finds the item of a tree with the highest key that is not above key.
func (p *preparation) locate(tree uint64, key ondisk.Key) (*spot, error) {
	ref, err := p.fs.RootRef(tree)
	if err != nil {
		return nil, err
	}
	s := &spot{}
	for {
		raw, header, err := p.fs.ReadBlock(ref)
		if err != nil {
			return nil, err
		}
		s.way = append(s.way, ref.Bytenr)
		if header.Level == 0 {
			s.leaf = ref.Bytenr
			return s, s.find(raw, key)
		}
		ptrs, err := ondisk.DecodeNode(raw)
		if err != nil {
			return nil, refuse(hintDamaged, "tree block %d: %w", ref.Bytenr, err)
		}
		behind := sort.Search(len(ptrs), func(i int) bool { return ptrs[i].Key.Compare(key) > 0 })
		ref = reader.ChildRef(tree, header.Level, ptrs[max(behind-1, 0)])
	}
}

// find sets the item and its place in a leaf.
func (s *spot) find(raw []byte, key ondisk.Key) error {
	items, err := ondisk.DecodeLeaf(raw)
	if err != nil {
		return refuse(hintDamaged, "tree block %d: %w", s.leaf, err)
	}
	from, found := len(raw), false
	for _, item := range items {
		if item.Key.Compare(key) > 0 {
			break
		}
		// Item data is packed from the end of the leaf, in the order of the items.
		from -= len(item.Data)
		s.item, s.from, found = item, from, true
	}
	if !found {
		return refuse(hintDamaged, "tree block %d: no item up to %v", s.leaf, key)
	}
	return nil
}

// patchLeaf replaces bytes of an item's data.
func (p *preparation) patchLeaf(s *spot, at int, data []byte) {
	p.out.patches[s.leaf] = append(p.out.patches[s.leaf], patch{s.from + at, data})
}

// editSum replaces the checksum of the sector at l.
func (p *preparation) editSum(l ondisk.Logical, old, sum uint32) error {
	const size = 4 // of a crc32c
	s, err := p.locate(ondisk.CsumTree, ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum, Offset: uint64(l)})
	if err != nil {
		return err
	}
	at := (uint64(l) - s.item.Key.Offset) / ondisk.SectorSize * size
	switch {
	case s.item.Key.ObjectID != ondisk.ExtentCsum || s.item.Key.Type != ondisk.TypeExtentCsum ||
		s.item.Key.Offset%ondisk.SectorSize != 0 || at+size > uint64(len(s.item.Data)):
		return refuse(hintDamaged, "file data at logical %d: there is no checksum", l)
	case binary.LittleEndian.Uint32(s.item.Data[at:]) != old:
		return refuse(hintDamaged, "file data at logical %d: wrong checksum", l)
	}
	p.patchLeaf(s, int(at), binary.LittleEndian.AppendUint32(nil, sum))
	return nil
}
