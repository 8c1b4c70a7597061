package ondisk

// BlockGroupFlags say what a chunk holds and how it is replicated.
type BlockGroupFlags uint64

// Content types and profiles; no profile bit means single.
const (
	GroupData     BlockGroupFlags = 1 << 0
	GroupSystem   BlockGroupFlags = 1 << 1
	GroupMetadata BlockGroupFlags = 1 << 2
	GroupRAID0    BlockGroupFlags = 1 << 3
	GroupRAID1    BlockGroupFlags = 1 << 4
	GroupDUP      BlockGroupFlags = 1 << 5
	GroupRAID10   BlockGroupFlags = 1 << 6
	GroupRAID5    BlockGroupFlags = 1 << 7
	GroupRAID6    BlockGroupFlags = 1 << 8
	GroupRAID1C3  BlockGroupFlags = 1 << 9
	GroupRAID1C4  BlockGroupFlags = 1 << 10

	GroupTypeMask    = GroupData | GroupSystem | GroupMetadata
	GroupProfileMask = GroupRAID0 | GroupRAID1 | GroupDUP | GroupRAID10 | GroupRAID5 | GroupRAID6 | GroupRAID1C3 | GroupRAID1C4
)

// Stripe is one copy or part of a chunk on a device.
type Stripe struct {
	DevID   uint64
	Offset  Physical
	DevUUID [UUIDSize]byte
}

// Sizes of the structures in this file.
const (
	chunkFixedSize     = 48
	stripeSize         = 32
	DevItemSize        = 98
	DevExtentSize      = 48
	BlockGroupItemSize = 24
)

// Chunk maps a range of logical addresses, whose start is the offset of its
// key, to stripes.
type Chunk struct {
	Length     uint64
	Owner      uint64 // ExtentTree
	StripeLen  uint64
	Type       BlockGroupFlags
	IOAlign    uint32
	IOWidth    uint32
	SectorSize uint32
	SubStripes uint16
	Stripes    []Stripe
}

// Append encodes the chunk at the end of b.
func (c *Chunk) Append(b []byte) []byte {
	b = put64(b, c.Length)
	b = put64(b, c.Owner)
	b = put64(b, c.StripeLen)
	b = put64(b, uint64(c.Type))
	b = put32(b, c.IOAlign)
	b = put32(b, c.IOWidth)
	b = put32(b, c.SectorSize)
	b = put16(b, uint16(len(c.Stripes)))
	b = put16(b, c.SubStripes)
	for _, s := range c.Stripes {
		b = put64(b, s.DevID)
		b = put64(b, uint64(s.Offset))
		b = append(b, s.DevUUID[:]...)
	}
	return b
}

// DecodeChunk decodes the chunk at the start of b and returns the rest of b.
func DecodeChunk(b []byte) (Chunk, []byte, error) {
	if err := needAtLeast("chunk", b, chunkFixedSize+stripeSize); err != nil {
		return Chunk{}, nil, err
	}
	c := Chunk{
		Length: u64(b), Owner: u64(b[8:]), StripeLen: u64(b[16:]), Type: BlockGroupFlags(u64(b[24:])),
		IOAlign: u32(b[32:]), IOWidth: u32(b[36:]), SectorSize: u32(b[40:]), SubStripes: u16(b[46:]),
	}
	n := int(u16(b[44:]))
	rest := b[chunkFixedSize:]
	if n == 0 || len(rest) < n*stripeSize {
		return Chunk{}, nil, malformed("chunk", "%d stripes in %d bytes", n, len(rest))
	}
	c.Stripes = make([]Stripe, n)
	for i := range c.Stripes {
		s := rest[i*stripeSize:]
		c.Stripes[i] = Stripe{DevID: u64(s), Offset: Physical(u64(s[8:]))}
		copy(c.Stripes[i].DevUUID[:], s[16:])
	}
	return c, rest[n*stripeSize:], nil
}

// DevItem describes a device.
type DevItem struct {
	DevID      uint64
	TotalBytes uint64
	BytesUsed  uint64 // sum of its device extents
	IOAlign    uint32
	IOWidth    uint32
	SectorSize uint32
	Type       uint64
	Generation uint64
	Start      uint64
	Group      uint32
	SeekSpeed  uint8
	Bandwidth  uint8
	UUID       [UUIDSize]byte
	FSID       [UUIDSize]byte
}

// Append encodes the device item at the end of b.
func (d *DevItem) Append(b []byte) []byte {
	b = put64(b, d.DevID)
	b = put64(b, d.TotalBytes)
	b = put64(b, d.BytesUsed)
	b = put32(b, d.IOAlign)
	b = put32(b, d.IOWidth)
	b = put32(b, d.SectorSize)
	b = put64(b, d.Type)
	b = put64(b, d.Generation)
	b = put64(b, d.Start)
	b = put32(b, d.Group)
	b = append(b, d.SeekSpeed, d.Bandwidth)
	b = append(b, d.UUID[:]...)
	return append(b, d.FSID[:]...)
}

// DecodeDevItem decodes a device item of exactly DevItemSize bytes.
func DecodeDevItem(b []byte) (DevItem, error) {
	if err := needExactly("device item", b, DevItemSize); err != nil {
		return DevItem{}, err
	}
	d := DevItem{
		DevID: u64(b), TotalBytes: u64(b[8:]), BytesUsed: u64(b[16:]),
		IOAlign: u32(b[24:]), IOWidth: u32(b[28:]), SectorSize: u32(b[32:]),
		Type: u64(b[36:]), Generation: u64(b[44:]), Start: u64(b[52:]),
		Group: u32(b[60:]), SeekSpeed: b[64], Bandwidth: b[65],
	}
	copy(d.UUID[:], b[66:])
	copy(d.FSID[:], b[82:])
	return d, nil
}

// DevExtent is the device's view of one stripe; its key's offset is the
// physical address.
type DevExtent struct {
	ChunkTree     uint64
	ChunkObjectID uint64
	ChunkOffset   Logical
	Length        uint64
	ChunkUUID     [UUIDSize]byte
}

// Append encodes the device extent at the end of b.
func (d *DevExtent) Append(b []byte) []byte {
	b = put64(b, d.ChunkTree)
	b = put64(b, d.ChunkObjectID)
	b = put64(b, uint64(d.ChunkOffset))
	b = put64(b, d.Length)
	return append(b, d.ChunkUUID[:]...)
}

// DecodeDevExtent decodes a device extent of exactly DevExtentSize bytes.
func DecodeDevExtent(b []byte) (DevExtent, error) {
	if err := needExactly("device extent", b, DevExtentSize); err != nil {
		return DevExtent{}, err
	}
	d := DevExtent{ChunkTree: u64(b), ChunkObjectID: u64(b[8:]), ChunkOffset: Logical(u64(b[16:])), Length: u64(b[24:])}
	copy(d.ChunkUUID[:], b[32:])
	return d, nil
}

// BlockGroupItem says how much of a chunk is used. Its key is (logical,
// BLOCK_GROUP_ITEM, length).
type BlockGroupItem struct {
	Used          uint64
	ChunkObjectID uint64
	Flags         BlockGroupFlags
}

// Append encodes the block group item at the end of b.
func (g BlockGroupItem) Append(b []byte) []byte {
	return put64(put64(put64(b, g.Used), g.ChunkObjectID), uint64(g.Flags))
}

// DecodeBlockGroupItem decodes an item of exactly BlockGroupItemSize bytes.
func DecodeBlockGroupItem(b []byte) (BlockGroupItem, error) {
	if err := needExactly("block group item", b, BlockGroupItemSize); err != nil {
		return BlockGroupItem{}, err
	}
	return BlockGroupItem{Used: u64(b), ChunkObjectID: u64(b[8:]), Flags: BlockGroupFlags(u64(b[16:]))}, nil
}
