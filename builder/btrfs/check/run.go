package check

import (
	"cmp"
	"context"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// checker holds what the stages hand on to each other. Slices of small structs
// without pointers keep it cheap for the garbage collector.
type checker struct {
	ctx   context.Context
	fs    *reader.FS
	super *ondisk.Superblock
	opts  Options
	log   log

	visited   map[ondisk.Logical]uint32 // tree block to its index in blocks
	blocks    []block
	chunkUUID [ondisk.UUIDSize]byte // of the first block read; all must agree
	broken    bool                  // some part of some tree could not be read

	roots        []root // sorted by id
	rootRefs     []rootRef
	rootBackrefs []rootRef
	rootOrphans  []uint64
	uuids        []uuidItem
	defaultRoot  uint64
	subvolNames  []rootRef // directory entries that name subvolumes

	extents []extent  // in order of the extent tree: sorted by address
	have    []backref // as the extent tree has them
	want    []backref // as the walk finds them

	chunks      []chunk
	groups      []group
	devItems    []ondisk.DevItem
	devExtents  []devExtent
	spaceInfos  []spaceInfo
	freeRanges  []span // of the free space tree, in its order
	csums       []span // covered by checksums, in order
	needCsum    []span // must be covered
	refuseCsum  []span // must not be covered
	brokenTrees map[uint64]bool
	compressed  [4]bool // compression algorithms met
}

// Run checks a file system. Damage is never an error but a Problem; the error
// is that of a cancelled context.
func Run(ctx context.Context, f *reader.FS, o Options) (*Report, error) {
	report := &Report{Problems: []Problem{}}
	c := &checker{
		ctx: ctx, fs: f, super: f.Super(), opts: o, log: log{report: report},
		visited: map[ondisk.Logical]uint32{}, brokenTrees: map[uint64]bool{},
	}
	for _, stage := range []func(){
		c.checkSuperCopies,
		c.walkTrees,
		c.checkSuper,
		c.checkRoots,
		c.checkReferences,
		c.checkGroups,
		c.checkDevice,
		c.checkFreeSpace,
		c.checkCsumCoverage,
		c.checkData,
	} {
		stage()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// walkTrees walks every tree: first those that say what the others must agree
// with.
func (c *checker) walkTrees() {
	s := c.super
	c.walkTree(&tree{id: ondisk.ChunkTree, leaf: c.chunkLeaf},
		reader.BlockRef{Bytenr: s.ChunkRoot, Generation: s.ChunkRootGeneration, Level: s.ChunkRootLevel, Owner: ondisk.ChunkTree})
	c.walkTree(&tree{id: ondisk.RootTree, leaf: c.rootLeaf},
		reader.BlockRef{Bytenr: s.Root, Generation: s.Generation, Level: s.RootLevel, Owner: ondisk.RootTree})
	// Where a key stands out of place, that is reported; the rest goes on.
	slices.SortStableFunc(c.roots, func(a, b root) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.offset, b.offset)) })
	for i := range c.roots {
		if c.ctx.Err() != nil {
			return
		}
		c.walkRoot(&c.roots[i])
	}
	if s.LogRoot != 0 {
		c.log.skip("log tree: the file system was not unmounted cleanly; what was synced to the log alone is not checked")
	}
}

// walkRoot walks the tree of one root item.
func (c *checker) walkRoot(r *root) {
	t := &tree{id: r.id, item: &r.item}
	ref := reader.BlockRef{Bytenr: r.item.Bytenr, Generation: r.item.Generation, Level: r.item.Level, Owner: r.id}
	switch {
	case t.onlyReferences():
		t.leaf = c.sharedLeaf
		if r.id == ondisk.TreeReloc {
			// It is a snapshot of a subvolume: its blocks name that.
			ref.Owner = 0
		}
	case ondisk.IsSubvolume(r.id) || r.id == ondisk.DataRelocTree:
		c.walkSubvolume(t, ref)
		return
	default:
		t.leaf = c.leafHandler(r.id)
	}
	c.walkTree(t, ref)
}

func (c *checker) leafHandler(id uint64) func(*leaf) {
	switch id {
	case ondisk.ExtentTree:
		return c.extentLeaf
	case ondisk.DevTree:
		return c.devLeaf
	case ondisk.CsumTree:
		return c.csumLeaf
	case ondisk.UUIDTree:
		return c.uuidLeaf
	case ondisk.FreeSpaceTree:
		return c.freeSpaceLeaf
	case ondisk.BlockGroupTree:
		return c.groupLeaf
	}
	// Quota tree and trees of features that change nothing of what is checked
	// here: their blocks and references are checked, their items are not.
	return func(*leaf) {}
}
