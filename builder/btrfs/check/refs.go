package check

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// backref is a reference to an extent, either as the walk found it or as the
// extent tree has it.
type backref struct {
	bytenr            ondisk.Logical
	parent            ondisk.Logical // block that holds the pointer; 0 for a tree's root pointer
	root, ino, offset uint64         // tree; of data also inode, and file position of the extent's first byte
	length            uint64         // as a file extent item has it; 0 where unknown
	count             uint64
	shared            bool // kept by the address of the parent, not by the tree
	data              bool
	compressed        bool
}

// compareRefs orders references by extent, and then by what makes them
// distinct: the parent's address of shared ones, the tree and file of others.
func compareRefs(a, b *backref) int {
	if r := cmp.Or(cmp.Compare(a.bytenr, b.bytenr), compareBool(a.data, b.data), compareBool(a.shared, b.shared)); r != 0 {
		return r
	}
	if a.shared {
		return cmp.Compare(a.parent, b.parent)
	}
	return cmp.Or(cmp.Compare(a.root, b.root), cmp.Compare(a.ino, b.ino), cmp.Compare(a.offset, b.offset))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (r *backref) String() string {
	switch {
	case r.shared && r.data:
		return fmt.Sprintf("SHARED_DATA_REF from block %d", r.parent)
	case r.shared:
		return fmt.Sprintf("SHARED_BLOCK_REF from block %d", r.parent)
	case r.data:
		return fmt.Sprintf("EXTENT_DATA_REF from subvolume %d, inode %d, offset %d", int64(r.root), r.ino, int64(r.offset))
	}
	return fmt.Sprintf("TREE_BLOCK_REF from tree %d", int64(r.root))
}

// dataReference records the reference that a file extent item makes.
func (c *checker) dataReference(l *leaf, item ondisk.Item) {
	e, err := ondisk.DecodeFileExtent(item.Data)
	if err != nil || e.Kind == ondisk.ExtentInline || e.DiskBytenr == 0 {
		return // its form is checked elsewhere
	}
	c.want = append(c.want, backref{
		bytenr: e.DiskBytenr, parent: l.bytenr, root: l.owner, ino: item.Key.ObjectID,
		offset: item.Key.Offset - e.Offset, length: e.DiskNumBytes, count: 1, data: true,
		compressed: e.Compression != ondisk.CompressNone,
	})
}

// sharedLeaf handles leaves of deleted subvolumes and relocation trees, of
// which only the references count.
func (c *checker) sharedLeaf(l *leaf) {
	if !l.fresh {
		return
	}
	for _, item := range l.items {
		if item.Key.Type == ondisk.TypeExtentData {
			c.checkForm(l, item)
			c.dataReference(l, item)
		}
	}
}

// checkReferences compares the references that the walk found with those of
// the extent tree, extent by extent.
func (c *checker) checkReferences() {
	slices.SortStableFunc(c.extents, func(a, b extent) int { return compareLogical(a.start, b.start) })
	c.resolveShared()
	c.want = mergeRefs(c.want, nil)
	if c.brokenTrees[ondisk.ExtentTree] || c.brokenTrees[ondisk.RootTree] || !c.hasRoot(ondisk.ExtentTree) {
		c.log.skip("references and space: a part of the extent tree or of the root tree cannot be read")
		return
	}
	c.have = mergeRefs(c.have, func(r *backref) {
		c.log.add(c.extentName(r), "%v stands twice in the extent tree", r)
	})
	if c.broken {
		c.log.skip("extents without references: a part of some tree cannot be read")
	}
	want, have := c.want, c.have
	for i := range c.extents {
		e := &c.extents[i]
		var stray, w, h []backref
		stray, want = cutBefore(want, e.start)
		c.reportStray(stray, "is referenced, but has no extent item: ")
		stray, have = cutBefore(have, e.start)
		c.reportStray(stray, "has a reference, but no extent item: ")
		w, want = cutBefore(want, e.start+1)
		h, have = cutBefore(have, e.start+1)
		c.compareExtent(e, w, h)
	}
	c.reportStray(want, "is referenced, but has no extent item: ")
	c.reportStray(have, "has a reference, but no extent item: ")
	c.have = nil
}

// resolveShared turns references from blocks with FULL_BACKREF into the form
// that the extent tree keeps.
func (c *checker) resolveShared() {
	var full []ondisk.Logical
	for i := range c.extents {
		if c.extents[i].full {
			full = append(full, c.extents[i].start)
		}
	}
	slices.Sort(full)
	for i := range c.want {
		if r := &c.want[i]; r.parent != 0 {
			_, r.shared = slices.BinarySearch(full, r.parent)
		}
	}
}

// mergeRefs sorts references and adds up equal ones; twice, where given, is
// told of each that was added to another.
func mergeRefs(refs []backref, twice func(*backref)) []backref {
	slices.SortFunc(refs, func(a, b backref) int { return compareRefs(&a, &b) })
	out := refs[:0]
	for i := range refs {
		if n := len(out); n > 0 && compareRefs(&out[n-1], &refs[i]) == 0 {
			out[n-1].count += refs[i].count
			if out[n-1].length != refs[i].length {
				out[n-1].length = 1 // no length of an extent, so that it is reported
			}
			if twice != nil {
				twice(&refs[i])
			}
			continue
		}
		out = append(out, refs[i])
	}
	return out
}

func cutBefore(refs []backref, at ondisk.Logical) (before, rest []backref) {
	n := 0
	for n < len(refs) && refs[n].bytenr < at {
		n++
	}
	return refs[:n], refs[n:]
}

func (c *checker) reportStray(refs []backref, what string) {
	for i := range refs {
		c.log.add(c.extentName(&refs[i]), "%s%v", what, &refs[i])
	}
}

func (c *checker) extentName(r *backref) fmt.Stringer {
	if r.data {
		return extentPlace{c: c, bytenr: r.bytenr, length: r.length}
	}
	return blockPlace{bytenr: r.bytenr, tree: r.root}
}

// compareExtent compares one extent item with the references found to it and
// the references listed of it.
func (c *checker) compareExtent(e *extent, want, have []backref) {
	var place fmt.Stringer = extentPlace{c: c, bytenr: e.start, length: e.length}
	if !e.data {
		place = text(fmt.Sprintf("metadata block %d", e.start))
		c.compareBlock(e)
	}
	var total uint64
	for i := range have {
		total += have[i].count
	}
	if total != e.refs {
		c.log.add(place, "refs %d, its references add up to %d", e.refs, total)
	}
	if len(want) == 0 && !c.broken {
		c.log.add(place, "has an extent item, but nothing refers to it")
		return
	}
	for i := range want {
		if w := &want[i]; w.data != e.data || e.data && w.length != e.length {
			c.log.add(place, "%v takes it for data: %v, of %d bytes; it has %d bytes", w, w.data, w.length, e.length)
		}
	}
	c.compareLists(place, want, have)
}

func (c *checker) compareLists(place fmt.Stringer, want, have []backref) {
	for len(want) > 0 || len(have) > 0 {
		order := 0
		switch {
		case len(want) == 0:
			order = 1
		case len(have) == 0:
			order = -1
		default:
			order = compareRefs(&want[0], &have[0])
		}
		switch {
		case order < 0:
			c.log.add(place, "%v found %d times is missing from the extent tree", &want[0], want[0].count)
			want = want[1:]
		case order > 0:
			if !c.broken {
				c.log.add(place, "%v of count %d in the extent tree is not found in any tree", &have[0], have[0].count)
			}
			have = have[1:]
		default:
			if want[0].count != have[0].count && (!c.broken || want[0].count > have[0].count) {
				c.log.add(place, "%v found %d times, the extent tree says %d", &want[0], want[0].count, have[0].count)
			}
			want, have = want[1:], have[1:]
		}
	}
}

// compareBlock compares the extent item of a tree block with the block.
func (c *checker) compareBlock(e *extent) {
	i, ok := c.visited[e.start]
	if !ok {
		return
	}
	if b := &c.blocks[i]; b.level != e.level || b.generation != e.generation {
		c.log.add(blockPlace{bytenr: e.start, tree: b.owner}, "level %d and generation %d, its extent item has %d and %d",
			b.level, b.generation, e.level, e.generation)
	}
}

// userOf returns a reference to the data extent that covers an address.
func (c *checker) userOf(at ondisk.Logical) (backref, bool) {
	i := sort.Search(len(c.want), func(i int) bool { return c.want[i].bytenr > at })
	for i--; i >= 0; i-- {
		if r := c.want[i]; r.data && uint64(at-r.bytenr) < r.length {
			return r, true
		}
		if c.want[i].bytenr != c.want[max(i-1, 0)].bytenr {
			break
		}
	}
	return backref{}, false
}
