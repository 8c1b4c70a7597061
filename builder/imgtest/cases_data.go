package imgtest

import (
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

const (
	sector = 4096      // smallest unit of data, and of a hole
	block  = 128 << 10 // longest run of file content in one compressed extent
)

// edgeSizes lie around the limits of a writer: what is stored inline (the
// kernel's 2048, mkfs's sector), a sector, a compressed extent.
var edgeSizes = []int64{
	0, 1, 2, 63, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193,
	block - sector, block - 1, block, block + 1, 2 * block, 2*block + 1,
}

// plantSizes adds files of every edge size in every kind, and a few large ones.
func plantSizes(p *planter) {
	for k := range Kind(len(kindNames)) {
		for _, size := range edgeSizes {
			p.full(fmt.Sprintf("sizes/%s-%07d", k, size), size, k, uint64(size)+1)
		}
	}
	p.full("sizes/text-large", 5<<20+3, Text, 77)
	p.full("sizes/random-large", 5<<20+5, Random, 78)
	p.full("sizes/elf-large", 3<<20+1, ELF, 79)
	p.full("sizes/zeros-large", 4<<20, Zeros, 0)
	// A file whose nature turns late: what a heuristic decides at its start
	// is wrong for the rest.
	p.file("sizes/random-then-text", Piece{0, 8 * block, Random, 80}, Piece{8 * block, 8 * block, Text, 81})
	p.file("sizes/text-then-random", Piece{0, 8 * block, Text, 82}, Piece{8 * block, 8 * block, Random, 83})
	// One byte of data in each block of zeros.
	var specks Pieces
	for off := int64(0); off < 4*block; off += block {
		specks = append(specks, Piece{off, 100, Zeros, 0}, Piece{off + 100, 1, Text, 84}, Piece{off + 101, block - 101, Zeros, 0})
	}
	p.file("sizes/specks", specks...)
	p.node("sizes/no-content-empty", fstree.TypeRegular|0o600)
}

// sparseFile adds a file of size bytes whose data is given by sectors.
func (p *planter) sparseFile(name string, size int64, pieces ...Piece) {
	p.file("sparse/"+name, pieces...).Size = size
}

// plantSparse adds files with holes in every place.
func plantSparse(p *planter) {
	data := func(off, n int64, k Kind) Piece { return Piece{off, n, k, uint64(off + n)} }
	p.sparseFile("all-hole", 1<<20)
	p.sparseFile("all-hole-odd-size", 1<<20+1)
	p.sparseFile("all-hole-small", 1000)
	p.sparseFile("all-hole-sector", sector)
	p.sparseFile("start", 64*sector, data(32*sector, 32*sector, Text))
	p.sparseFile("start-of-one-sector", 2*sector, data(sector, sector, Random))
	p.sparseFile("middle", 64*sector, data(0, 16*sector, Text), data(48*sector, 16*sector, Random))
	p.sparseFile("middle-of-one-sector", 3*sector, data(0, sector, Text), data(2*sector, sector, Text))
	p.sparseFile("end", 64*sector, data(0, 16*sector, Text))
	p.sparseFile("end-behind-small-data", 64*sector, data(0, 100, Text))
	p.sparseFile("end-of-one-sector", 2*sector, data(0, sector, Text))
	p.sparseFile("end-odd-size", 64*sector+77, data(0, 16*sector, Random))
	p.sparseFile("end-behind-one-byte", 2*sector+1, data(0, 1, Text))
	p.sparseFile("unaligned", 8*sector, data(5000, 100, Text), data(5*sector-1, 2, Random))
	p.sparseFile("two-in-one-sector", 4*sector, data(sector+10, 10, Text), data(sector+100, 10, Text))
	p.sparseFile("around-a-block", 4*block, data(block-sector, 2*sector, Text), data(3*block-sector, sector, Text), data(3*block, sector, Random))
	p.sparseFile("block-in-zeros", 3*block, data(block, block, Text))
	p.sparseFile("zeros-as-data", 64*sector, data(8*sector, 8*sector, Zeros))
	var comb Pieces
	for off := int64(0); off < 400*sector; off += 2 * sector {
		comb = append(comb, data(off, sector, Text))
	}
	p.sparseFile("comb", 400*sector, comb...)
	const gib = 1 << 30
	p.sparseFile("10GiB", 10*gib+123,
		data(0, 3*sector, ELF), data(gib-sector, 2*sector, Random), data(4*gib, 300_000, Text),
		data(7*gib+512, 5, Text), data(10*gib, 100, Random))
}

// plantShared adds files with equal bytes under names and inodes of their own:
// stored once or not, all of them must read right.
func plantShared(p *planter) {
	sizes := []struct {
		name string
		size int64
		kind Kind
	}{
		{"inline", 900, Text}, {"sector", sector, Random}, {"small", 10_000, Random},
		{"1MiB", 1 << 20, Text}, {"3MiB", 3 << 20, Random}, {"1MiB-odd", 1<<20 + 1, Random},
	}
	for _, s := range sizes {
		for _, dir := range []string{"a", "a/b", "z"} {
			p.full("shared/"+dir+"/"+s.name, s.size, s.kind, 4711)
		}
		e := p.full("shared/other-owner-"+s.name, s.size, s.kind, 4711)
		e.UID, e.Mode = 1000, fstree.TypeRegular|0o600
	}
	for i, tail := range []int64{0, 1, sector, block} {
		name := fmt.Sprintf("shared/prefix-%d", i)
		p.file(name, Piece{0, 6 * block, Random, 4712}, Piece{6 * block, tail, Random, uint64(tail)})
	}
	p.file("shared/other-head", Piece{0, sector, Random, 1}, Piece{sector, 6 * block, Random, 4712})
	p.file("shared/twice-inside", Piece{0, 4 * block, Random, 4713}, Piece{4 * block, 4 * block, Random, 4713})
	p.file("shared/hole-between", Piece{0, 4 * block, Random, 4713}, Piece{5 * block, 4 * block, Random, 4713})
	for i := range 200 {
		p.full("shared/many/"+number("f", i), 20_000, Random, 4714)
	}
}
