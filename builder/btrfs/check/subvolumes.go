package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

func compareRootRefs(a, b rootRef) int {
	return cmp.Or(cmp.Compare(a.parent, b.parent), cmp.Compare(a.child, b.child), cmp.Compare(a.dir, b.dir),
		cmp.Compare(a.index, b.index), cmp.Compare(a.name, b.name))
}

func (r rootRef) String() string {
	return fmt.Sprintf("subvolume %d in directory %d of subvolume %d, index %d", r.child, r.dir, r.parent, r.index)
}

// checkRoots checks that the trees of the root tree are complete, and that
// subvolumes, their references, their names and their UUIDs agree.
func (c *checker) checkRoots() {
	if c.brokenTrees[ondisk.RootTree] {
		c.log.skip("subvolumes: a part of the root tree cannot be read")
		return
	}
	for _, id := range []uint64{ondisk.ExtentTree, ondisk.DevTree, ondisk.FSTree, ondisk.CsumTree, ondisk.DataRelocTree} {
		if !c.hasRoot(id) {
			c.log.add(text("root tree"), "no root item for tree %d", int64(id))
		}
	}
	if c.defaultRoot != 0 && !c.hasRoot(c.defaultRoot) {
		c.log.add(text("root tree"), "default subvolume %d does not exist", c.defaultRoot)
	}
	c.checkRootRefs()
	c.checkDeleted()
	if c.hasRoot(ondisk.UUIDTree) && c.super.UUIDTreeGeneration == c.super.Generation {
		c.checkUUIDs()
	}
}

// checkRootRefs compares ROOT_REF, ROOT_BACKREF and the names in directories.
func (c *checker) checkRootRefs() {
	sortRootRefs(c.rootRefs)
	sortRootRefs(c.rootBackrefs)
	names := c.subvolNames
	sortRootRefs(names)
	missing := func(from, in []rootRef, what string) {
		for _, r := range from {
			if _, ok := slices.BinarySearchFunc(in, r, compareRootRefs); !ok && !c.brokenTrees[r.parent] {
				c.log.add(text(r.String()), "%s", what)
			}
		}
	}
	missing(c.rootRefs, c.rootBackrefs, "has a ROOT_REF without the same ROOT_BACKREF")
	missing(c.rootBackrefs, c.rootRefs, "has a ROOT_BACKREF without the same ROOT_REF")
	missing(c.rootRefs, names, "has a ROOT_REF, but no directory entry of that name and index")
	for _, n := range names {
		// A snapshot keeps the names of the subvolumes inside its source, but not the subvolumes.
		parent, ok := c.findRoot(n.parent)
		if ok && parent.item.ParentUUID != [ondisk.UUIDSize]byte{} {
			continue
		}
		if _, ok := slices.BinarySearchFunc(c.rootRefs, n, compareRootRefs); !ok {
			c.log.add(text(n.String()), "has a directory entry without the same ROOT_REF")
		}
	}
	for _, r := range c.rootRefs {
		for _, id := range []uint64{r.parent, r.child} {
			if !c.hasRoot(id) {
				c.log.add(text(r.String()), "subvolume %d has no root item", id)
			}
		}
	}
}

// checkDeleted demands exactly one reference of each live subvolume, and an
// ORPHAN_ITEM of each deleted one.
func (c *checker) checkDeleted() {
	references := map[uint64]int{}
	for _, r := range c.rootBackrefs {
		references[r.child]++
	}
	for i := range c.roots {
		r := &c.roots[i]
		if !ondisk.IsSubvolume(r.id) {
			continue
		}
		place := text(fmt.Sprintf("subvolume %d", r.id))
		want := 1
		if r.id == ondisk.FSTree || r.item.Refs == 0 {
			want = 0
		}
		if got := references[r.id]; got != want {
			c.log.add(place, "%d references (ROOT_BACKREF), expected %d", got, want)
		}
		if r.item.Refs == 0 && !slices.Contains(c.rootOrphans, r.id) {
			c.log.add(place, "refs 0, but no ORPHAN_ITEM")
		}
	}
}

// checkUUIDs compares the UUID tree with the root items, both ways.
func (c *checker) checkUUIDs() {
	if c.brokenTrees[ondisk.UUIDTree] {
		c.log.skip("UUIDs of subvolumes: a part of the UUID tree cannot be read")
		return
	}
	listed := map[uuidItem]bool{}
	for _, u := range c.uuids {
		listed[u] = true
		place := text(fmt.Sprintf("UUID tree, item for %x", u.uuid))
		r, ok := c.findRoot(u.id)
		switch {
		case !ok:
			c.log.add(place, "subvolume %d does not exist", u.id)
		case u.received && r.item.ReceivedUUID != u.uuid:
			c.log.add(place, "subvolume %d has the received UUID %x", u.id, r.item.ReceivedUUID)
		case !u.received && r.item.UUID != u.uuid:
			c.log.add(place, "subvolume %d has the UUID %x", u.id, r.item.UUID)
		}
	}
	var none [ondisk.UUIDSize]byte
	for i := range c.roots {
		r := &c.roots[i]
		if !ondisk.IsSubvolume(r.id) || r.item.Refs == 0 {
			continue
		}
		place := text(fmt.Sprintf("subvolume %d", r.id))
		if r.item.UUID != none && !listed[uuidItem{uuid: r.item.UUID, id: r.id}] {
			c.log.add(place, "UUID %x is not in the UUID tree", r.item.UUID)
		}
		if r.item.ReceivedUUID != none && !listed[uuidItem{uuid: r.item.ReceivedUUID, received: true, id: r.id}] {
			c.log.add(place, "received UUID %x is not in the UUID tree", r.item.ReceivedUUID)
		}
	}
}
