package identity

import (
	"bytes"
	"cmp"
	"hash/crc32"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// The item of an interrupted balance, in the root tree: a mount would go on
// with it.
const (
	balanceObject uint64      = ^uint64(0) - 3
	temporaryItem ondisk.Type = 248
)

// root is a root item.
type root struct {
	id   uint64
	item ondisk.RootItem
}

// walkTrees visits every tree block that the superblock leads to.
func (p *preparation) walkTrees() error {
	for _, id := range []uint64{ondisk.ChunkTree, ondisk.RootTree} {
		ref, err := p.fs.RootRef(id)
		if err != nil {
			return err
		}
		if err := p.visit(id, ref); err != nil {
			return err
		}
	}
	if p.devices != 1 {
		return refuse(hintDamaged, "chunk tree: %d device items, expected one", p.devices)
	}
	for _, r := range p.roots {
		if err := p.visit(r.id, reader.BlockRef{Bytenr: r.item.Bytenr, Generation: r.item.Generation, Level: r.item.Level, Owner: r.id}); err != nil {
			return err
		}
	}
	return nil
}

// visit takes a block of a tree and all below it, once each. A walk ends where
// pointers form a circle too: levels descend.
func (p *preparation) visit(tree uint64, ref reader.BlockRef) error {
	raw, header, err := p.fs.ReadBlock(ref)
	if err != nil {
		return refuse(hintDamaged, "tree %d: %w", tree, err)
	}
	if _, again := p.visited[ref.Bytenr]; again {
		p.visited[ref.Bytenr] = true
		return nil
	}
	p.visited[ref.Bytenr] = false
	if header.Level == 0 {
		if err := p.leaf(tree, raw, ref.Bytenr); err != nil {
			return refuse(cmp.Or(fault.HintOf(err), hintDamaged), "tree %d: %w", tree, err)
		}
		return p.take(raw, ref.Bytenr)
	}
	if err := p.take(raw, ref.Bytenr); err != nil {
		return err
	}
	ptrs, err := ondisk.DecodeNode(raw)
	if err != nil {
		return refuse(hintDamaged, "tree %d: tree block %d: %w", tree, ref.Bytenr, err)
	}
	for _, ptr := range ptrs {
		if err := p.visit(tree, reader.ChildRef(tree, header.Level, ptr)); err != nil {
			return err
		}
	}
	return nil
}

// take notes a tree block with its patches: what its pages are, by which Apply
// knows them, and what its checksum becomes.
func (p *preparation) take(raw []byte, at ondisk.Logical) error {
	w := p.out
	if at%ondisk.SectorSize != 0 {
		return refuse(hintDamaged, "tree block %d: expected at a multiple of %d", at, ondisk.SectorSize)
	}
	copies, err := p.fs.Copies(at, int64(len(raw)))
	if err != nil {
		return refuse(hintDamaged, "tree block: %w", err)
	}
	if w.areaOf(int64(copies[0])) == nil {
		return refuse(hintDamaged, "tree block %d: in a chunk of data", at)
	}
	n := node{at: at, pages: len(w.sums)}
	for from := 0; from < len(raw); from += ondisk.SectorSize {
		w.sums = append(w.sums, crc32.Checksum(raw[from:from+ondisk.SectorSize], castagnoli))
	}
	copy(p.scratch, raw)
	w.putHeader(p.scratch, 0)
	for _, patch := range w.patches[at] {
		patch.put(p.scratch, 0)
	}
	n.sum = crc32.Checksum(p.scratch[ondisk.ChecksumSize:], castagnoli)
	w.nodes = append(w.nodes, n)
	return nil
}

// leaf finds what changes in the items of a leaf, and what must be known of
// them. Leaves in which there is neither are not decoded.
func (p *preparation) leaf(tree uint64, raw []byte, at ondisk.Logical) error {
	var visit func(item ondisk.Item, from int) ([]patch, error)
	switch {
	case tree == ondisk.ChunkTree:
		visit = p.chunkItem
	case tree == ondisk.DevTree:
		visit = p.devItem
	case tree == ondisk.RootTree:
		visit = p.rootItem
	case ondisk.IsSubvolume(tree) && len(p.owners) > 0:
		visit = func(item ondisk.Item, _ int) ([]patch, error) { return nil, p.checkOwner(tree, item) }
	default:
		return nil
	}
	items, err := ondisk.DecodeLeaf(raw)
	if err != nil {
		return err
	}
	from := len(raw)
	for _, item := range items {
		from -= len(item.Data)
		patches, err := visit(item, from)
		if err != nil {
			return err
		}
		if len(patches) > 0 {
			p.out.patches[at] = append(p.out.patches[at], patches...)
		}
	}
	if tree == ondisk.ChunkTree || tree == ondisk.DevTree {
		p.clearSlack(raw, at, ondisk.HeaderSize+len(items)*ondisk.ItemHeaderSize, from)
	}
	return nil
}

// clearSlack clears what mkfs.btrfs leaves of removed items between the headers
// and the data of those that are in a leaf; the kernel clears it itself.
func (p *preparation) clearSlack(raw []byte, at ondisk.Logical, from, to int) {
	zeros := make([]byte, to-from)
	if !bytes.Equal(raw[from:to], zeros) {
		p.out.patches[at] = append(p.out.patches[at], patch{from, zeros})
	}
}

// chunkItem gives the device and the stripes on it their new UUID. from is
// where the item's data starts in the leaf.
func (p *preparation) chunkItem(item ondisk.Item, from int) ([]patch, error) {
	switch item.Key.Type {
	case ondisk.TypeDevItem:
		d, err := ondisk.DecodeDevItem(item.Data)
		if err != nil {
			return nil, err
		}
		if s := p.super.DevItem; d.DevID != s.DevID || d.UUID != s.UUID || d.FSID != s.FSID {
			return nil, refuse(hintDamaged, "device %d, UUID %x, of file system %x, expected %d, %x and %x", d.DevID, d.UUID, d.FSID, s.DevID, s.UUID, s.FSID)
		}
		p.devices++
		return []patch{{from + devItemUUID, p.new.DeviceUUID[:]}, {from + devItemFSID, p.new.FSID[:]}}, nil
	case ondisk.TypeChunkItem:
		c, _, err := ondisk.DecodeChunk(item.Data)
		if err != nil {
			return nil, err
		}
		var patches []patch
		for i := range c.Stripes {
			patches = append(patches, patch{from + chunkStripes + i*stripeSize + stripeUUID, p.new.DeviceUUID[:]})
		}
		return patches, nil
	}
	return nil, nil
}

// devItem gives a device extent the new UUID of the chunk tree. Some kernels
// leave it zero: then it stays so.
func (p *preparation) devItem(item ondisk.Item, from int) ([]patch, error) {
	if item.Key.Type != ondisk.TypeDevExtent {
		return nil, nil
	}
	d, err := ondisk.DecodeDevExtent(item.Data)
	if err != nil || d.ChunkUUID == [ondisk.UUIDSize]byte{} {
		return nil, err
	}
	return []patch{{from + devExtentChunk, p.new.ChunkTreeUUID[:]}}, nil
}

// rootItem notes a tree, and refuses those of work that a mount would go on
// with: what they refer to may be freed already.
func (p *preparation) rootItem(item ondisk.Item, _ int) ([]patch, error) {
	id := item.Key.ObjectID
	if id == balanceObject && item.Key.Type == temporaryItem {
		return nil, refuse("mount it, and wait for or cancel: btrfs balance status", "a balance was interrupted")
	}
	if item.Key.Type != ondisk.TypeRootItem {
		return nil, nil
	}
	r, err := ondisk.DecodeRootItem(item.Data)
	switch {
	case err != nil:
		return nil, err
	case id == ondisk.TreeReloc || id == ondisk.TreeLog:
		return nil, refuse(hintUnclean, "tree %d is there: a balance or a log was interrupted", int64(id))
	case ondisk.IsSubvolume(id) && r.Refs == 0:
		return nil, refuse("mount it and wait for: btrfs subvolume sync", "subvolume %d is being deleted", id)
	case r.Level >= ondisk.MaxLevel:
		return nil, refuse(hintDamaged, "tree %d: root of level %d, expected less than %d", id, r.Level, ondisk.MaxLevel)
	}
	p.roots = append(p.roots, root{id, r})
	return nil, nil
}

// checkOwner refuses that a file refers to an extent that is changed for
// another one.
func (p *preparation) checkOwner(tree uint64, item ondisk.Item) error {
	if item.Key.Type != ondisk.TypeExtentData {
		return nil
	}
	e, err := ondisk.DecodeFileExtent(item.Data)
	if err != nil || e.Kind == ondisk.ExtentInline {
		return err
	}
	if o, changed := p.owners[e.DiskBytenr]; changed && (o.tree != tree || o.ino != item.Key.ObjectID) {
		return errShared(o.path)
	}
	return nil
}
