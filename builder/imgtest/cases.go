package imgtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Case is one part of EveryCase: a directory of its own name below the root of
// a tree, or several of them.
type Case struct {
	Name  string
	plant func(*planter)
}

// Cases returns every case, for tests that want to know which one fails.
func Cases() []Case {
	return []Case{
		{"sizes", plantSizes},
		{"sparse", plantSparse},
		{"shared", plantShared},
		{"links", plantLinks},
		{"reflimit", plantRefLimit},
		{"special", plantSpecial},
		{"modes", plantModes},
		{"owners", plantOwners},
		{"times", plantTimes},
		{"xattrs", plantXattrs},
		{"names", plantNames},
		{"collisions", plantCollisions},
		{"directories", plantDirectories},
		{"layout", plantLayout},
	}
}

// Tree returns a tree that holds nothing but this case.
func (c Case) Tree() *fstree.Tree {
	p := newPlanter()
	c.plant(p)
	p.tree.Freeze()
	return p.tree
}

// EveryCase returns a tree in memory with everything that a root file system
// may hold and some things that it never should: about 6,000 entries, 60 MB of
// data and a file of 10 GiB that is nearly all hole. Equal calls give equal
// trees.
func EveryCase(t testing.TB) *fstree.Tree {
	t.Helper()
	p := newPlanter()
	for _, c := range Cases() {
		c.plant(p)
	}
	p.tree.Freeze()
	return p.tree
}

// planter fills a tree. A name that does not fit is a bug of this package.
type planter struct {
	tree *fstree.Tree
	made int64 // inodes so far: every inode has a time of its own
}

// plantedSec is the modification time of the first planted inode:
// 2023-11-14 22:13:20 UTC.
const plantedSec = 1_700_000_000

func newPlanter() *planter {
	p := &planter{tree: fstree.New()}
	p.date(p.tree.Root().Inode)
	return p
}

func (p *planter) date(i *fstree.Inode) {
	if i.Sec == 0 && i.Nsec == 0 {
		i.Sec, i.Nsec = plantedSec+p.made, uint32(p.made*7_654_321%1_000_000_000)
	}
	p.made++
}

// add puts an inode at a path below the root and makes the directories that
// are missing on the way.
func (p *planter) add(path string, i *fstree.Inode) *fstree.Entry {
	dir := p.tree.Root()
	if n := strings.LastIndexByte(path, '/'); n >= 0 {
		dir, path = p.dir(path[:n]), path[n+1:]
	}
	return p.addIn(dir, path, i)
}

func (p *planter) addIn(dir *fstree.Entry, name string, i *fstree.Inode) *fstree.Entry {
	e, err := dir.Add(name, i)
	if err != nil {
		panic("imgtest: planting: " + err.Error())
	}
	return e
}

// dir returns the directory at path, making it and those above it.
func (p *planter) dir(path string) *fstree.Entry {
	e := p.tree.Root()
	for name := range strings.SplitSeq(path, "/") {
		c := e.Child(name)
		if c == nil {
			i := &fstree.Inode{Mode: fstree.TypeDir | 0o755}
			p.date(i)
			c = p.addIn(e, name, i)
		}
		e = c
	}
	return e
}

// node adds an inode of a type and mode, with a time of its own.
func (p *planter) node(path string, mode uint32) *fstree.Entry {
	i := &fstree.Inode{Mode: mode}
	p.date(i)
	return p.add(path, i)
}

// file adds a regular file whose size is where its last piece ends.
func (p *planter) file(path string, pieces ...Piece) *fstree.Entry {
	e := p.node(path, fstree.TypeRegular|0o644)
	if n := len(pieces); n > 0 {
		e.Size = pieces[n-1].Offset + pieces[n-1].Length
	}
	e.Content = Pieces(pieces)
	return e
}

// full adds a regular file of size bytes without holes.
func (p *planter) full(path string, size int64, k Kind, seed uint64) *fstree.Entry {
	return p.file(path, Piece{0, size, k, seed})
}

func (p *planter) symlink(path, target string) *fstree.Entry {
	e := p.node(path, fstree.TypeSymlink|0o777)
	e.Link, e.Size = target, int64(len(target))
	return e
}

func (p *planter) device(path string, mode uint32, major, minor uint32) *fstree.Entry {
	e := p.node(path, mode)
	e.Rdev = fstree.MakeRdev(major, minor)
	return e
}

// link adds one more name for the inode of e.
func (p *planter) link(path string, e *fstree.Entry) { p.add(path, e.Inode) }

// number names the i-th of many entries.
func number(prefix string, i int) string { return fmt.Sprintf("%s%06d", prefix, i) }
