package btrfs

import (
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// rootItems returns the items of the root tree: where every other tree is, how
// the subvolumes hang together, and which is the default.
func (w *writer) rootItems() []item {
	ids := []uint64{ondisk.ExtentTree, ondisk.DevTree, ondisk.CsumTree, ondisk.UUIDTree, ondisk.FreeSpaceTree, ondisk.DataRelocTree}
	if w.params.BlockGroupTree {
		ids = append(ids, ondisk.BlockGroupTree)
	}
	items := w.defaultSubvolume()
	for _, id := range ids {
		r := w.rootItem(w.tree(id))
		if id == ondisk.DataRelocTree {
			r.RootDirID = ondisk.FirstFree
		}
		items = append(items, item{rootKey(id), r.Append(nil)})
	}
	for _, v := range w.allVolumes() {
		r := w.volumeRoot(v)
		items = append(items, item{rootKey(v.id), r.Append(nil)})
		if v.parent == nil {
			continue
		}
		ref := v.ref.Append(nil)
		items = append(items,
			item{ondisk.Key{ObjectID: v.parent.id, Type: ondisk.TypeRootRef, Offset: v.id}, ref},
			item{ondisk.Key{ObjectID: v.id, Type: ondisk.TypeRootBackref, Offset: v.parent.id}, ref})
	}
	return items
}

func rootKey(id uint64) ondisk.Key { return ondisk.Key{ObjectID: id, Type: ondisk.TypeRootItem} }

// rootItem returns the root item of a tree that is no subvolume. The inode in
// it has no meaning; its values are those of mkfs.btrfs.
func (w *writer) rootItem(t treeRoot) ondisk.RootItem {
	return ondisk.RootItem{
		Inode: ondisk.InodeItem{Generation: 1, Size: 3, Nbytes: ondisk.NodeSize, Nlink: 1, Mode: fstree.TypeDir | 0o755},
		Refs:  1, Generation: generation, GenerationV2: generation,
		Bytenr: t.root.Block, Level: t.root.Level, BytesUsed: t.blocks * ondisk.NodeSize,
	}
}

func (w *writer) volumeRoot(v *volume) ondisk.RootItem {
	r := w.rootItem(w.tree(v.id))
	r.Inode.Flags = ondisk.InodeRootItemInit
	r.RootDirID = ondisk.FirstFree
	r.UUID = v.uuid
	r.Ctransid, r.Otransid = generation, generation
	r.Ctime, r.Otime = w.created, w.created
	if v.readOnly {
		r.Flags = ondisk.RootReadOnly
	}
	if v.origin != nil {
		r.ParentUUID = v.origin.uuid
	}
	return r
}

// defaultSubvolume returns the root tree's directory, whose one entry
// "default" points to the subvolume that is mounted when none is named.
func (w *writer) defaultSubvolume() []item {
	const name = "default"
	dir := ondisk.InodeItem{Generation: generation, Nlink: 1, Nbytes: ondisk.NodeSize, Mode: fstree.TypeDir | 0o755,
		Atime: w.created, Ctime: w.created, Mtime: w.created, Otime: w.created}
	entry := ondisk.DirItem{Location: ondisk.Key{ObjectID: w.plan.defaultVolume.id, Type: ondisk.TypeRootItem, Offset: ^uint64(0)},
		Transid: generation, Type: ondisk.FileDir, Name: name}
	return []item{
		{ondisk.Key{ObjectID: ondisk.FSTree, Type: ondisk.TypeInodeRef, Offset: ondisk.RootTreeDir}, ondisk.InodeRef{Name: name}.Append(nil)},
		{ondisk.Key{ObjectID: ondisk.RootTreeDir, Type: ondisk.TypeInodeItem}, dir.Append(nil)},
		{ondisk.Key{ObjectID: ondisk.RootTreeDir, Type: ondisk.TypeInodeRef, Offset: ondisk.RootTreeDir}, ondisk.InodeRef{Name: ".."}.Append(nil)},
		{ondisk.Key{ObjectID: ondisk.RootTreeDir, Type: ondisk.TypeDirItem, Offset: ondisk.NameHash(name)}, entry.Append(nil)},
	}
}
