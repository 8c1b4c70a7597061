package reader

import (
	"fmt"
	"math"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// ChunkInfo is a chunk with the logical address where it starts.
type ChunkInfo struct {
	Logical ondisk.Logical
	Chunk   ondisk.Chunk
}

// end returns the logical address behind the chunk.
func (c *ChunkInfo) end() uint64 { return uint64(c.Logical) + c.Chunk.Length }

// Chunks returns all chunks, sorted by logical address. They do not overlap
// and lie within the device.
func (f *FS) Chunks() []ChunkInfo { return slices.Clone(f.chunks) }

// Copies returns the physical address of every copy of the n bytes at l, which
// must lie inside one chunk.
func (f *FS) Copies(l ondisk.Logical, n int64) ([]ondisk.Physical, error) {
	chunk, err := f.chunkOf(l, n)
	if err != nil {
		return nil, err
	}
	copies := make([]ondisk.Physical, len(chunk.Chunk.Stripes))
	for i, stripe := range chunk.Chunk.Stripes {
		copies[i] = stripe.Offset + ondisk.Physical(l-chunk.Logical)
	}
	return copies, nil
}

// ReadCopy fills p from the device, without any check of what it reads.
func (f *FS) ReadCopy(p []byte, at ondisk.Physical) error {
	if uint64(at) > uint64(f.size) || uint64(len(p)) > uint64(f.size)-uint64(at) {
		return fmt.Errorf("physical %d: %d bytes reach beyond the device of %d bytes", at, len(p), f.size)
	}
	return readFull(f.device, p, int64(at))
}

func (f *FS) chunkOf(l ondisk.Logical, n int64) (*ChunkInfo, error) {
	i, found := slices.BinarySearchFunc(f.chunks, l, compareStart)
	if !found {
		i--
	}
	if i < 0 || uint64(l) >= f.chunks[i].end() {
		return nil, fmt.Errorf("logical %d: in no chunk", l)
	}
	if left := f.chunks[i].end() - uint64(l); n < 0 || uint64(n) > left {
		return nil, fmt.Errorf("logical %d: %d bytes, %d left in the chunk at %d", l, n, left, f.chunks[i].Logical)
	}
	return &f.chunks[i], nil
}

func compareStart(c ChunkInfo, l ondisk.Logical) int {
	switch {
	case c.Logical < l:
		return -1
	case c.Logical > l:
		return 1
	}
	return 0
}

// loadChunks builds the map from the superblock's system chunks, which hold
// the chunk tree, and then from the chunk tree.
func (f *FS) loadChunks() error {
	for _, sys := range f.super.SysChunks {
		if sys.Chunk.Type&ondisk.GroupSystem == 0 {
			return fmt.Errorf("superblock: chunk %v of type %#x among the system chunks", sys.Key, uint64(sys.Chunk.Type))
		}
		if err := f.addChunk(sys.Key, sys.Chunk); err != nil {
			return err
		}
	}
	from := ondisk.Key{ObjectID: ondisk.FirstChunkTree, Type: ondisk.TypeChunkItem}
	to := ondisk.Key{ObjectID: ondisk.FirstChunkTree, Type: ondisk.TypeChunkItem, Offset: math.MaxUint64}
	var found []ondisk.SysChunk
	for item, err := range f.Items(ondisk.ChunkTree, from, to) {
		if err != nil {
			return err
		}
		chunk, rest, err := ondisk.DecodeChunk(item.Data)
		if err != nil {
			return fmt.Errorf("chunk %d: %w", item.Key.Offset, err)
		}
		if len(rest) != 0 {
			return fmt.Errorf("chunk %d: %d bytes behind its stripes", item.Key.Offset, len(rest))
		}
		found = append(found, ondisk.SysChunk{Key: item.Key, Chunk: chunk})
	}
	// The map changes only now: the walk above uses it.
	for _, c := range found {
		if err := f.addChunk(c.Key, c.Chunk); err != nil {
			return err
		}
	}
	return nil
}

// addChunk inserts a chunk after checking it. The same chunk may come twice,
// from the superblock and from the chunk tree.
func (f *FS) addChunk(key ondisk.Key, chunk ondisk.Chunk) error {
	if key.ObjectID != ondisk.FirstChunkTree || key.Type != ondisk.TypeChunkItem {
		return fmt.Errorf("chunk: key %v, expected (%d %v x)", key, ondisk.FirstChunkTree, ondisk.TypeChunkItem)
	}
	start := ondisk.Logical(key.Offset)
	if err := f.checkChunk(start, &chunk); err != nil {
		return fmt.Errorf("chunk %d: %w", start, err)
	}
	i, found := slices.BinarySearchFunc(f.chunks, start, compareStart)
	if found {
		if old := f.chunks[i].Chunk; old.Length != chunk.Length || old.Type != chunk.Type || !slices.Equal(old.Stripes, chunk.Stripes) {
			return fmt.Errorf("chunk %d: differs between the superblock and the chunk tree", start)
		}
		return nil
	}
	info := ChunkInfo{Logical: start, Chunk: chunk}
	if i > 0 && f.chunks[i-1].end() > key.Offset {
		return fmt.Errorf("chunk %d: overlaps the chunk at %d", start, f.chunks[i-1].Logical)
	}
	if i < len(f.chunks) && info.end() > uint64(f.chunks[i].Logical) {
		return fmt.Errorf("chunk %d: overlaps the chunk at %d", start, f.chunks[i].Logical)
	}
	f.chunks = slices.Insert(f.chunks, i, info)
	return nil
}

func (f *FS) checkChunk(start ondisk.Logical, c *ondisk.Chunk) error {
	if c.Length == 0 || c.Length%ondisk.SectorSize != 0 || uint64(start)%ondisk.SectorSize != 0 ||
		c.Length > math.MaxUint64-uint64(start) {
		return fmt.Errorf("length %d, expected a multiple of %d", c.Length, ondisk.SectorSize)
	}
	if c.StripeLen != ondisk.StripeLen {
		return fmt.Errorf("stripe length %d, expected %d", c.StripeLen, ondisk.StripeLen)
	}
	if c.Type&ondisk.GroupTypeMask == 0 || c.Type&^(ondisk.GroupTypeMask|ondisk.GroupProfileMask) != 0 {
		return fmt.Errorf("type %#x, expected data, metadata or system", uint64(c.Type))
	}
	stripes := 1
	switch profile := c.Type & ondisk.GroupProfileMask; profile {
	case 0:
	case ondisk.GroupDUP:
		stripes = 2
	default:
		return fmt.Errorf("profile %s, expected single or DUP", profileName(profile))
	}
	if len(c.Stripes) != stripes {
		return fmt.Errorf("%d stripes, expected %d", len(c.Stripes), stripes)
	}
	total := f.super.DevItem.TotalBytes
	for _, s := range c.Stripes {
		if s.DevID != f.super.DevItem.DevID {
			return fmt.Errorf("stripe on device %d, expected %d", s.DevID, f.super.DevItem.DevID)
		}
		if uint64(s.Offset)%ondisk.SectorSize != 0 || c.Length > total || uint64(s.Offset) > total-c.Length {
			return fmt.Errorf("stripe of %d bytes at physical %d, the device has %d bytes", c.Length, s.Offset, total)
		}
	}
	return nil
}

var profileNames = map[ondisk.BlockGroupFlags]string{
	ondisk.GroupRAID0: "RAID0", ondisk.GroupRAID1: "RAID1", ondisk.GroupRAID10: "RAID10", ondisk.GroupRAID5: "RAID5",
	ondisk.GroupRAID6: "RAID6", ondisk.GroupRAID1C3: "RAID1C3", ondisk.GroupRAID1C4: "RAID1C4",
}

func profileName(profile ondisk.BlockGroupFlags) string {
	if name, ok := profileNames[profile]; ok {
		return name
	}
	return fmt.Sprintf("%#x", uint64(profile))
}
