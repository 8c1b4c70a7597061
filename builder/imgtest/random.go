package imgtest

import (
	"fmt"
	"math/rand/v2"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

func wide(p *planter, path string, n int) {
	dir := p.dir(path)
	for i := range n {
		in := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(i % 50), Content: Fill(int64(i%50), Text, uint64(i))}
		p.date(in)
		p.addIn(dir, number("entry-", i), in)
	}
}

// Wide returns a tree with one directory of n small files. From about 100,000
// on btrfs check in mode lowmem takes minutes: use mode original.
func Wide(n int) *fstree.Tree {
	p := newPlanter()
	wide(p, "wide", n)
	p.tree.Freeze()
	return p.tree
}

// SmallFiles returns a tree of n files of 0 to 4095 bytes in directories of
// 1,000. Their bytes are made from their names when they are read, so that a
// million of them take no memory but their entries.
func SmallFiles(n int) *fstree.Tree {
	p := newPlanter()
	var dir *fstree.Entry
	for i := range n {
		if i%1000 == 0 {
			dir = p.dir(fmt.Sprintf("d%03d/d%03d", i/1_000_000, i/1000%1000))
		}
		size := int64(mix(uint64(i)) % sector)
		in := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: size, Content: namedContent{}}
		p.date(in)
		p.addIn(dir, number("f", i), in)
	}
	p.tree.Freeze()
	return p.tree
}

// namedContent is text that is made from the entry's name.
type namedContent struct{}

func (namedContent) Open(e *fstree.Entry) (fstree.File, error) {
	seed := uint64(crcRegister(e.Name))
	return Fill(e.Size, Text, seed).Open(e)
}

// RandomTree returns a tree of n entries besides the root that depends on
// nothing but the state of rng. Its files hold 50 KB each on average.
func RandomTree(rng *rand.Rand, n int) *fstree.Tree {
	r := randomPlanter{newPlanter(), rng, nil, nil}
	r.dirs = append(r.dirs, r.tree.Root())
	for range n {
		r.entry()
	}
	r.tree.Freeze()
	return r.tree
}

type randomPlanter struct {
	*planter
	rng   *rand.Rand
	dirs  []*fstree.Entry
	links []*fstree.Entry // what may get one more name
}

func (r *randomPlanter) entry() {
	dir := r.dirs[r.rng.IntN(len(r.dirs))]
	name := r.name(dir)
	if r.rng.IntN(12) == 0 && len(r.links) > 0 {
		r.addIn(dir, name, r.links[r.rng.IntN(len(r.links))].Inode)
		return
	}
	in := r.inode()
	e := r.addIn(dir, name, in)
	if in.IsDir() {
		r.dirs = append(r.dirs, e)
	} else {
		r.links = append(r.links, e)
	}
}

// name returns a name that is free in dir.
func (r *randomPlanter) name(dir *fstree.Entry) string {
	for {
		b := make([]byte, 1+r.rng.IntN(12))
		if r.rng.IntN(20) == 0 {
			b = make([]byte, 1+r.rng.IntN(255))
		}
		for i := range b {
			b[i] = "abcdefghijklmnop -.\xff\n"[r.rng.IntN(21)]
		}
		if s := string(b); fstree.ValidName(s) && dir.Child(s) == nil {
			return s
		}
	}
}

func (r *randomPlanter) inode() *fstree.Inode {
	in := &fstree.Inode{
		Mode: r.rng.Uint32() & fstree.PermMask,
		UID:  r.rng.Uint32N(1 << 17), GID: r.rng.Uint32N(1 << 17),
		Sec: r.rng.Int64N(1<<33) - 1<<31, Nsec: r.rng.Uint32N(1_000_000_000),
	}
	switch k := r.rng.IntN(100); {
	case k < 60:
		in.Mode |= fstree.TypeRegular
		in.Size, in.Content = r.content()
	case k < 80:
		in.Mode |= fstree.TypeDir
	case k < 90:
		in.Mode = fstree.TypeSymlink | 0o777
		in.Link = string(make127(r.rng, 1+r.rng.IntN(200)))
		in.Size = int64(len(in.Link))
	case k < 93:
		in.Mode |= fstree.TypeFIFO
	case k < 95:
		in.Mode |= fstree.TypeSocket
	case k < 98:
		in.Mode |= fstree.TypeChar
		in.Rdev = fstree.MakeRdev(r.rng.Uint32N(4096), r.rng.Uint32N(1<<20))
	default:
		in.Mode |= fstree.TypeBlock
		in.Rdev = fstree.MakeRdev(r.rng.Uint32N(4096), r.rng.Uint32N(1<<20))
	}
	r.xattrs(in)
	return in
}

func make127(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + rng.IntN(127))
	}
	return b
}

// content draws from few seeds, so that some files are equal, and leaves holes
// between some pieces.
func (r *randomPlanter) content() (int64, Pieces) {
	if r.rng.IntN(3) == 0 {
		size := edgeSizes[r.rng.IntN(len(edgeSizes))]
		return size, Fill(size, r.kind(), r.rng.Uint64N(4))
	}
	var pieces Pieces
	end := int64(0)
	for range r.rng.IntN(4) {
		if r.rng.IntN(3) == 0 {
			end += r.rng.Int64N(10 * sector)
		}
		n := r.rng.Int64N(1 << (4 + r.rng.IntN(15)))
		pieces = append(pieces, Piece{end, n, r.kind(), r.rng.Uint64N(4)})
		end += n
	}
	if r.rng.IntN(5) == 0 {
		end += r.rng.Int64N(100 * sector)
	}
	return end, pieces
}

func (r *randomPlanter) kind() Kind { return Kind(r.rng.IntN(len(kindNames))) }

// xattrs adds some to files and directories, which may have those of users.
func (r *randomPlanter) xattrs(in *fstree.Inode) {
	if !in.IsRegular() && !in.IsDir() || r.rng.IntN(4) > 0 {
		return
	}
	for i := range 1 + r.rng.IntN(4) {
		in.Xattrs = append(in.Xattrs, fstree.Xattr{Name: fmt.Sprintf("user.%d", i), Value: make127(r.rng, r.rng.IntN(300))})
	}
}
