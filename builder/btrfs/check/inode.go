package check

import (
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// subvolume is the state of a walk over one subvolume. Its tree is in inode
// order, so that one inode at a time is open; names are compared at the end.
type subvolume struct {
	c       *checker
	tree    *tree
	breaks  int // of the tree, when the last leaf came
	inodes  []inode
	entries []link // from DIR_INDEX
	refs    []link // from INODE_REF and INODE_EXTREF
	orphans []uint64
	rooted  bool // the root directory has its ".."
	open    inodeState
}

// inode is what remains of an inode until names are compared.
type inode struct {
	ino   uint64
	mode  uint32
	nlink uint32
}

// inodeState gathers the items of one inode.
type inodeState struct {
	ino       uint64
	partial   bool // items may be missing, since a block could not be read
	found     bool // the INODE_ITEM was
	item      ondisk.InodeItem
	nameBytes uint64 // of all directory entries; DIR_ITEM and DIR_INDEX both count
	items     []link // from DIR_ITEM
	indexes   []link // from DIR_INDEX
	extents   int
	bytes     uint64 // of extents that are not holes, uncompressed
	end       uint64 // of the last extent in the file
	gap       bool   // between extents, below the end of the file
	gapAt     uint64
	target    uint64 // ram_bytes of the inline extent
}

// walkSubvolume walks a subvolume and checks its inodes and names.
func (c *checker) walkSubvolume(t *tree, ref reader.BlockRef) {
	s := &subvolume{c: c, tree: t}
	t.leaf = s.leaf
	c.walkTree(t, ref)
	s.noteBreak()
	s.finishInode()
	if c.ctx.Err() != nil {
		return
	}
	c.log.report.Subvolumes++
	c.log.report.Inodes += int64(len(s.inodes))
	c.log.report.Names += int64(len(s.entries))
	if t.breaks > 0 {
		c.log.skip("subvolume %d: names and links: a part of its tree cannot be read", int64(t.id))
		return
	}
	s.compareNames()
}

// noteBreak marks the open inode when a part of the tree was missing before
// this point.
func (s *subvolume) noteBreak() {
	if s.breaks != s.tree.breaks {
		s.open.partial = true
	}
}

func (s *subvolume) leaf(l *leaf) {
	s.noteBreak()
	broke := s.breaks != s.tree.breaks
	s.breaks = s.tree.breaks
	for _, item := range l.items {
		id := item.Key.ObjectID
		switch {
		case id == orphanObjectID:
			s.c.checkOrphan(l, item)
			s.orphans = append(s.orphans, item.Key.Offset)
			continue
		case id == freeInoObjectID:
			continue
		}
		if id != s.open.ino {
			s.finishInode()
			s.open = inodeState{ino: id, partial: broke, items: s.open.items[:0], indexes: s.open.indexes[:0]}
			broke = false
		}
		if l.fresh {
			s.c.checkForm(l, item)
		}
		s.item(l, item)
	}
}

// item gathers one item. What cannot be decoded has been reported.
func (s *subvolume) item(l *leaf, item ondisk.Item) {
	o := &s.open
	switch item.Key.Type {
	case ondisk.TypeInodeItem:
		i, err := ondisk.DecodeInodeItem(item.Data)
		if err == nil {
			o.item, o.found = i, true
		}
	case ondisk.TypeInodeRef:
		refs, _ := ondisk.DecodeInodeRefs(item.Data)
		for _, r := range refs {
			s.addRef(item.Key.Offset, r.Index, r.Name)
		}
	case ondisk.TypeInodeExtref:
		refs, _ := ondisk.DecodeInodeExtrefs(item.Data)
		for _, r := range refs {
			s.addRef(r.Parent, r.Index, r.Name)
		}
	case ondisk.TypeDirItem, ondisk.TypeDirIndex:
		entries, _ := ondisk.DecodeDirItems(item.Data)
		for i := range entries {
			s.addEntry(item.Key, &entries[i])
		}
	case ondisk.TypeExtentData:
		if l.fresh {
			s.c.dataReference(l, item)
		}
		e, err := ondisk.DecodeFileExtent(item.Data)
		if err != nil {
			o.partial = true
			return
		}
		s.addExtent(l, item, &e)
	}
}

func (s *subvolume) addExtent(l *leaf, item ondisk.Item, e *ondisk.FileExtent) {
	o := &s.open
	o.extents++
	if item.Key.Offset < o.end {
		s.c.log.add(l.at(item.Key), "overlaps the extent before, which ends at %d", o.end)
	}
	if item.Key.Offset > o.end && !o.gap {
		o.gap, o.gapAt = true, o.end
	}
	if e.Kind == ondisk.ExtentInline {
		o.bytes += e.RAMBytes
		o.target = e.RAMBytes
		o.end = roundUp(e.RAMBytes)
		return
	}
	o.end = item.Key.Offset + e.NumBytes
	if e.DiskBytenr == 0 {
		return
	}
	o.bytes += e.NumBytes
	if !l.fresh || e.Kind != ondisk.ExtentRegular || !o.found {
		return
	}
	stored := span{start: e.DiskBytenr, length: e.DiskNumBytes}
	if e.Compression == ondisk.CompressNone {
		stored = span{start: e.DiskBytenr + ondisk.Logical(e.Offset), length: e.NumBytes}
	}
	switch {
	case stored.end() < stored.start:
		return // nonsense that is reported as such
	case o.item.Flags&ondisk.InodeNoDataSum == 0:
		s.c.needCsum = append(s.c.needCsum, stored)
	default:
		s.c.refuseCsum = append(s.c.refuseCsum, stored)
		if e.Compression != ondisk.CompressNone {
			s.c.log.add(l.at(item.Key), "compressed, though its inode has the flag NODATASUM")
		}
	}
}

func roundUp(n uint64) uint64 { return (n + ondisk.SectorSize - 1) &^ (ondisk.SectorSize - 1) }

// finishInode checks the open inode, all items of which have been seen.
func (s *subvolume) finishInode() {
	o := &s.open
	if o.ino == 0 {
		return
	}
	place := inodePlace{c: s.c, tree: s.tree.id, ino: o.ino}
	if o.found {
		s.inodes = append(s.inodes, inode{ino: o.ino, mode: o.item.Mode, nlink: o.item.Nlink})
	}
	s.keepEntries()
	if o.partial {
		return
	}
	if !o.found {
		s.c.log.add(place, "has items, but no INODE_ITEM")
		return
	}
	kind := ondisk.FileTypeOf(o.item.Mode)
	if len(o.items)+len(o.indexes) > 0 && kind != ondisk.FileDir {
		s.c.log.add(place, "has directory entries, but mode %#o", o.item.Mode)
	}
	if o.extents > 0 && kind != ondisk.FileRegular && kind != ondisk.FileSymlink {
		s.c.log.add(place, "has file extents, but mode %#o", o.item.Mode)
	}
	// An inode that is being deleted may be half gone.
	if o.item.Nlink == 0 {
		return
	}
	switch kind {
	case ondisk.FileDir:
		s.finishDir(place)
	case ondisk.FileRegular, ondisk.FileSymlink:
		s.finishFile(place, kind)
	}
}

func (s *subvolume) finishFile(place inodePlace, kind ondisk.FileType) {
	o := &s.open
	if o.bytes != o.item.Nbytes {
		s.c.log.add(place, "nbytes %d, its extents add up to %d", o.item.Nbytes, o.bytes)
	}
	// Old mkfs --rootdir counts the zero byte behind the target.
	if kind == ondisk.FileSymlink && (o.extents != 1 || o.target == 0 || o.target-o.item.Size > 1) {
		s.c.log.add(place, "symbolic link of size %d with %d extents and %d inline bytes", o.item.Size, o.extents, o.target)
	}
	if s.c.super.IncompatFlags&ondisk.IncompatNoHoles != 0 || kind == ondisk.FileSymlink {
		return
	}
	if !o.gap && o.end < roundUp(o.item.Size) {
		o.gap, o.gapAt = true, o.end
	}
	if o.gap && o.gapAt < roundUp(o.item.Size) {
		s.c.log.add(place, "no extent at file offset %d, and NO_HOLES is not set", o.gapAt)
	}
}
