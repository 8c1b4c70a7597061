package btrfs

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// position is where a name stands: the number of its directory, counted from
// FirstFree, and its DIR_INDEX there.
type position struct{ dir, index uint32 }

// entry is an entry of a directory: the number of its inode, counted from FirstFree
// and 0 for a subvolume, and its DIR_INDEX.
type entry struct{ number, index uint32 }

// firstDirIndex is the DIR_INDEX of a directory's first entry; 0 and 1 stand
// for "." and "..".
const firstDirIndex = 2

// inodeNumber returns the number of an inode that is counted from FirstFree.
func inodeNumber(number uint32) uint64 { return ondisk.FirstFree + uint64(number) }

// number gives every inode of the volume its number: the children of one
// directory get consecutive numbers, directories are taken in the order of
// their own, those that are an index last. An inode with several names is numbered at
// the first. What the older volume has under the same name keeps its number there, and
// its DIR_INDEX; what is new gets those behind.
func (v *volume) number(old *oldVolume) {
	v.links = map[*fstree.Inode]*linked{}
	n := &numbering{volume: v, old: old, taken: map[uint32]bool{}, next: 1}
	if old != nil {
		n.next = old.next
	}
	n.addInode(v.root, 0, position{})
	n.addAll()
	if old != nil {
		v.sortInodes()
	}
}

// numbering gives out numbers.
type numbering struct {
	*volume
	old   *oldVolume
	next  uint32          // behind all that the older volume has
	taken map[uint32]bool // numbers of the older volume
}

func (n *numbering) addInode(c node, number uint32, first position) {
	n.order, n.numbers, n.first = append(n.order, c), append(n.numbers, number), append(n.first, first)
}

// addAll adds what is in the directories, and in those that are added then.
func (n *numbering) addAll() {
	var indexes []int
	for i := 0; i < len(n.order); i++ {
		n.children = append(n.children, uint32(len(n.entries)))
		switch at := n.order[i]; {
		case at.isIndex():
			indexes = append(indexes, i)
		case at.inode().IsDir():
			n.addChildren(i)
		}
		if i < len(n.order)-1 {
			continue
		}
		for _, at := range indexes {
			n.addChildren(at)
		}
		indexes = nil
	}
}

// addChildren adds what is in the directory at an index of order.
func (n *numbering) addChildren(at int) {
	dir, number := n.order[at], n.numbers[at]
	n.children[at] = uint32(len(n.entries))
	index := n.old.nextIndex(number)
	for c := range dir.children() {
		old, known := n.old.entry(number, c.name())
		if !known {
			old = entry{index: index}
			index++
		}
		n.entries = append(n.entries, entry{n.addChild(c, old.number, position{number, old.index}), old.index})
	}
}

// addChild takes an entry of a directory, and returns the number of its inode: the
// older one, unless that is 0 or taken.
func (n *numbering) addChild(c node, older uint32, at position) uint32 {
	if sub := c.subvolume(); sub != nil {
		sub.ref = ondisk.RootRef{DirID: inodeNumber(at.dir), Sequence: uint64(at.index), Name: c.name()}
		return 0
	}
	in := c.inode()
	l := n.links[in]
	if l == nil {
		number := n.give(older)
		n.addInode(c, number, at)
		if in.Links() < 2 {
			return number
		}
		l = &linked{number: number}
		n.links[in] = l
	}
	l.names = append(l.names, linkName{inodeNumber(at.dir), ondisk.InodeRef{Index: uint64(at.index), Name: c.name()}})
	return l.number
}

// give returns a number for an inode.
func (n *numbering) give(older uint32) uint32 {
	if older > 0 && !n.taken[older] {
		n.taken[older] = true
		return older
	}
	n.next++
	return n.next - 1
}

// sortInodes brings the inodes into the order of their numbers.
func (v *volume) sortInodes() {
	by := make([]int, len(v.order))
	for i := range by {
		by[i] = i
	}
	slices.SortFunc(by, func(a, b int) int { return cmp.Compare(v.numbers[a], v.numbers[b]) })
	v.order, v.numbers, v.first, v.children = permuted(v.order, by), permuted(v.numbers, by), permuted(v.first, by), permuted(v.children, by)
}

// permuted returns a list in another order.
func permuted[T any](list []T, order []int) []T {
	out := make([]T, len(list))
	for i, from := range order {
		out[i] = list[from]
	}
	return out
}
