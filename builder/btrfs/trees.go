package btrfs

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// treeRoot is a finished tree.
type treeRoot struct {
	id     uint64
	root   ondisk.RootPointer
	blocks uint64
}

// item is an item of one of the small trees.
type item struct {
	key  ondisk.Key
	data []byte
}

// finishTree stores the rest of a tree and remembers its root.
func (w *writer) finishTree(l *loader, t treeRoot) error {
	var err error
	if t.root, err = l.finish(); err != nil {
		return err
	}
	t.blocks = l.blocks
	w.trees = append(w.trees, t)
	return nil
}

// load builds a tree from a list of items in any order.
func load(l *loader, items []item) error {
	slices.SortFunc(items, func(a, b item) int { return a.key.Compare(b.key) })
	for _, i := range items {
		if err := l.add(i.key, i.data); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) writeSmallTree(id uint64, items []item) error {
	l := w.newLoader(w.meta, id)
	if err := load(l, items); err != nil {
		return err
	}
	return w.finishTree(l, treeRoot{id: id})
}

// allVolumes returns subvolumes and snapshots by id.
func (w *writer) allVolumes() []*volume {
	return slices.Concat(w.plan.volumes, w.plan.snapshots)
}

// writeUUIDTree writes the tree that finds a subvolume by its UUID.
func (w *writer) writeUUIDTree() error {
	var items []item
	for _, v := range w.allVolumes() {
		items = append(items, item{ondisk.UUIDKey(v.uuid, ondisk.TypeUUIDSubvol), binary.LittleEndian.AppendUint64(nil, v.id)})
	}
	return w.writeSmallTree(ondisk.UUIDTree, items)
}

// writeDataRelocTree writes the tree that balance uses. It looks like an empty
// subvolume; without it the kernel does not mount.
func (w *writer) writeDataRelocTree() error {
	root := ondisk.InodeItem{Generation: generation, Nlink: 1, Mode: fstree.TypeDir | 0o755,
		Atime: w.created, Ctime: w.created, Mtime: w.created, Otime: w.created}
	return w.writeSmallTree(ondisk.DataRelocTree, []item{
		{ondisk.Key{ObjectID: ondisk.FirstFree, Type: ondisk.TypeInodeItem}, root.Append(nil)},
		{ondisk.Key{ObjectID: ondisk.FirstFree, Type: ondisk.TypeInodeRef, Offset: ondisk.FirstFree}, ondisk.InodeRef{Name: ".."}.Append(nil)},
	})
}

// closeSpace makes the last chunk: from here on all chunks and the size of the
// device are known.
func (w *writer) closeSpace() error {
	bound := w.boundOfLastTrees()
	// A half of the bound is the plain sum, which blocks without a place do not exceed:
	// each seam that leaves one short has a place.
	placed := uint64(w.params.Places.blocks(w.space.flags(ondisk.GroupMetadata), lastTreeIDs...)) * ondisk.NodeSize
	w.result.Size = w.space.freeze(bound, min(placed, bound/2))
	if free := w.params.Free; free > 0 && w.out.limit == 0 {
		// Partitions are aligned to so much, and a file system that fills its
		// partition leaves no doubt about who owns the rest.
		const align = 1 << 20
		w.result.Size = int64(roundUp(uint64(w.result.Size+free), align))
	}
	return nil
}

// boundOfLastTrees returns more bytes than the trees need that are not yet
// written, if they are packed. Leaves may stay almost a whole item empty, and their own
// blocks are listed in the extent tree too, so twice the plain sum is taken.
func (w *writer) boundOfLastTrees() uint64 {
	const (
		metadataItem = ondisk.ItemHeaderSize + ondisk.ExtentItemSize + ondisk.InlineBlockRefSize
		dataItem     = ondisk.ItemHeaderSize + ondisk.ExtentItemSize + ondisk.InlineDataRefSize
		freeItem     = ondisk.ItemHeaderSize // of a gap before an extent or a block, where there is an older file system
		keyedRef     = ondisk.ItemHeaderSize + ondisk.ExtentDataRefSize
		chunkItems   = 1 << 10 // dev extents, block group, free space of a chunk
		volumeItems  = 2 << 10 // root item and root references of a subvolume
		fewBlocks    = 64      // a block and some levels for every tree
	)
	snapshots := uint64(len(w.plan.snapshots))
	refs := uint64(len(w.extents.list)+len(w.extents.more)) * snapshots
	sum := uint64(len(w.extents.list))*(dataItem+freeItem) + (uint64(len(w.extents.more))+refs)*keyedRef +
		uint64(len(w.meta.list))*(metadataItem+freeItem) + uint64(len(w.space.chunks))*chunkItems +
		uint64(len(w.allVolumes()))*volumeItems
	return roundUp(2*sum, ondisk.NodeSize) + fewBlocks*ondisk.NodeSize
}

// writeDevTree writes the device's view of the chunks.
func (w *writer) writeDevTree() error {
	stats := make([]byte, 5*8) // no errors seen yet
	items := []item{{ondisk.Key{ObjectID: ondisk.DevStats, Type: ondisk.TypePersistentItem, Offset: deviceID}, stats}}
	for _, c := range w.space.chunks {
		for _, p := range c.physical {
			e := ondisk.DevExtent{ChunkTree: ondisk.ChunkTree, ChunkObjectID: ondisk.FirstChunkTree,
				ChunkOffset: c.logical, Length: c.length, ChunkUUID: w.header.ChunkUUID}
			items = append(items, item{ondisk.Key{ObjectID: deviceID, Type: ondisk.TypeDevExtent, Offset: uint64(p)}, e.Append(nil)})
		}
	}
	return w.writeSmallTree(ondisk.DevTree, items)
}

// deviceID is the number of the only device.
const deviceID = 1

// totalBytes is the size that the file system will have.
func (w *writer) totalBytes() uint64 { return uint64(max(w.result.Size, w.out.limit)) }

func (w *writer) deviceItem() ondisk.DevItem {
	var used uint64
	for _, c := range w.space.chunks {
		used += c.length * uint64(len(c.physical))
	}
	return ondisk.DevItem{DevID: deviceID, TotalBytes: w.totalBytes(), BytesUsed: used, IOAlign: ondisk.SectorSize,
		IOWidth: ondisk.SectorSize, SectorSize: ondisk.SectorSize, UUID: w.device, FSID: w.result.FSID}
}

func (w *writer) chunkItem(c *chunk) (ondisk.Key, ondisk.Chunk) {
	item := ondisk.Chunk{Length: c.length, Owner: ondisk.ExtentTree, StripeLen: ondisk.StripeLen, Type: c.flags,
		IOAlign: ondisk.StripeLen, IOWidth: ondisk.StripeLen, SectorSize: ondisk.SectorSize, SubStripes: 1}
	for _, p := range c.physical {
		item.Stripes = append(item.Stripes, ondisk.Stripe{DevID: deviceID, Offset: p, DevUUID: w.device})
	}
	return ondisk.Key{ObjectID: ondisk.FirstChunkTree, Type: ondisk.TypeChunkItem, Offset: uint64(c.logical)}, item
}

// writeChunkTree writes the map from logical to physical addresses.
func (w *writer) writeChunkTree() error {
	dev := w.deviceItem()
	items := []item{{ondisk.Key{ObjectID: ondisk.DevItems, Type: ondisk.TypeDevItem, Offset: deviceID}, dev.Append(nil)}}
	for _, c := range w.space.chunks {
		key, chunk := w.chunkItem(c)
		items = append(items, item{key, chunk.Append(nil)})
	}
	l := newLoader(w.system, ondisk.ChunkTree, w.header, nil)
	if err := load(l, items); err != nil {
		return err
	}
	if err := w.finishTree(l, treeRoot{id: ondisk.ChunkTree}); err != nil {
		return err
	}
	return w.system.run.flush()
}

// tree returns a tree by its id. One that is not finished yet has no root.
func (w *writer) tree(id uint64) treeRoot {
	i := slices.IndexFunc(w.trees, func(t treeRoot) bool { return t.id == id })
	if i < 0 {
		return treeRoot{id: id}
	}
	return w.trees[i]
}

// blockGroups returns the block group items.
func (w *writer) blockGroups() []item {
	var items []item
	for _, c := range w.space.chunks {
		g := ondisk.BlockGroupItem{Used: c.used, ChunkObjectID: ondisk.FirstChunkTree, Flags: c.flags}
		items = append(items, item{ondisk.Key{ObjectID: uint64(c.logical), Type: ondisk.TypeBlockGroupItem, Offset: c.length}, g.Append(nil)})
	}
	return items
}

// freeSpace returns the items of the free space tree: all is free that no extent and
// no tree block holds.
func (w *writer) freeSpace() []item {
	var items []item
	extents, blocks := w.extents.list, w.allBlocks()
	for _, c := range w.space.chunks {
		info := ondisk.FreeSpaceInfo{}
		free := func(start, end ondisk.Logical) {
			if start < end {
				info.ExtentCount++
				items = append(items, item{key: ondisk.Key{ObjectID: uint64(start), Type: ondisk.TypeFreeSpaceExtent, Offset: uint64(end - start)}})
			}
		}
		next, end := c.logical, c.logical+ondisk.Logical(c.length)
		for ; len(extents) > 0 && extents[0].logical < end; extents = extents[1:] {
			free(next, extents[0].logical)
			next = extents[0].logical + ondisk.Logical(extents[0].length)
		}
		for ; len(blocks) > 0 && blocks[0].at < end; blocks = blocks[1:] {
			free(next, blocks[0].at)
			next = blocks[0].at + ondisk.NodeSize
		}
		free(next, end)
		items = append(items, item{ondisk.Key{ObjectID: uint64(c.logical), Type: ondisk.TypeFreeSpaceInfo, Offset: c.length}, info.Append(nil)})
	}
	return items
}

// allBlocks returns every tree block by address.
func (w *writer) allBlocks() []treeBlock {
	all := slices.Concat(w.system.list, w.meta.list)
	slices.SortFunc(all, func(a, b treeBlock) int { return cmp.Compare(a.at, b.at) })
	return all
}
