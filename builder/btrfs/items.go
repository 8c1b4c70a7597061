package btrfs

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// generation is the one number that stands in every generation and transid
// field. Any value will do that the superblock does not fall below.
const generation = 1

// maxItem is the most data that one item holds.
var maxItem = ondisk.MaxItemSize(ondisk.NodeSize)

// volumeWriter emits the items of one volume, and at the same time those of
// its snapshots, which are equal but for the tree they are in.
type volumeWriter struct {
	*writer
	vol     *volume
	loaders []*loader // of the volume, then of each snapshot

	// Scratch, valid for the inode at hand.
	buf      []byte // the item being encoded
	inline   []byte // the content of a small file
	children []dirEntry
	byHash   []dirEntry
}

func (v *volumeWriter) emit(ino uint64, t ondisk.Type, offset uint64, data []byte) error {
	for _, l := range v.loaders {
		if err := l.add(ondisk.Key{ObjectID: ino, Type: t, Offset: offset}, data); err != nil {
			return err
		}
	}
	return nil
}

// writeInode emits everything that belongs to the inode at an index of
// vol.order.
func (v *volumeWriter) writeInode(index uint32) error {
	n, ino := v.vol.order[index], inodeNumber(v.vol.numbers[index])
	in := n.inode()
	item := v.inodeItem(n)
	var children []dirEntry
	var extents fileExtents
	var err error
	switch {
	case in.IsDir():
		children = v.collectChildren(index)
		for _, c := range children {
			item.Size += 2 * uint64(len(c.name))
		}
	case n.swapfile() != nil:
		item.Flags = ondisk.InodeNoDataSum | ondisk.InodeNoDataCow | ondisk.InodePrealloc
		if extents.items, err = v.writeSwapfile(n.swapfile()); err != nil {
			return err
		}
	case in.IsRegular() && in.Size > 0:
		if extents, err = v.takeFile(n); err != nil {
			return err
		}
	}
	item.Nbytes = extents.bytes()
	if in.IsSymlink() {
		item.Nbytes = uint64(len(in.Link))
	}
	l := v.vol.links[in]
	if l != nil {
		item.Nlink = uint32(len(l.names))
	}
	v.buf = item.Append(v.buf[:0])
	if err := v.emit(ino, ondisk.TypeInodeItem, 0, v.buf); err != nil {
		return err
	}
	if err := v.writeRefs(index, n, l); err != nil {
		return err
	}
	if err := v.writeXattrs(ino, n); err != nil {
		return err
	}
	if in.IsDir() {
		return v.writeChildren(ino, n, children)
	}
	if in.IsSymlink() {
		return v.writeInline(ino, inlineFile{data: []byte(in.Link), size: uint64(len(in.Link))})
	}
	return v.writeExtents(ino, extents)
}

func (v *volumeWriter) inodeItem(n node) ondisk.InodeItem {
	in := n.inode()
	mtime := ondisk.Timespec{Sec: in.Sec, Nsec: in.Nsec}
	item := ondisk.InodeItem{
		Generation: generation, Transid: generation, Nlink: 1,
		UID: in.UID, GID: in.GID, Mode: in.Mode,
		Atime: mtime, Mtime: mtime, Ctime: v.created, Otime: v.created,
	}
	switch {
	case in.IsRegular():
		item.Size = uint64(in.Size)
	case in.IsSymlink():
		item.Size = uint64(len(in.Link))
	case in.IsDevice():
		item.Rdev = uint64(in.Rdev)
	}
	regularOrDir := in.IsRegular() || in.IsDir()
	if v.vol.noDataCow && regularOrDir {
		item.Flags |= ondisk.InodeNoDataCow
		if in.IsRegular() {
			item.Flags |= ondisk.InodeNoDataSum
		}
	}
	switch {
	case v.vol.noDataCow:
	case in.IsRegular() && in.IsRaw():
		// As chattr +m does: what the system writes into it stays plain too, so
		// that it can be replaced in place once more.
		item.Flags |= ondisk.InodeNoCompress
	case regularOrDir:
		item.Flags |= compressionFlags(in.Xattrs)
	}
	return item
}

// compressionFlags returns the inode flags that the kernel keeps together with
// the compression xattr.
func compressionFlags(xattrs []fstree.Xattr) uint64 {
	for _, x := range xattrs {
		if x.Name == compressionXattr {
			switch {
			case compresses(x.Value):
				return ondisk.InodeCompress
			case len(x.Value) > 0:
				return ondisk.InodeNoCompress
			}
		}
	}
	return 0
}

// writeRefs emits the names of an inode: INODE_REF items, one for each
// directory, and INODE_EXTREF items for what does not fit there.
func (v *volumeWriter) writeRefs(index uint32, n node, l *linked) error {
	ino, first := inodeNumber(v.vol.numbers[index]), v.vol.first[index]
	switch {
	case index == 0: // the root directory is its own parent
		v.buf = ondisk.InodeRef{Index: 0, Name: ".."}.Append(v.buf[:0])
		return v.emit(ino, ondisk.TypeInodeRef, ino, v.buf)
	case l == nil:
		v.buf = ondisk.InodeRef{Index: uint64(first.index), Name: n.name()}.Append(v.buf[:0])
		return v.emit(ino, ondisk.TypeInodeRef, inodeNumber(first.dir), v.buf)
	case len(l.names) > ondisk.MaxLinks:
		return fault.New(fault.Input, "", "%s: %d hard links, expected at most %d", n.path(), len(l.names), ondisk.MaxLinks)
	}
	return v.writeLinks(ino, n, l)
}

func (v *volumeWriter) writeLinks(ino uint64, n node, l *linked) error {
	slices.SortStableFunc(l.names, func(a, b linkName) int { return cmp.Compare(a.parent, b.parent) })
	var rest []linkName
	for names := l.names; len(names) > 0; {
		parent := names[0].parent
		data, full := v.buf[:0], false
		for ; len(names) > 0 && names[0].parent == parent; names = names[1:] {
			// Once a name did not fit, later ones go behind it, as in the kernel.
			if full = full || len(data)+ondisk.InodeRefSize+len(names[0].ref.Name) > maxItem; full {
				rest = append(rest, names[0])
				continue
			}
			data = names[0].ref.Append(data)
		}
		v.buf = data
		if err := v.emit(ino, ondisk.TypeInodeRef, parent, data); err != nil {
			return err
		}
	}
	return v.writeExtrefs(ino, n, rest)
}

func (v *volumeWriter) writeExtrefs(ino uint64, n node, names []linkName) error {
	hash := func(a linkName) uint64 { return ondisk.ExtrefHash(a.parent, a.ref.Name) }
	slices.SortStableFunc(names, func(a, b linkName) int { return cmp.Compare(hash(a), hash(b)) })
	for len(names) > 0 {
		at, data := hash(names[0]), v.buf[:0]
		for ; len(names) > 0 && hash(names[0]) == at; names = names[1:] {
			data = ondisk.InodeExtref{Parent: names[0].parent, Index: names[0].ref.Index, Name: names[0].ref.Name}.Append(data)
		}
		v.buf = data
		if len(data) > maxItem {
			return fault.New(fault.Input, "rename one of the links", "%s: too many hard links whose names have one hash", n.path())
		}
		if err := v.emit(ino, ondisk.TypeInodeExtref, at, data); err != nil {
			return err
		}
	}
	return nil
}

// writeXattrs emits the extended attributes, those with one name hash in one
// item.
func (v *volumeWriter) writeXattrs(ino uint64, n node) error {
	xattrs := slices.Clone(n.inode().Xattrs)
	slices.SortFunc(xattrs, func(a, b fstree.Xattr) int {
		return cmp.Or(cmp.Compare(ondisk.NameHash(a.Name), ondisk.NameHash(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for len(xattrs) > 0 {
		hash, data := ondisk.NameHash(xattrs[0].Name), v.buf[:0]
		name := xattrs[0].Name
		for ; len(xattrs) > 0 && ondisk.NameHash(xattrs[0].Name) == hash; xattrs = xattrs[1:] {
			x := xattrs[0]
			item := ondisk.DirItem{Transid: generation, Type: ondisk.FileXattr, Name: x.Name, Data: x.Value}
			data = item.Append(data)
		}
		v.buf = data
		if len(data) > maxItem {
			return fault.New(fault.Input, "", "%s: xattrs whose names have the hash of %s need %d bytes together, expected at most %d", n.path(), name, len(data), maxItem)
		}
		if err := v.emit(ino, ondisk.TypeXattrItem, hash, data); err != nil {
			return err
		}
	}
	return nil
}
