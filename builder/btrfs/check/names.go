package check

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// link is one name of an inode, as a directory or as the inode has it. Names
// are kept as hashes: only whether two are equal counts.
type link struct {
	child, parent, index, name uint64
	kind                       ondisk.FileType
	subvol                     bool // child is a subvolume
}

func compareLinks(a, b link) int {
	return cmp.Or(cmp.Compare(a.child, b.child), cmp.Compare(a.parent, b.parent), cmp.Compare(a.index, b.index), cmp.Compare(a.name, b.name))
}

// compareEntries orders the entries of one directory by everything that
// DIR_ITEM and DIR_INDEX have in common.
func compareEntries(a, b link) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.child, b.child), cmp.Compare(a.kind, b.kind), compareBool(a.subvol, b.subvol))
}

func (s *subvolume) addRef(parent, index uint64, name string) {
	if s.open.ino == ondisk.FirstFree && parent == ondisk.FirstFree {
		s.rooted = s.rooted || name == ".."
		return
	}
	s.refs = append(s.refs, link{child: s.open.ino, parent: parent, index: index, name: hashName(name)})
}

func (s *subvolume) addEntry(key ondisk.Key, e *ondisk.DirItem) {
	o := &s.open
	o.nameBytes += uint64(len(e.Name))
	n := link{
		child: e.Location.ObjectID, parent: o.ino, index: key.Offset, name: hashName(e.Name), kind: e.Type,
		subvol: e.Location.Type == ondisk.TypeRootItem,
	}
	if key.Type == ondisk.TypeDirItem {
		o.items = append(o.items, n)
		return
	}
	o.indexes = append(o.indexes, n)
}

// keepEntries hands the entries of the open directory on: those of inodes to
// the comparison of this subvolume, those of subvolumes to that of root refs.
func (s *subvolume) keepEntries() {
	for _, n := range s.open.indexes {
		if n.subvol {
			s.c.subvolNames = append(s.c.subvolNames, rootRef{parent: s.tree.id, child: n.child, dir: n.parent, index: n.index, name: n.name})
			continue
		}
		s.entries = append(s.entries, n)
	}
}

// finishDir checks the size of the open directory and that DIR_ITEM and
// DIR_INDEX agree.
func (s *subvolume) finishDir(place inodePlace) {
	o := &s.open
	if o.nameBytes != o.item.Size {
		s.c.log.add(place, "directory of size %d, the names in it add up to %d", o.item.Size, o.nameBytes)
	}
	slices.SortFunc(o.items, compareEntries)
	slices.SortFunc(o.indexes, compareEntries)
	a, b := o.items, o.indexes
	for i := 1; i < len(a); i++ {
		if a[i].name == a[i-1].name {
			s.c.log.add(place, "two DIR_ITEM of the same name, for %d and %d", a[i-1].child, a[i].child)
		}
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && compareEntries(a[0], b[0]) < 0:
			s.c.log.add(place, "DIR_ITEM %d for %d of type %d has no DIR_INDEX of the same name, inode and type", a[0].index, a[0].child, a[0].kind)
			a = a[1:]
		case len(a) == 0 || compareEntries(b[0], a[0]) < 0:
			s.c.log.add(place, "DIR_INDEX %d for %d of type %d has no DIR_ITEM of the same name, inode and type", b[0].index, b[0].child, b[0].kind)
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
}

// compareNames compares directory entries with the names that inodes have of
// themselves, and both with the inodes.
func (s *subvolume) compareNames() {
	slices.SortFunc(s.entries, compareLinks)
	slices.SortFunc(s.refs, compareLinks)
	slices.Sort(s.orphans)
	s.matchRefs()
	entries := s.entries
	for i := range s.inodes {
		n := &s.inodes[i]
		for len(entries) > 0 && entries[0].child < n.ino {
			s.reportLost(&entries[0])
			entries = entries[1:]
		}
		names := 0
		for names < len(entries) && entries[names].child == n.ino {
			names++
		}
		s.checkLinks(n, entries[:names])
		entries = entries[names:]
	}
	for i := range entries {
		s.reportLost(&entries[i])
	}
	if len(s.inodes) == 0 || s.inodes[0].ino != ondisk.FirstFree {
		s.c.log.add(inodePlace{c: s.c, tree: s.tree.id, ino: ondisk.FirstFree}, "the root directory has no INODE_ITEM")
	}
	if !s.rooted {
		s.c.log.add(inodePlace{c: s.c, tree: s.tree.id, ino: ondisk.FirstFree}, "the root directory has no INODE_REF to itself called \"..\"")
	}
}

func (s *subvolume) reportLost(e *link) {
	s.c.log.add(inodePlace{c: s.c, tree: s.tree.id, ino: e.parent}, "entry %d names inode %d, which does not exist", e.index, e.child)
}

// matchRefs compares DIR_INDEX entries with INODE_REF and INODE_EXTREF.
func (s *subvolume) matchRefs() {
	a, b := s.entries, s.refs
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && compareLinks(a[0], b[0]) < 0:
			s.c.log.add(inodePlace{c: s.c, tree: s.tree.id, ino: a[0].child},
				"entry %d of directory %d names it, but it has no INODE_REF of that name and index", a[0].index, a[0].parent)
			a = a[1:]
		case len(a) == 0 || compareLinks(b[0], a[0]) < 0:
			s.c.log.add(inodePlace{c: s.c, tree: s.tree.id, ino: b[0].child},
				"INODE_REF to directory %d, index %d, but no entry of that name and index there", b[0].parent, b[0].index)
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
}

// checkLinks compares an inode with its names.
func (s *subvolume) checkLinks(n *inode, names []link) {
	place := inodePlace{c: s.c, tree: s.tree.id, ino: n.ino}
	kind := ondisk.FileTypeOf(n.mode)
	for i := range names {
		if names[i].kind != kind {
			s.c.log.add(place, "mode %#o, but entry %d of directory %d has type %d", n.mode, names[i].index, names[i].parent, names[i].kind)
		}
	}
	_, orphan := slices.BinarySearch(s.orphans, n.ino)
	want := uint32(len(names))
	if n.ino == ondisk.FirstFree {
		want++ // nothing in its own tree names the root directory
	}
	switch {
	case n.nlink != want && uint64(len(names)) < 1<<32:
		s.c.log.add(place, "nlink %d, expected %d as it has names", n.nlink, want)
	case want == 0 && !orphan:
		s.c.log.add(place, "has no name and no ORPHAN_ITEM")
	}
}
