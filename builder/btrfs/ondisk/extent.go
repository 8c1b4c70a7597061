package ondisk

// Compression is the algorithm of a file extent.
type Compression uint8

// Compression algorithms.
const (
	CompressNone Compression = 0
	CompressZlib Compression = 1
	CompressLZO  Compression = 2
	CompressZstd Compression = 3
)

// ExtentKind is the type byte of a file extent.
type ExtentKind uint8

// Kinds of file extents.
const (
	ExtentInline   ExtentKind = 0
	ExtentRegular  ExtentKind = 1
	ExtentPrealloc ExtentKind = 2
)

// Sizes of file extent items.
const (
	FileExtentInlineSize  = 21 // the inline data follows
	FileExtentRegularSize = 53
)

// FileExtent is the EXTENT_DATA item: which bytes of the device, or of the
// item itself, hold a part of a file. Its key's offset is the file position.
type FileExtent struct {
	Generation   uint64
	RAMBytes     uint64 // uncompressed length of the whole extent
	Compression  Compression
	Kind         ExtentKind
	Inline       []byte  // stored bytes of an inline extent
	DiskBytenr   Logical // 0 is a hole
	DiskNumBytes uint64
	Offset       uint64 // into the uncompressed extent
	NumBytes     uint64 // length in the file
}

// Append encodes the file extent at the end of b.
func (e *FileExtent) Append(b []byte) []byte {
	b = put64(put64(b, e.Generation), e.RAMBytes)
	b = append(b, uint8(e.Compression), 0, 0, 0, uint8(e.Kind))
	if e.Kind == ExtentInline {
		return append(b, e.Inline...)
	}
	return put64(put64(put64(put64(b, uint64(e.DiskBytenr)), e.DiskNumBytes), e.Offset), e.NumBytes)
}

// DecodeFileExtent decodes an EXTENT_DATA item. Inline points into b.
func DecodeFileExtent(b []byte) (FileExtent, error) {
	if err := needAtLeast("file extent", b, FileExtentInlineSize); err != nil {
		return FileExtent{}, err
	}
	e := FileExtent{Generation: u64(b), RAMBytes: u64(b[8:]), Compression: Compression(b[16]), Kind: ExtentKind(b[20])}
	if b[17] != 0 || u16(b[18:]) != 0 || e.Compression > CompressZstd || e.Kind > ExtentPrealloc {
		return FileExtent{}, malformed("file extent", "compression %d, encryption %d, other encoding %d, type %d", b[16], b[17], u16(b[18:]), b[20])
	}
	if e.Kind == ExtentInline {
		e.Inline = b[FileExtentInlineSize:]
		return e, nil
	}
	if err := needExactly("file extent", b, FileExtentRegularSize); err != nil {
		return FileExtent{}, err
	}
	e.DiskBytenr, e.DiskNumBytes = Logical(u64(b[21:])), u64(b[29:])
	e.Offset, e.NumBytes = u64(b[37:]), u64(b[45:])
	return e, nil
}

// Flags of extent items.
const (
	ExtentFlagData        uint64 = 1 << 0
	ExtentFlagTreeBlock   uint64 = 1 << 1
	ExtentFlagFullBackref uint64 = 1 << 8
)

// Sizes of extent items.
const (
	ExtentItemSize     = 24
	ExtentDataRefSize  = 28
	InlineDataRefSize  = 1 + ExtentDataRefSize
	InlineBlockRefSize = 1 + 8
	treeBlockInfoSize  = 18 // key and level, before SKINNY_METADATA
)

// ExtentItem starts an EXTENT_ITEM or METADATA_ITEM; back references follow.
type ExtentItem struct {
	Refs       uint64
	Generation uint64
	Flags      uint64
}

// Append encodes the extent item at the end of b.
func (e ExtentItem) Append(b []byte) []byte {
	return put64(put64(put64(b, e.Refs), e.Generation), e.Flags)
}

// DataRef is a reference from file extent items of one inode to a data extent.
type DataRef struct {
	Root     uint64
	ObjectID uint64
	Offset   uint64 // file position minus the offset into the extent
	Count    uint32
}

// Hash orders data references; see DataRefHash.
func (r DataRef) Hash() uint64 { return DataRefHash(r.Root, r.ObjectID, r.Offset) }

// Append encodes the body of an EXTENT_DATA_REF at the end of b.
func (r DataRef) Append(b []byte) []byte {
	return put32(put64(put64(put64(b, r.Root), r.ObjectID), r.Offset), r.Count)
}

// DecodeDataRef decodes the body of an EXTENT_DATA_REF at the start of b.
func DecodeDataRef(b []byte) (DataRef, error) {
	if err := needAtLeast("extent data ref", b, ExtentDataRefSize); err != nil {
		return DataRef{}, err
	}
	return DataRef{Root: u64(b), ObjectID: u64(b[8:]), Offset: u64(b[16:]), Count: u32(b[24:])}, nil
}

// InlineRef is one back reference inside an extent item. Which fields are set
// depends on Type: Data for EXTENT_DATA_REF, Offset (a tree or the address of
// the parent block) for the others, Count for SHARED_DATA_REF.
type InlineRef struct {
	Type   Type
	Offset uint64
	Count  uint32
	Data   DataRef
}

// DecodeExtentItem decodes an EXTENT_ITEM or METADATA_ITEM with all its inline
// references. For a tree block in an EXTENT_ITEM it also skips the key and
// returns the level; skinny items have it in their key.
func DecodeExtentItem(b []byte, skinny bool) (item ExtentItem, level uint8, refs []InlineRef, err error) {
	if err := needAtLeast("extent item", b, ExtentItemSize); err != nil {
		return item, 0, nil, err
	}
	item = ExtentItem{Refs: u64(b), Generation: u64(b[8:]), Flags: u64(b[16:])}
	b = b[ExtentItemSize:]
	if item.Flags&ExtentFlagTreeBlock != 0 && !skinny {
		if err := needAtLeast("extent item", b, treeBlockInfoSize); err != nil {
			return item, 0, nil, err
		}
		level, b = b[KeySize], b[treeBlockInfoSize:]
	}
	for len(b) > 0 {
		var ref InlineRef
		if ref, b, err = decodeInlineRef(b); err != nil {
			return item, level, nil, err
		}
		refs = append(refs, ref)
	}
	return item, level, refs, nil
}

func decodeInlineRef(b []byte) (InlineRef, []byte, error) {
	ref := InlineRef{Type: Type(b[0])}
	size := InlineBlockRefSize
	switch ref.Type {
	case TypeTreeBlockRef, TypeSharedBlockRef, TypeExtentOwnerRef:
	case TypeSharedDataRef:
		size += 4
	case TypeExtentDataRef:
		size = InlineDataRefSize
	default:
		return ref, nil, malformed("inline ref", "type %v", ref.Type)
	}
	if err := needAtLeast("inline ref", b, size); err != nil {
		return ref, nil, err
	}
	switch ref.Type {
	case TypeExtentDataRef:
		var err error
		ref.Data, err = DecodeDataRef(b[1:])
		return ref, b[size:], err
	case TypeSharedDataRef:
		ref.Count = u32(b[9:])
	}
	ref.Offset = u64(b[1:])
	return ref, b[size:], nil
}

// FreeSpaceInfo is the FREE_SPACE_INFO item of a block group.
type FreeSpaceInfo struct {
	ExtentCount uint32
	Flags       uint32 // 1 means bitmaps
}

// FreeSpaceUsingBitmaps is the flag of a block group whose free space is kept
// in bitmaps.
const FreeSpaceUsingBitmaps uint32 = 1

// FreeSpaceInfoSize is the size of an encoded FreeSpaceInfo.
const FreeSpaceInfoSize = 8

// Append encodes the item at the end of b.
func (f FreeSpaceInfo) Append(b []byte) []byte { return put32(put32(b, f.ExtentCount), f.Flags) }

// DecodeFreeSpaceInfo decodes an item of exactly FreeSpaceInfoSize bytes.
func DecodeFreeSpaceInfo(b []byte) (FreeSpaceInfo, error) {
	if err := needExactly("free space info", b, FreeSpaceInfoSize); err != nil {
		return FreeSpaceInfo{}, err
	}
	return FreeSpaceInfo{ExtentCount: u32(b), Flags: u32(b[4:])}, nil
}
