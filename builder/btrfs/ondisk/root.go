package ondisk

// Sizes of the structures in this file, without names.
const (
	RootItemSize       = 439
	RootItemLegacySize = 239 // before generation_v2 was added
	RootRefSize        = 18
)

// RootReadOnly is the flag of a read-only subvolume.
const RootReadOnly uint64 = 1 << 0

// RootItem names the root block of a tree, and describes a subvolume.
type RootItem struct {
	Inode        InodeItem
	Generation   uint64
	RootDirID    uint64
	Bytenr       Logical
	BytesUsed    uint64
	LastSnapshot uint64
	Flags        uint64
	Refs         uint32
	DropProgress Key
	DropLevel    uint8
	Level        uint8
	GenerationV2 uint64 // equal to Generation, or what follows is stale
	UUID         [UUIDSize]byte
	ParentUUID   [UUIDSize]byte
	ReceivedUUID [UUIDSize]byte
	Ctransid     uint64
	Otransid     uint64
	Stransid     uint64
	Rtransid     uint64
	Ctime        Timespec
	Otime        Timespec
	Stime        Timespec
	Rtime        Timespec
}

// Append encodes the root item at the end of b.
func (r *RootItem) Append(b []byte) []byte {
	start := len(b)
	b = r.Inode.Append(b)
	for _, v := range [...]uint64{r.Generation, r.RootDirID, uint64(r.Bytenr), 0, r.BytesUsed, r.LastSnapshot, r.Flags} {
		b = put64(b, v)
	}
	b = r.DropProgress.Append(put32(b, r.Refs))
	b = put64(append(b, r.DropLevel, r.Level), r.GenerationV2)
	b = append(b, r.UUID[:]...)
	b = append(b, r.ParentUUID[:]...)
	b = append(b, r.ReceivedUUID[:]...)
	for _, v := range [...]uint64{r.Ctransid, r.Otransid, r.Stransid, r.Rtransid} {
		b = put64(b, v)
	}
	b = r.Rtime.Append(r.Stime.Append(r.Otime.Append(r.Ctime.Append(b))))
	return zeros(b, start+RootItemSize-len(b))
}

// DecodeRootItem decodes a root item of either size. The fields behind
// GenerationV2 are zero when they are absent or stale.
func DecodeRootItem(b []byte) (RootItem, error) {
	if len(b) != RootItemSize && len(b) != RootItemLegacySize {
		return RootItem{}, malformed("root item", "has %d bytes, expected %d or %d", len(b), RootItemSize, RootItemLegacySize)
	}
	inode, err := DecodeInodeItem(b)
	if err != nil {
		return RootItem{}, err
	}
	drop, err := DecodeKey(b[220:])
	if err != nil {
		return RootItem{}, err
	}
	r := RootItem{
		Inode: inode, Generation: u64(b[160:]), RootDirID: u64(b[168:]), Bytenr: Logical(u64(b[176:])),
		BytesUsed: u64(b[192:]), LastSnapshot: u64(b[200:]), Flags: u64(b[208:]), Refs: u32(b[216:]),
		DropProgress: drop, DropLevel: b[237], Level: b[238],
	}
	if len(b) == RootItemLegacySize || u64(b[239:]) != r.Generation {
		return r, nil
	}
	r.GenerationV2 = r.Generation
	copy(r.UUID[:], b[247:])
	copy(r.ParentUUID[:], b[263:])
	copy(r.ReceivedUUID[:], b[279:])
	r.Ctransid, r.Otransid, r.Stransid, r.Rtransid = u64(b[295:]), u64(b[303:]), u64(b[311:]), u64(b[319:])
	r.Ctime, r.Otime = decodeTimespec(b[327:]), decodeTimespec(b[339:])
	r.Stime, r.Rtime = decodeTimespec(b[351:]), decodeTimespec(b[363:])
	return r, nil
}

// RootRef ties a subvolume to the directory entry that names it. It is the
// body of both ROOT_REF and ROOT_BACKREF.
type RootRef struct {
	DirID    uint64 // inode of the directory in the parent
	Sequence uint64 // the DIR_INDEX of the entry
	Name     string
}

// Append encodes the reference at the end of b.
func (r RootRef) Append(b []byte) []byte {
	return append(put16(put64(put64(b, r.DirID), r.Sequence), uint16(len(r.Name))), r.Name...)
}

// DecodeRootRef decodes a ROOT_REF or ROOT_BACKREF item.
func DecodeRootRef(b []byte) (RootRef, error) {
	if err := needAtLeast("root ref", b, RootRefSize); err != nil {
		return RootRef{}, err
	}
	name, rest, err := takeName("root ref", b[RootRefSize:], u16(b[16:]))
	if err != nil {
		return RootRef{}, err
	}
	if len(rest) != 0 {
		return RootRef{}, malformed("root ref", "%d bytes behind the name", len(rest))
	}
	return RootRef{DirID: u64(b), Sequence: u64(b[8:]), Name: name}, nil
}

// UUIDKey returns the key of a UUID tree item for a UUID.
func UUIDKey(uuid [UUIDSize]byte, t Type) Key {
	return Key{ObjectID: u64(uuid[:]), Type: t, Offset: u64(uuid[8:])}
}
