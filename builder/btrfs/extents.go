package btrfs

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// dataExtent is a range of the device that holds file content.
type dataExtent struct {
	logical ondisk.Logical
	length  uint64 // on the device
	ram     uint64 // uncompressed length of a compressed extent, else 0
	ref     extentRef
}

// extentRef is the reference of one inode to an extent.
type extentRef struct {
	vol    *volume
	ino    uint64
	offset uint64 // file position minus the offset into the extent, modulo 2^64
	count  uint32
}

// extentTable lists all data extents, by address once it is sorted. Most have one
// reference, which stands in the extent; the others are kept apart.
type extentTable struct {
	list []dataExtent
	more []furtherRef // in the order of their making until sorted
}

type furtherRef struct {
	extent int
	ref    extentRef
}

// add appends an extent and returns its index. Without the places of an older file
// system it lies behind all others.
func (t *extentTable) add(e dataExtent) int {
	t.list = append(t.list, e)
	return len(t.list) - 1
}

// refer counts a reference to an extent.
func (t *extentTable) refer(extent int, ref extentRef) {
	first := &t.list[extent].ref
	switch {
	case first.count == 0:
		*first = ref
	case first.same(ref):
		first.count += ref.count
	default:
		t.more = append(t.more, furtherRef{extent, ref})
	}
}

func (r extentRef) same(o extentRef) bool {
	return r.vol == o.vol && r.ino == o.ino && r.offset == o.offset
}

// sort prepares the table for walk. The indexes that add returned are of no use
// any more.
func (t *extentTable) sort() {
	byAddress := func(a, b dataExtent) int { return cmp.Compare(a.logical, b.logical) }
	if !slices.IsSortedFunc(t.list, byAddress) {
		before := slices.Clone(t.list)
		slices.SortFunc(t.list, byAddress)
		for i := range t.more {
			m := &t.more[i]
			m.extent, _ = slices.BinarySearchFunc(t.list, before[m.extent], byAddress)
		}
	}
	slices.SortStableFunc(t.more, func(a, b furtherRef) int { return cmp.Compare(a.extent, b.extent) })
}

// bytes returns the length of all extents together.
func (t *extentTable) bytes() uint64 {
	var total uint64
	for i := range t.list {
		total += t.list[i].length
	}
	return total
}

// walk calls emit with the items of every extent in the order of their keys:
// the EXTENT_ITEM with as many references as it may hold, and an
// EXTENT_DATA_REF for each further one. before is called with the address of
// each extent first.
func (t *extentTable) walk(before func(ondisk.Logical) error, emit func(ondisk.Key, []byte) error) error {
	var buf []byte
	var refs []hashedRef
	more := t.more
	for i := range t.list {
		e := &t.list[i]
		if err := before(e.logical); err != nil {
			return err
		}
		refs = appendRefs(refs[:0], e.ref)
		for ; len(more) > 0 && more[0].extent == i; more = more[1:] {
			refs = appendRefs(refs, more[0].ref)
		}
		inline, keyed := splitRefs(mergeRefs(refs))
		buf = encodeExtentItem(buf[:0], inline, keyed)
		if err := emit(ondisk.Key{ObjectID: uint64(e.logical), Type: ondisk.TypeExtentItem, Offset: e.length}, buf); err != nil {
			return err
		}
		if err := emitKeyed(e.logical, keyed, emit); err != nil {
			return err
		}
	}
	return nil
}

// hashedRef is a reference ready to be ordered.
type hashedRef struct {
	ondisk.DataRef
	hash uint64
}

// appendRefs appends a reference for its subvolume and one for each snapshot.
func appendRefs(refs []hashedRef, r extentRef) []hashedRef {
	add := func(root uint64) {
		d := ondisk.DataRef{Root: root, ObjectID: r.ino, Offset: r.offset, Count: r.count}
		refs = append(refs, hashedRef{d, d.Hash()})
	}
	add(r.vol.id)
	for _, s := range r.vol.snapshots {
		add(s.id)
	}
	return refs
}

// mergeRefs orders references by descending hash, as they stand in an extent
// item, and adds up equal ones.
func mergeRefs(refs []hashedRef) []hashedRef {
	if len(refs) == 1 {
		return refs
	}
	slices.SortFunc(refs, func(a, b hashedRef) int {
		return cmp.Or(cmp.Compare(b.hash, a.hash), cmp.Compare(a.Root, b.Root), cmp.Compare(a.ObjectID, b.ObjectID), cmp.Compare(a.Offset, b.Offset))
	})
	out := refs[:1]
	for _, r := range refs[1:] {
		if last := &out[len(out)-1]; last.Root == r.Root && last.ObjectID == r.ObjectID && last.Offset == r.Offset {
			last.Count += r.Count
			continue
		}
		out = append(out, r)
	}
	return out
}

// maxInlineRefs is how many references an extent item holds: the kernel allows
// a sixteenth of a leaf for the item with its header.
const maxInlineRefs = ((ondisk.NodeSize-ondisk.HeaderSize)/16 - ondisk.ItemHeaderSize - ondisk.ExtentItemSize) / ondisk.InlineDataRefSize

func splitRefs(refs []hashedRef) (inline, keyed []hashedRef) {
	n := min(len(refs), maxInlineRefs)
	return refs[:n], refs[n:]
}

func encodeExtentItem(b []byte, inline, keyed []hashedRef) []byte {
	item := ondisk.ExtentItem{Generation: generation, Flags: ondisk.ExtentFlagData}
	for _, refs := range [][]hashedRef{inline, keyed} {
		for _, r := range refs {
			item.Refs += uint64(r.Count)
		}
	}
	b = item.Append(b)
	for _, r := range inline {
		b = r.Append(append(b, uint8(ondisk.TypeExtentDataRef)))
	}
	return b
}

// emitKeyed emits references as items of their own. Two with one hash get
// consecutive keys.
func emitKeyed(at ondisk.Logical, refs []hashedRef, emit func(ondisk.Key, []byte) error) error {
	next := uint64(0)
	for _, r := range slices.Backward(refs) {
		next = max(next, r.hash)
		if err := emit(ondisk.Key{ObjectID: uint64(at), Type: ondisk.TypeExtentDataRef, Offset: next}, r.Append(nil)); err != nil {
			return err
		}
		next++
	}
	return nil
}
