package btrfs

import (
	"iter"
	"math"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// volume is a subvolume to be written. Its content is a directory of the
// source tree with an overlay of what Params adds: directories on the way to
// other subvolumes, mount points, swapfiles.
type volume struct {
	id        uint64
	path      string // from the top level
	source    string // directory of the tree that it holds, "." for the root; "" for none
	uuid      ids.UUID
	readOnly  bool
	noDataCow bool
	parent    *volume // nil for the top level
	ref       ondisk.RootRef
	snapshots []*volume // written together with this one
	origin    *volume   // of a snapshot, else nil

	root     node
	order    []node     // the inodes, by their numbers
	numbers  []uint32   // of each inode, counted from FirstFree
	first    []position // of each inode, its first name
	children []uint32   // of each directory, its first entry
	entries  []entry    // of all directories, those of one together, by name
	links    map[*fstree.Inode]*linked
}

// node is a directory entry before it has a number: an entry of the source,
// one of the overlay, or a directory that both have.
type node struct {
	real *fstree.Entry
	over *overlay
}

// overlay is an entry that Params adds to a volume.
type overlay struct {
	entry    *fstree.Entry // its name, and its inode unless the source has one
	children map[string]*overlay
	names    []string  // of children, sorted
	hides    bool      // the source's content below is hidden: a mount point
	volume   *volume   // the entry is this subvolume
	swap     *swapfile // the entry is this swapfile
}

// linked is an inode with several names in one volume.
type linked struct {
	number uint32 // counted from FirstFree
	names  []linkName
}

type linkName struct {
	parent uint64
	ref    ondisk.InodeRef
}

// inode returns the metadata of a node: the source's where it has any.
func (n node) inode() *fstree.Inode {
	if n.real != nil {
		return n.real.Inode
	}
	return n.over.entry.Inode
}

// isIndex reports whether a node is a directory of names that others have too.
func (n node) isIndex() bool { return n.real != nil && n.real.IsIndex() }

func (n node) name() string {
	if n.real != nil {
		return n.real.Name
	}
	return n.over.entry.Name
}

// path names a node in messages: in the source if it is from there.
func (n node) path() string {
	if n.real != nil {
		return n.real.Path()
	}
	return n.over.entry.Name
}

// children yields a directory's entries in the order of their names, source
// and overlay merged.
func (n node) children() iter.Seq[node] {
	return func(yield func(node) bool) {
		var real []*fstree.Entry
		if n.real != nil && (n.over == nil || !n.over.hides) {
			real = n.real.Children()
		}
		var names []string
		if n.over != nil {
			names = n.over.names
		}
		for len(real) > 0 || len(names) > 0 {
			var c node
			switch order(real, names) {
			case -1:
				c, real = node{real: real[0]}, real[1:]
			case +1:
				c, names = node{over: n.over.children[names[0]]}, names[1:]
			default:
				c = node{real: real[0], over: n.over.children[names[0]]}
				real, names = real[1:], names[1:]
			}
			if !yield(c) {
				return
			}
		}
	}
}

func order(real []*fstree.Entry, names []string) int {
	switch {
	case len(names) == 0:
		return -1
	case len(real) == 0:
		return +1
	}
	return strings.Compare(real[0].Name, names[0])
}

// subvolume returns the subvolume that the node is in its parent, or nil.
func (n node) subvolume() *volume {
	if n.over == nil {
		return nil
	}
	return n.over.volume
}

func (n node) swapfile() *swapfile {
	if n.over == nil {
		return nil
	}
	return n.over.swap
}

// contentBytes returns the sizes of the files in the volume, hard links once.
func (v *volume) contentBytes() (sum int64) {
	if v.origin != nil {
		return v.origin.contentBytes()
	}
	for _, n := range v.order {
		if n.real != nil && n.real.IsRegular() {
			sum += min(n.real.Size, math.MaxInt64-sum)
		}
	}
	return sum
}
