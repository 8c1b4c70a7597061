package btrfs

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// Places says where an older file system has its data and its tree blocks, and how it
// numbers its inodes. A file system that is written with them puts what it has in
// common with the older one where that has it, so that a disk with the one becomes the
// other by few writes. Without them a file that grows moves everything behind it.
//
// Content is known again by the checksums of its sectors, inodes by their names, tree
// blocks by the keys with which they begin. Nothing relies on that: two pieces with the
// same checksums may change places, and each is written as it is.
//
// It is filled in the order of addresses, the chunks before the extents.
type Places struct {
	checksum ondisk.ChecksumType
	chunks   []*oldChunk
	bySums   map[[sha256.Size]byte][]ondisk.Logical
	trees    map[oldTreeID]*oldTree
	volumes  map[uint64]*oldVolume // by id
	sums     []ondisk.Logical      // where items of checksums start
	sum      [sha256.Size]byte     // of all calls so far
}

// oldChunk is a chunk of the older file system.
type oldChunk struct {
	chunk
	unfit bool  // not one that would be made here
	known bool  // holds content that can be found again, or tree blocks
	taken bool  // by the new file system
	gaps  []gap // what no extent and no such block holds
}

// gap is free space.
type gap struct{ start, end ondisk.Logical }

// size returns how long a gap is.
func (g gap) size() uint64 { return uint64(g.end - min(g.start, g.end)) }

// newPlaces returns the places of a file system that is empty so far and has
// checksums of this type.
func newPlaces(checksum ondisk.ChecksumType) *Places {
	return &Places{checksum: checksum, bySums: map[[sha256.Size]byte][]ondisk.Logical{},
		trees: map[oldTreeID]*oldTree{}, volumes: map[uint64]*oldVolume{}}
}

// addChunk adds a chunk that starts at a logical address. One with two copies of
// data is of no use, nor one with a copy of the superblock in it, as the kernel
// makes them, nor one that does not begin and end with a stripe.
func (p *Places) addChunk(at ondisk.Logical, c ondisk.Chunk) {
	old := &oldChunk{chunk: chunk{flags: c.Type, logical: at, length: c.Length}}
	old.unfit = c.Type&ondisk.GroupData != 0 && c.Type != ondisk.GroupData || at%ondisk.StripeLen != 0 || c.Length%ondisk.StripeLen != 0
	p.note(uint64(at), c.Length, uint64(c.Type))
	for _, s := range c.Stripes {
		old.physical = append(old.physical, s.Offset)
		old.unfit = old.unfit || s.Offset < ondisk.FirstUsable || s.Offset%ondisk.StripeLen != 0 || skipMirrors(s.Offset, c.Length) != s.Offset
		p.note(uint64(s.Offset))
	}
	old.gaps = []gap{{at, at + ondisk.Logical(c.Length)}}
	p.chunks = append(p.chunks, old)
}

// addExtent adds a data extent that begins at a byte of a file, with the checksums of
// its sectors, or with none where it has none: its space is in use then, and its
// content is not looked for. An error means that it lies in no data chunk, or not
// behind all extents before.
func (p *Places) addExtent(at ondisk.Logical, length, inFile uint64, sums []byte) error {
	end := at + ondisk.Logical(length)
	c := p.chunkAt(at)
	if at%ondisk.SectorSize != 0 || length%ondisk.SectorSize != 0 {
		return fmt.Errorf("data extent at logical %d: %d bytes, expected whole sectors", at, length)
	}
	if c == nil || c.flags&ondisk.GroupData == 0 || !c.occupy(at, end) {
		return fmt.Errorf("data extent at logical %d: %d bytes, not in the free space of a data chunk", at, length)
	}
	p.note(uint64(at), length)
	if len(sums) > 0 && !c.unfit {
		c.known = true
		p.index(at, inFile, sums)
	}
	return nil
}

// addSums notes where an item of checksums starts. They come in the order of addresses.
func (p *Places) addSums(at ondisk.Logical) {
	if at%ondisk.SectorSize == 0 {
		p.sums = append(p.sums, at)
		p.note(uint64(at))
	}
}

// occupy takes a range from the last gap, and reports whether it is in there.
func (c *oldChunk) occupy(start, end ondisk.Logical) bool {
	last := len(c.gaps) - 1
	if last < 0 || start < c.gaps[last].start || start >= end || end > c.gaps[last].end {
		return false
	}
	free := c.gaps[last]
	c.gaps = c.gaps[:last]
	for _, g := range []gap{{free.start, start}, {end, free.end}} {
		if g.start < g.end {
			c.gaps = append(c.gaps, g)
		}
	}
	return true
}

// index notes where the blocks of an extent are, cut as the pipeline cuts files. (A
// compressed extent is one block: its sectors are fewer than those of a block.)
func (p *Places) index(at ondisk.Logical, inFile uint64, sums []byte) {
	p.note(uint64(len(sums)))
	size := p.checksum.Size()
	most := blockSize/ondisk.SectorSize - int(inFile%blockSize/ondisk.SectorSize)
	for len(sums) > 0 {
		n := min(len(sums), most*size)
		sum := sha256.Sum256(sums[:n])
		p.bySums[sum] = append(p.bySums[sum], at)
		p.note(binary.LittleEndian.Uint64(sum[:]))
		at += ondisk.Logical(n / size * ondisk.SectorSize)
		sums, most = sums[n:], blockSize/ondisk.SectorSize
	}
}

// note adds numbers to the digest.
func (p *Places) note(numbers ...uint64) {
	b := p.sum[:]
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	p.sum = sha256.Sum256(b)
}

// Sum returns a digest of all places: with equal places and equal other inputs a
// file system is the same to the byte.
func (p *Places) Sum() [sha256.Size]byte { return p.sum }

// claim returns a place that has content with these checksums, once each.
func (p *Places) claim(sums []byte) (ondisk.Logical, bool) {
	if len(sums) == 0 {
		return 0, false
	}
	sum := sha256.Sum256(sums)
	list := p.bySums[sum]
	if len(list) == 0 {
		return 0, false
	}
	p.bySums[sum] = list[1:]
	return list[0], true
}

// take returns a chunk of the older file system that can be used for another one,
// at least as long; one for a swapfile exactly so. It returns nil if there is none.
func (p *Places) take(flags ondisk.BlockGroupFlags, length uint64) *chunk {
	for _, old := range p.chunks {
		fits := old.length >= length && flags != ondisk.GroupData || old.length == length
		if old.taken || old.known || old.unfit || old.flags != flags || !fits {
			continue
		}
		old.taken = true
		c := old.chunk
		return &c
	}
	return nil
}

// maxAddress is above all addresses of an older file system. Those behind it are for
// what is new.
const maxAddress = 1 << 62

// check returns an error where two chunks have the same place on the device, or one
// is out of reach.
func (p *Places) check() error {
	type stripe struct{ start, end ondisk.Physical }
	var all []stripe
	for _, c := range p.chunks {
		if c.length > maxAddress || c.logical > maxAddress-ondisk.Logical(c.length) {
			return fmt.Errorf("chunk at logical %d: %d bytes, expected an end up to %d", c.logical, c.length, uint64(maxAddress))
		}
		for _, start := range c.physical {
			if start > maxAddress-ondisk.Physical(c.length) {
				return fmt.Errorf("chunk at physical %d: %d bytes, expected an end up to %d", start, c.length, uint64(maxAddress))
			}
			all = append(all, stripe{start, start + ondisk.Physical(c.length)})
		}
	}
	slices.SortFunc(all, func(a, b stripe) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(all); i++ {
		if all[i].start < all[i-1].end {
			return fmt.Errorf("two chunks have physical %d", all[i].start)
		}
	}
	return nil
}

// end returns the addresses behind all that the older file system has, at the start of
// a stripe.
func (p *Places) end() (logical ondisk.Logical, device ondisk.Physical) {
	for _, c := range p.chunks {
		logical = max(logical, c.logical+ondisk.Logical(c.length))
		for _, start := range c.physical {
			device = max(device, start+ondisk.Physical(c.length))
		}
	}
	return roundUp(logical, ondisk.StripeLen), roundUp(device, ondisk.StripeLen)
}

// gapFinder finds room for blocks in the gaps of the older file system.
type gapFinder struct {
	gaps []gap
	// from is, for each number of sectors that a block may have, the first gap that
	// may have room for it: gaps only become smaller.
	from [blockSize/ondisk.SectorSize + 1]int
}

// find returns room for length bytes, at most a block.
func (f *gapFinder) find(length uint64) (ondisk.Logical, bool) {
	from := &f.from[length/ondisk.SectorSize]
	for ; *from < len(f.gaps); *from++ {
		g := &f.gaps[*from]
		if g.size() < length {
			continue
		}
		at := g.start
		g.start += ondisk.Logical(length)
		return at, true
	}
	return 0, false
}
