package btrfs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// chunk is a range of logical addresses and the place of its copies.
type chunk struct {
	flags    ondisk.BlockGroupFlags
	logical  ondisk.Logical
	length   uint64
	used     uint64 // filled from the start, but for chunks of an older file system
	physical []ondisk.Physical
}

// at returns the place of a logical address in one of the copies.
func (c *chunk) at(l ondisk.Logical, i int) ondisk.Physical {
	return c.physical[i] + ondisk.Physical(l-c.logical)
}

// chunkSizes are the lengths that the allocator uses. They are parameters only
// for tests, which want many chunks in a small file system, or last trees that do not
// come to rest.
type chunkSizes struct {
	system    uint64 // the only SYSTEM chunk
	firstMeta uint64 // the first METADATA chunk
	maxMeta   uint64 // no later one is longer
	maxData   uint64 // a DATA chunk is closed at this length
	headroom  uint64 // of free metadata space in a finished file system
	minMeta   uint64 // of a chunk that only provides headroom
	rounds    int    // in which the last trees must settle in the places of older ones
}

// The first two chunks with two copies each end at the superblock copy at
// 64 MiB: 1 + 2*4 + 2*27.5 = 64. Longer chunks follow the kernel:
// 256 MiB of metadata, 1 GiB of data, so that balance can move them. The
// headroom lets the kernel commit and reserve in a full device.
var defaultChunkSizes = chunkSizes{
	system:    4 << 20,
	firstMeta: 55 << 19,
	maxMeta:   256 << 20,
	maxData:   1 << 30,
	headroom:  16 << 20,
	minMeta:   4 << 20,
	rounds:    10,
}

// space hands out chunks and addresses. Only the newest data chunk grows; it
// is closed when another chunk is needed, so that device and address space are
// both filled from their start. With the places of an older file system, they are
// filled from its end, once its own chunks and gaps are.
type space struct {
	sizes   chunkSizes
	profile Profile
	old     *Places   // or nil
	gaps    gapFinder // in the data chunks of the older file system
	chunks  []*chunk  // by logical address
	system  *chunk
	room    []gap  // for tree blocks
	frozen  bool   // no more chunks are made
	data    *chunk // open for more, or nil
	limit   uint64 // up to which data may grow
	logical ondisk.Logical
	device  ondisk.Physical
}

func newSpace(sizes chunkSizes, profile Profile, old *Places) *space {
	s := &space{sizes: sizes, profile: profile, old: old, logical: ondisk.FirstUsable, device: ondisk.FirstUsable}
	if old != nil {
		s.keepChunks()
	}
	s.system = s.newChunk(ondisk.GroupSystem, sizes.system)
	if len(s.room) == 0 {
		s.moreRoom(sizes.firstMeta)
	}
	return s
}

// keepChunks makes the chunks of the older file system that hold known data or tree
// blocks. Those of data that turn out not to be used go away in the end.
func (s *space) keepChunks() {
	logical, device := s.old.end()
	s.logical, s.device = max(s.logical, logical), max(s.device, device)
	for _, old := range s.old.chunks {
		switch {
		case !old.known:
			continue
		case old.flags == ondisk.GroupData:
			s.gaps.gaps = append(s.gaps.gaps, old.gaps...)
		case old.flags == s.flags(ondisk.GroupMetadata):
			s.room = append(s.room, old.gaps...)
		default: // another number of copies
			continue
		}
		c := old.chunk
		s.chunks = append(s.chunks, &c)
	}
}

// flags returns the flags of a chunk with as many copies as it shall have.
func (s *space) flags(kind ondisk.BlockGroupFlags) ondisk.BlockGroupFlags {
	if kind != ondisk.GroupData && s.profile.copies() == 2 {
		kind |= ondisk.GroupDUP
	}
	return kind
}

// moreRoom makes another chunk of tree blocks.
func (s *space) moreRoom(length uint64) {
	c := s.newChunk(ondisk.GroupMetadata, length)
	s.room = append(s.room, gap{c.logical, c.logical + ondisk.Logical(c.length)})
}

// newChunk makes a chunk of a fixed length, or longer where the older file system
// has one.
func (s *space) newChunk(flags ondisk.BlockGroupFlags, length uint64) *chunk {
	s.closeData()
	copies := 1
	if flags = s.flags(flags); flags&ondisk.GroupDUP != 0 {
		copies = 2
	}
	if s.old != nil {
		if c := s.old.take(flags, length); c != nil {
			s.chunks = slices.Insert(s.chunks, s.behind(c.logical), c)
			return c
		}
	}
	c := &chunk{flags: flags, logical: s.logical, length: length}
	for range copies {
		start := skipMirrors(s.device, length)
		c.physical = append(c.physical, start)
		s.device = start + ondisk.Physical(length)
	}
	s.logical += ondisk.Logical(length)
	s.chunks = append(s.chunks, c)
	return c
}

// skipMirrors returns the first address from start on where length bytes touch
// no copy of the superblock: the kernel overwrites those at every commit.
func skipMirrors(start ondisk.Physical, length uint64) ondisk.Physical {
	for _, m := range ondisk.SuperMirrors {
		if start < m+ondisk.MirrorRegion && start+ondisk.Physical(length) > m {
			start = m + ondisk.MirrorRegion
		}
	}
	return start
}

// openData starts a data chunk that can hold at least length bytes.
func (s *space) openData(length uint64) {
	start := skipMirrors(s.device, length)
	s.limit = max(s.sizes.maxData, roundUp(length, ondisk.StripeLen))
	for _, m := range ondisk.SuperMirrors {
		if start < m {
			s.limit = min(s.limit, uint64(m-start))
		}
	}
	s.data = &chunk{flags: ondisk.GroupData, logical: s.logical, physical: []ondisk.Physical{start}}
	s.chunks = append(s.chunks, s.data)
}

// closeData gives the open data chunk its final length.
func (s *space) closeData() {
	if s.data == nil {
		return
	}
	s.data.length = roundUp(s.data.used, ondisk.StripeLen)
	s.logical += ondisk.Logical(s.data.length)
	s.device = s.data.physical[0] + ondisk.Physical(s.data.length)
	s.data = nil
}

// allocData returns length bytes, a multiple of the sector size and at most a
// block, for content with these checksums: where the older file system has the
// same, in a gap of it, or next to those handed out before where the chunk allows.
func (s *space) allocData(length uint64, sums []byte) (at ondisk.Logical, device ondisk.Physical, kept bool) {
	if s.old != nil {
		at, kept := s.old.claim(sums)
		found := kept
		if !found {
			at, found = s.gaps.find(length)
		}
		if found {
			c := s.find(at)
			c.used += length
			return at, c.at(at, 0), kept
		}
	}
	if s.data != nil && s.data.used+length > s.limit {
		s.closeData()
	}
	if s.data == nil {
		s.openData(length)
	}
	l := s.data.logical + ondisk.Logical(s.data.used)
	s.data.used += length
	return l, s.data.at(l, 0), false
}

// reserveData returns one run of any length in a chunk of its own.
func (s *space) reserveData(length uint64) (ondisk.Logical, ondisk.Physical, error) {
	rounded := roundUp(length, ondisk.StripeLen)
	if rounded >= 1<<48 { // the kernel refuses chunks of 256 TiB
		return 0, 0, fmt.Errorf("chunk of %d bytes: expected less than 256 TiB", rounded)
	}
	c := s.newChunk(ondisk.GroupData, rounded)
	c.used = length
	return c.logical, c.physical[0], nil
}

// errNoRoom says that a frozen space is full.
var errNoRoom = errors.New("btrfs: the last trees need more than was set aside")

// allocMeta returns the address of the next tree block outside the chunk tree: the
// place, unless that is 0 or in no chunk that was kept, or else the first free one.
func (s *space) allocMeta(place ondisk.Logical) (ondisk.Logical, error) {
	if i := s.behind(place+1) - 1; place > 0 && i >= 0 && s.chunks[i].holdsBlock(place, s.flags(ondisk.GroupMetadata)) {
		s.chunks[i].used += ondisk.NodeSize
		return place, nil
	}
	for len(s.room) > 0 && s.room[0].size() < ondisk.NodeSize {
		s.room = s.room[1:]
	}
	if len(s.room) == 0 {
		if s.frozen {
			return 0, errNoRoom
		}
		s.moreRoom(s.nextMeta())
	}
	at := s.room[0].start
	s.room[0].start += ondisk.NodeSize
	s.find(at).used += ondisk.NodeSize
	return at, nil
}

// holdsBlock reports whether a tree block at a place is in the chunk.
func (c *chunk) holdsBlock(at ondisk.Logical, flags ondisk.BlockGroupFlags) bool {
	return c.flags == flags && at >= c.logical && uint64(at-c.logical)+ondisk.NodeSize <= c.length
}

// undo takes back the newest tree blocks, whose room was as given before them.
func (s *space) undo(blocks []treeBlock, room []gap) {
	for _, b := range blocks {
		s.find(b.at).used -= ondisk.NodeSize
	}
	s.room = slices.Clone(room)
}

// nextMeta is the length of a further metadata chunk: a quarter of all so far,
// since what the last one has too much makes the image longer.
func (s *space) nextMeta() uint64 {
	total := uint64(0)
	for _, c := range s.chunks {
		if c.flags&ondisk.GroupMetadata != 0 {
			total += c.length
		}
	}
	return min(max(roundUp(total/4, ondisk.StripeLen), s.sizes.firstMeta), s.sizes.maxMeta)
}

// find returns the chunk that holds a logical address.
func (s *space) find(l ondisk.Logical) *chunk { return s.chunks[s.behind(l+1)-1] }

// behind returns the index of the first chunk that starts at an address or behind.
func (s *space) behind(l ondisk.Logical) int {
	i, _ := slices.BinarySearchFunc(s.chunks, l, func(c *chunk, l ondisk.Logical) int { return cmp.Compare(c.logical, l) })
	return i
}

// allocSystem returns the address of the next block of the chunk tree.
func (s *space) allocSystem() (ondisk.Logical, error) {
	if s.system.used+ondisk.NodeSize > s.system.length {
		return 0, fmt.Errorf("chunk tree: more than %d bytes for %d chunks", s.system.length, len(s.chunks))
	}
	at := s.system.logical + ondisk.Logical(s.system.used)
	s.system.used += ondisk.NodeSize
	return at, nil
}

// freeze makes room in one range for length more bytes of tree blocks, of which some
// have places of their own, and for the headroom somewhere, and ends the making of
// chunks. It returns the bytes the device needs. The range of the last blocks is never
// filled, so that their number does not decide how many ranges of free space there are.
func (s *space) freeze(length, placed uint64) int64 {
	s.closeData()
	length += ondisk.StripeLen
	free := s.freeMeta()
	need := length - min(placed, length)
	i := slices.IndexFunc(s.room, func(g gap) bool { return g.size() >= need })
	switch missing := s.sizes.headroom - min(free, s.sizes.headroom); {
	case i < 0:
		// A stripe more, since the next file system like this one counts this chunk.
		s.moreRoom(max(roundUp(length+missing, ondisk.StripeLen)+ondisk.StripeLen, s.sizes.minMeta))
		i = len(s.room) - 1
	case free < length+s.sizes.headroom:
		s.newChunk(ondisk.GroupMetadata, max(roundUp(length+s.sizes.headroom-free, ondisk.StripeLen), s.sizes.minMeta))
	}
	s.room = []gap{s.room[i]}
	s.frozen = true
	return s.dropUnused()
}

// freeMeta returns the free bytes in the chunks of tree blocks.
func (s *space) freeMeta() (free uint64) {
	for _, c := range s.chunks {
		if c.flags&ondisk.GroupMetadata != 0 {
			free += c.length - c.used
		}
	}
	return free
}

// dropUnused removes the data chunks of the older file system that nothing is in,
// and returns the end of those that stay.
func (s *space) dropUnused() (end int64) {
	s.chunks = slices.DeleteFunc(s.chunks, func(c *chunk) bool { return c.flags&ondisk.GroupData != 0 && c.used == 0 })
	for _, c := range s.chunks {
		for _, start := range c.physical {
			end = max(end, int64(start)+int64(c.length))
		}
	}
	return end
}

func roundUp[T ~uint64 | ~int64 | ~int](n, unit T) T { return (n + unit - 1) / unit * unit }
