package check

import (
	"encoding/binary"
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// extent is an EXTENT_ITEM or METADATA_ITEM.
type extent struct {
	start      ondisk.Logical
	length     uint64
	refs       uint64
	generation uint64
	level      uint8
	data       bool
	full       bool // FULL_BACKREF: references from this block are kept by its address
}

func (c *checker) extentLeaf(l *leaf) {
	for _, item := range l.items {
		switch item.Key.Type {
		case ondisk.TypeExtentItem, ondisk.TypeMetadataItem:
			c.extentItem(l, item)
		case ondisk.TypeTreeBlockRef, ondisk.TypeSharedBlockRef, ondisk.TypeExtentDataRef, ondisk.TypeSharedDataRef:
			c.keyedRef(l, item)
		case ondisk.TypeExtentOwnerRef: // simple quota's note of who allocated it, not a reference
		case ondisk.TypeBlockGroupItem:
			c.groupItem(l, item)
		default:
			c.log.add(l.at(item.Key), "does not belong in the extent tree")
		}
	}
}

func (c *checker) extentItem(l *leaf, item ondisk.Item) {
	place := l.at(item.Key)
	skinny := item.Key.Type == ondisk.TypeMetadataItem
	e, level, refs, err := ondisk.DecodeExtentItem(item.Data, skinny)
	if err != nil {
		c.log.add(place, "%v", err)
		return
	}
	x := extent{
		start: ondisk.Logical(item.Key.ObjectID), length: item.Key.Offset, refs: e.Refs, generation: e.Generation,
		level: level, data: e.Flags&ondisk.ExtentFlagData != 0, full: e.Flags&ondisk.ExtentFlagFullBackref != 0,
	}
	if skinny {
		x.level, x.length = uint8(min(item.Key.Offset, math.MaxUint8)), uint64(c.super.NodeSize)
		if c.super.IncompatFlags&ondisk.IncompatSkinnyMetadata == 0 {
			c.log.add(place, "METADATA_ITEM without SKINNY_METADATA in the superblock")
		}
	}
	c.checkExtentForm(place, &x, e.Flags, skinny)
	c.extents = append(c.extents, x)
	if x.data {
		c.log.report.Extents++
	}
	c.inlineRefs(place, &x, refs)
}

func (c *checker) checkExtentForm(place itemPlace, x *extent, flags uint64, skinny bool) {
	const kinds = ondisk.ExtentFlagData | ondisk.ExtentFlagTreeBlock
	if k := flags & kinds; k != ondisk.ExtentFlagData && k != ondisk.ExtentFlagTreeBlock || flags&^(kinds|ondisk.ExtentFlagFullBackref) != 0 {
		c.log.add(place, "flags %#x, expected DATA (1) or TREE_BLOCK (2)", flags)
	}
	if uint64(x.start)%ondisk.SectorSize != 0 || x.length%ondisk.SectorSize != 0 || x.length == 0 || x.length > math.MaxUint64-uint64(x.start) {
		c.log.add(place, "length %d, expected start and length multiples of %d", x.length, ondisk.SectorSize)
	}
	if x.data && (skinny || x.full) {
		c.log.add(place, "data extent with flags %#x", flags)
	}
	if !x.data && x.length != uint64(c.super.NodeSize) {
		c.log.add(place, "tree block of %d bytes, expected %d", x.length, c.super.NodeSize)
	}
	if !x.data && x.level >= ondisk.MaxLevel {
		c.log.add(place, "level %d, expected less than %d", x.level, ondisk.MaxLevel)
	}
	if x.generation > c.super.Generation {
		c.log.add(place, "generation %d, the superblock has %d", x.generation, c.super.Generation)
	}
	if x.refs == 0 {
		c.log.add(place, "refs 0")
	}
}

// inlineRefs records the references inside an extent item, which must stand in
// the order in which the kernel searches: type ascending, then by hash or
// offset descending.
func (c *checker) inlineRefs(place itemPlace, x *extent, refs []ondisk.InlineRef) {
	var lastType ondisk.Type
	var lastSeq uint64
	for _, r := range refs {
		seq := r.Offset
		if r.Type == ondisk.TypeExtentDataRef {
			seq = r.Data.Hash()
		}
		if r.Type < lastType || r.Type == lastType && seq > lastSeq {
			c.log.add(place, "inline reference %v %d stands behind %v %d", r.Type, seq, lastType, lastSeq)
		}
		lastType, lastSeq = r.Type, seq
		switch r.Type {
		case ondisk.TypeTreeBlockRef:
			c.addFound(place, x.start, r.Type, backref{root: r.Offset, count: 1})
		case ondisk.TypeSharedBlockRef:
			c.addFound(place, x.start, r.Type, backref{parent: ondisk.Logical(r.Offset), shared: true, count: 1})
		case ondisk.TypeExtentDataRef:
			c.addFound(place, x.start, r.Type, backref{root: r.Data.Root, ino: r.Data.ObjectID, offset: r.Data.Offset, count: uint64(r.Data.Count)})
		case ondisk.TypeSharedDataRef:
			c.addFound(place, x.start, r.Type, backref{parent: ondisk.Logical(r.Offset), shared: true, count: uint64(r.Count)})
		}
	}
}

// hashCollisions bounds how far a keyed reference may stand behind the place
// that its hash gives it: each collision moves it by one.
const hashCollisions = 1 << 10

func (c *checker) keyedRef(l *leaf, item ondisk.Item) {
	place := l.at(item.Key)
	start := ondisk.Logical(item.Key.ObjectID)
	want := map[ondisk.Type]int{ondisk.TypeExtentDataRef: ondisk.ExtentDataRefSize, ondisk.TypeSharedDataRef: 4}[item.Key.Type]
	if len(item.Data) != want {
		c.log.add(place, "has %d bytes, expected %d", len(item.Data), want)
		return
	}
	switch item.Key.Type {
	case ondisk.TypeTreeBlockRef:
		c.addFound(place, start, item.Key.Type, backref{root: item.Key.Offset, count: 1})
	case ondisk.TypeSharedBlockRef:
		c.addFound(place, start, item.Key.Type, backref{parent: ondisk.Logical(item.Key.Offset), shared: true, count: 1})
	case ondisk.TypeSharedDataRef:
		count := binary.LittleEndian.Uint32(item.Data)
		c.addFound(place, start, item.Key.Type, backref{parent: ondisk.Logical(item.Key.Offset), shared: true, count: uint64(count)})
	case ondisk.TypeExtentDataRef:
		r, err := ondisk.DecodeDataRef(item.Data)
		if err != nil {
			c.log.add(place, "%v", err)
			return
		}
		if hash := r.Hash(); item.Key.Offset-hash > hashCollisions {
			c.log.add(place, "offset %#x, expected the reference's hash, %#x", item.Key.Offset, hash)
		}
		c.addFound(place, start, item.Key.Type, backref{root: r.Root, ino: r.ObjectID, offset: r.Offset, count: uint64(r.Count)})
	}
}

// addFound records a back reference of the extent tree.
func (c *checker) addFound(place itemPlace, start ondisk.Logical, t ondisk.Type, r backref) {
	if r.count == 0 {
		c.log.add(place, "%v with count 0", t)
	}
	r.bytenr = start
	r.data = t == ondisk.TypeExtentDataRef || t == ondisk.TypeSharedDataRef
	c.have = append(c.have, r)
}
