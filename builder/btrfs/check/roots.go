package check

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/cespare/xxhash/v2"
)

// root is a ROOT_ITEM.
type root struct {
	id, offset uint64
	item       ondisk.RootItem
}

// rootRef is a ROOT_REF or ROOT_BACKREF.
type rootRef struct {
	parent, child, dir, index, name uint64 // name is hashed
}

// uuidItem is one id of an item of the UUID tree.
type uuidItem struct {
	uuid     [ondisk.UUIDSize]byte
	received bool
	id       uint64
}

// Objectids that only the root tree and subvolumes have, and only here are
// looked at; names of the kernel's btrfs_tree.h.
const (
	orphanObjectID    = ^uint64(0) - 4  // -5
	freeSpaceObjectID = ^uint64(0) - 10 // -11: headers of the v1 space cache
	balanceObjectID   = ^uint64(0) - 3  // -4
	freeInoObjectID   = ^uint64(0) - 11 // -12: the inode cache of old kernels
)

const (
	typeTemporary  ondisk.Type = 248
	rootSubvolDead uint64      = 1 << 48 // being deleted
)

// hashName stands for a name where only equality counts.
func hashName(name string) uint64 { return xxhash.Sum64String(name) }

func (c *checker) rootLeaf(l *leaf) {
	if !l.fresh {
		return
	}
	for _, item := range l.items {
		switch item.Key.Type {
		case ondisk.TypeRootItem:
			c.rootItem(l, item)
		case ondisk.TypeRootRef, ondisk.TypeRootBackref:
			c.rootRefItem(l, item)
		case ondisk.TypeOrphanItem:
			c.checkOrphan(l, item)
			c.rootOrphans = append(c.rootOrphans, item.Key.Offset)
		case ondisk.TypeInodeItem, ondisk.TypeInodeRef, ondisk.TypeDirItem:
			// The directory of default subvolumes and inodes of the v1 space cache.
			c.checkForm(l, item)
			if item.Key.ObjectID == ondisk.RootTreeDir && item.Key.Type == ondisk.TypeDirItem {
				c.defaultItem(l, item)
			}
		case ondisk.TypeExtentData:
			c.checkForm(l, item)
			c.dataReference(l, item)
		case 0, typeTemporary, ondisk.TypePersistentItem:
			if item.Key.Type == 0 && item.Key.ObjectID != freeSpaceObjectID {
				c.log.add(l.at(item.Key), "unknown item")
			}
		default:
			c.log.add(l.at(item.Key), "does not belong in the root tree")
		}
	}
}

func (c *checker) defaultItem(l *leaf, item ondisk.Item) {
	entries, err := ondisk.DecodeDirItems(item.Data)
	if err != nil {
		return // reported by checkForm
	}
	for _, e := range entries {
		if e.Name == "default" {
			c.defaultRoot = e.Location.ObjectID
		}
	}
}

func (c *checker) rootItem(l *leaf, item ondisk.Item) {
	place := l.at(item.Key)
	r, err := ondisk.DecodeRootItem(item.Data)
	if err != nil {
		c.log.add(place, "%v", err)
		return
	}
	if r.Level >= ondisk.MaxLevel || uint64(r.Bytenr)%ondisk.SectorSize != 0 || r.Bytenr == 0 {
		c.log.add(place, "root block %d of level %d, expected a multiple of %d and a level below %d", r.Bytenr, r.Level, ondisk.SectorSize, ondisk.MaxLevel)
		return
	}
	gen := c.super.Generation
	if r.Generation > gen || r.LastSnapshot > gen || r.Ctransid > gen || r.Otransid > gen {
		c.log.add(place, "generation %d, last_snapshot %d, ctransid %d, otransid %d; the superblock has %d", r.Generation, r.LastSnapshot, r.Ctransid, r.Otransid, gen)
	}
	if r.Flags&^(ondisk.RootReadOnly|rootSubvolDead) != 0 {
		c.log.add(place, "flags %#x, expected READONLY (1) at most", r.Flags)
	}
	if r.Refs > 1 {
		c.log.add(place, "refs %d, expected 0 or 1", r.Refs)
	}
	if (r.DropProgress != ondisk.Key{}) && (r.DropLevel == 0 || r.DropLevel > r.Level) {
		c.log.add(place, "drop_level %d with a drop_progress, expected 1 to %d", r.DropLevel, r.Level)
		return
	}
	if r.Refs > 0 && r.DropProgress != (ondisk.Key{}) && item.Key.ObjectID != ondisk.TreeReloc {
		c.log.add(place, "drop_progress %v, but it is not deleted", r.DropProgress)
		return
	}
	if (ondisk.IsSubvolume(item.Key.ObjectID) || item.Key.ObjectID == ondisk.DataRelocTree) && r.RootDirID != ondisk.FirstFree {
		c.log.add(place, "root_dirid %d, expected %d", r.RootDirID, ondisk.FirstFree)
	}
	c.roots = append(c.roots, root{id: item.Key.ObjectID, offset: item.Key.Offset, item: r})
}

func (c *checker) rootRefItem(l *leaf, item ondisk.Item) {
	r, err := ondisk.DecodeRootRef(item.Data)
	if err != nil {
		c.log.add(l.at(item.Key), "%v", err)
		return
	}
	ref := rootRef{parent: item.Key.ObjectID, child: item.Key.Offset, dir: r.DirID, index: r.Sequence, name: hashName(r.Name)}
	if item.Key.Type == ondisk.TypeRootRef {
		c.rootRefs = append(c.rootRefs, ref)
		return
	}
	ref.parent, ref.child = ref.child, ref.parent
	c.rootBackrefs = append(c.rootBackrefs, ref)
}

// findRoot returns the newest root item of a tree.
func (c *checker) findRoot(id uint64) (*root, bool) {
	i := sort.Search(len(c.roots), func(i int) bool { return c.roots[i].id > id }) - 1
	if i < 0 || c.roots[i].id != id {
		return nil, false
	}
	return &c.roots[i], true
}

func (c *checker) hasRoot(id uint64) bool {
	_, ok := c.findRoot(id)
	return ok
}

func (c *checker) uuidLeaf(l *leaf) {
	for _, item := range l.items {
		place := l.at(item.Key)
		if t := item.Key.Type; t != ondisk.TypeUUIDSubvol && t != ondisk.TypeUUIDReceived {
			c.log.add(place, "does not belong in the UUID tree")
			continue
		}
		if len(item.Data) == 0 || len(item.Data)%8 != 0 {
			c.log.add(place, "has %d bytes, expected a multiple of 8", len(item.Data))
			continue
		}
		u := uuidItem{received: item.Key.Type == ondisk.TypeUUIDReceived}
		binary.LittleEndian.PutUint64(u.uuid[:], item.Key.ObjectID)
		binary.LittleEndian.PutUint64(u.uuid[8:], item.Key.Offset)
		for b := item.Data; len(b) > 0; b = b[8:] {
			u.id = binary.LittleEndian.Uint64(b)
			c.uuids = append(c.uuids, u)
		}
	}
}

// checkOrphan checks the form of an item that says what must be deleted.
func (c *checker) checkOrphan(l *leaf, item ondisk.Item) {
	if item.Key.ObjectID != orphanObjectID || len(item.Data) != 0 {
		c.log.add(l.at(item.Key), "has %d bytes, expected objectid -5 and none", len(item.Data))
	}
}

func sortRootRefs(refs []rootRef) {
	slices.SortFunc(refs, compareRootRefs)
}
