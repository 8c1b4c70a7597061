package ondisk

// Sizes inside a tree block.
const (
	HeaderSize     = 101
	ItemHeaderSize = 25
	KeyPtrSize     = 33
)

// LeafSpace is the room for item headers and item data in a leaf.
func LeafSpace(nodeSize int) int { return nodeSize - HeaderSize }

// MaxItemSize is the largest item data that fits in a leaf.
func MaxItemSize(nodeSize int) int { return LeafSpace(nodeSize) - ItemHeaderSize }

// MaxKeyPtrs is the number of children a node can have.
func MaxKeyPtrs(nodeSize int) int { return LeafSpace(nodeSize) / KeyPtrSize }

// Header starts every tree block.
type Header struct {
	FSID       [UUIDSize]byte
	Bytenr     Logical // the block's own address
	Flags      uint64  // FlagWritten | BackrefRev on a block at rest
	ChunkUUID  [UUIDSize]byte
	Generation uint64
	Owner      uint64 // the tree
	NrItems    uint32
	Level      uint8 // 0 is a leaf
}

// Put encodes the header into the first HeaderSize bytes of block, leaving the
// checksum field alone.
func (h *Header) Put(block []byte) {
	b := append(block[:ChecksumSize], h.FSID[:]...)
	b = put64(b, uint64(h.Bytenr))
	b = put64(b, h.Flags)
	b = append(b, h.ChunkUUID[:]...)
	b = put64(b, h.Generation)
	b = put64(b, h.Owner)
	b = put32(b, h.NrItems)
	_ = append(b, h.Level)
}

// DecodeHeader decodes the header at the start of a tree block.
func DecodeHeader(block []byte) (Header, error) {
	var h Header
	if err := needAtLeast("tree block header", block, HeaderSize); err != nil {
		return h, err
	}
	copy(h.FSID[:], block[32:])
	h.Bytenr = Logical(u64(block[48:]))
	h.Flags = u64(block[56:])
	copy(h.ChunkUUID[:], block[64:])
	h.Generation = u64(block[80:])
	h.Owner = u64(block[88:])
	h.NrItems = u32(block[96:])
	h.Level = block[100]
	return h, nil
}

// ItemHeader describes one item of a leaf. Offset counts from the end of the
// block's header.
type ItemHeader struct {
	Key    Key
	Offset uint32
	Size   uint32
}

// Append encodes the item header at the end of b.
func (i ItemHeader) Append(b []byte) []byte { return put32(put32(i.Key.Append(b), i.Offset), i.Size) }

// Item is one item of a decoded leaf; Data points into the block.
type Item struct {
	Key  Key
	Data []byte
}

// DecodeLeaf returns the items of a leaf. Data must be packed from the end of
// the block without gaps, as the kernel demands, and keys must ascend.
func DecodeLeaf(block []byte) ([]Item, error) {
	h, err := DecodeHeader(block)
	if err != nil {
		return nil, err
	}
	space := LeafSpace(len(block))
	if h.Level != 0 || uint64(h.NrItems)*ItemHeaderSize > uint64(space) {
		return nil, malformed("leaf", "level %d with %d items, expected level 0 with at most %d", h.Level, h.NrItems, space/ItemHeaderSize)
	}
	items := make([]Item, h.NrItems)
	body, end := block[HeaderSize:], space
	for i := range items {
		raw := body[i*ItemHeaderSize:]
		key, err := DecodeKey(raw)
		if err != nil {
			return nil, err
		}
		offset, size := u32(raw[KeySize:]), u32(raw[KeySize+4:])
		if uint64(offset)+uint64(size) != uint64(end) || int64(offset) < int64(len(items)*ItemHeaderSize) {
			return nil, malformed("leaf", "item %d %v: data at %d+%d, expected to end at %d", i, key, offset, size, end)
		}
		if i > 0 && items[i-1].Key.Compare(key) >= 0 {
			return nil, malformed("leaf", "item %d: key %v does not follow %v", i, key, items[i-1].Key)
		}
		items[i] = Item{Key: key, Data: body[offset:end:end]}
		end = int(offset)
	}
	return items, nil
}

// KeyPtr is one child of a node.
type KeyPtr struct {
	Key        Key // first key of the child
	Block      Logical
	Generation uint64
}

// Append encodes the pointer at the end of b.
func (p KeyPtr) Append(b []byte) []byte {
	return put64(put64(p.Key.Append(b), uint64(p.Block)), p.Generation)
}

// DecodeNode returns the children of a node, whose keys must ascend.
func DecodeNode(block []byte) ([]KeyPtr, error) {
	h, err := DecodeHeader(block)
	if err != nil {
		return nil, err
	}
	most := MaxKeyPtrs(len(block))
	if h.Level == 0 || h.Level >= MaxLevel || h.NrItems == 0 || uint64(h.NrItems) > uint64(most) {
		return nil, malformed("node", "level %d with %d pointers, expected level 1 to %d with 1 to %d", h.Level, h.NrItems, MaxLevel-1, most)
	}
	ptrs := make([]KeyPtr, h.NrItems)
	for i := range ptrs {
		raw := block[HeaderSize+i*KeyPtrSize:]
		key, err := DecodeKey(raw)
		if err != nil {
			return nil, err
		}
		if i > 0 && ptrs[i-1].Key.Compare(key) >= 0 {
			return nil, malformed("node", "pointer %d: key %v does not follow %v", i, key, ptrs[i-1].Key)
		}
		ptrs[i] = KeyPtr{Key: key, Block: Logical(u64(raw[KeySize:])), Generation: u64(raw[KeySize+8:])}
	}
	return ptrs, nil
}
