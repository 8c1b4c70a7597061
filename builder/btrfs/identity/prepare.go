package identity

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

const (
	hintDamaged = "take another copy of the image, or look at the device with: btrfs check --readonly"
	hintUnclean = "mount it and unmount it again, on a machine where nothing else uses it"
)

// knownCompatRO are the features of which what writes must know.
const knownCompatRO = ondisk.CompatROFreeSpaceTree | ondisk.CompatROFreeSpaceTreeValid | ondisk.CompatROVerity | ondisk.CompatROBlockGroupTree

// Flags of the superblock, as in btrfs-progs.
const (
	superFlagError   uint64 = 1 << 2
	superFlagSeeding uint64 = 1 << 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// preparation is one run of Prepare.
type preparation struct {
	fs    *reader.FS
	super *ondisk.Superblock
	new   New
	out   *Rewrite

	devices int                      // device items met
	roots   []root                   // of the root tree, in its order
	visited map[ondisk.Logical]bool  // tree blocks; true when there is more than one way to it
	owners  map[ondisk.Logical]inode // of the data extents that are changed
	ways    []way                    // to what is changed in files
	scratch []byte                   // a tree block
}

// Prepare reads the file system of size bytes behind r and decides what changes
// when it gets the identity n and the edits. What r holds must not change until
// the last Apply.
//
// Errors are of class fault.Usage for n and edits that make no sense, and of
// fault.Input for a file system that is damaged, not clean, has several
// devices or features that are not known here, and for an edit whose text is
// not found or does not stand alone in plain form: files whose text is to be
// replaced are marked as raw where the image is made, see fstree.Inode.
func Prepare(r io.ReaderAt, size int64, n New, edits []Edit) (*Rewrite, error) {
	f, err := reader.Open(r, size)
	if err != nil {
		return nil, err
	}
	p := &preparation{
		fs: f, super: f.Super(), new: n,
		visited: map[ondisk.Logical]bool{}, owners: map[ondisk.Logical]inode{},
		scratch: make([]byte, f.Super().NodeSize),
		out: &Rewrite{
			fsid: n.FSID, chunkTree: n.ChunkTreeUUID, nodeSize: ondisk.Logical(f.Super().NodeSize),
			patches: map[ondisk.Logical][]patch{},
		},
	}
	for _, step := range []func() error{
		p.checkFeatures, p.checkClean, func() error { return n.check(p.super) }, p.layOut, p.superblocks,
		func() error { return p.takeEdits(edits) }, p.walkTrees, p.finish,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p.out, nil
}

func refuse(hint, format string, args ...any) error {
	return fault.New(fault.Input, hint, format, args...)
}

// checkFeatures refuses what is not known here. The reader knows more: it can
// leave alone what it does not understand.
func (p *preparation) checkFeatures() error {
	s := p.super
	switch {
	case s.Checksum != ondisk.CRC32C:
		return refuse("make the image with crc32c", "superblock: checksums are %v, expected %v", s.Checksum, ondisk.CRC32C)
	case s.IncompatFlags&ondisk.IncompatMetadataUUID != 0:
		return refuse("make its two fsids one with: btrfstune -U FSID DEVICE", "superblock: feature METADATA_UUID, whose tree blocks have another fsid")
	case s.IncompatFlags&ondisk.IncompatMixedGroups != 0:
		return refuse("make the image without --mixed", "superblock: feature MIXED_GROUPS, expected data and metadata apart")
	case s.CompatROFlags&^knownCompatRO != 0:
		return refuse("", "superblock: compat_ro flags %#x, expected none but %#x", s.CompatROFlags, knownCompatRO)
	case s.Flags&superFlagSeeding != 0:
		return refuse("clear that with: btrfstune -S 0 DEVICE", "superblock: it is a seed of other file systems")
	case s.DevItem.FSID != s.FSID:
		return refuse("", "superblock: its device belongs to file system %x, expected %x", s.DevItem.FSID, s.FSID)
	}
	return nil
}

// checkClean refuses what a mount would have to mend first.
func (p *preparation) checkClean() error {
	s := p.super
	switch {
	case s.LogRoot != 0:
		return refuse(hintUnclean, "superblock: there is a log tree: it was not unmounted cleanly")
	case s.Flags&superFlagError != 0:
		return refuse(hintDamaged, "superblock: flag ERROR: the kernel met damage")
	case p.fs.SuperMirror() != 0:
		return refuse(hintDamaged, "superblock at %d: damaged", ondisk.SuperMirrors[0])
	}
	return nil
}

// layOut finds the areas of metadata. No two chunks may have a place in common:
// a block would be rewritten twice.
func (p *preparation) layOut() error {
	type stripe struct {
		area
		meta bool
	}
	var all []stripe
	for _, c := range p.fs.Chunks() {
		meta := c.Chunk.Type&(ondisk.GroupMetadata|ondisk.GroupSystem) != 0
		if meta && c.Chunk.Type&ondisk.GroupData != 0 {
			return refuse(hintDamaged, "chunk %d: type %#x, expected data and metadata apart", c.Logical, uint64(c.Chunk.Type))
		}
		for _, s := range c.Chunk.Stripes {
			if s.DevUUID != p.super.DevItem.UUID {
				return refuse(hintDamaged, "chunk %d: stripe on device %x, expected %x", c.Logical, s.DevUUID, p.super.DevItem.UUID)
			}
			all = append(all, stripe{area{int64(s.Offset), int64(s.Offset) + int64(c.Chunk.Length), c.Logical}, meta})
		}
	}
	slices.SortFunc(all, func(a, b stripe) int { return cmp.Compare(a.from, b.from) })
	for i, s := range all {
		if i > 0 && all[i-1].to > s.from {
			return refuse(hintDamaged, "chunk %d: overlaps chunk %d at physical %d", s.logical, all[i-1].logical, s.from)
		}
		if s.meta {
			p.out.areas = append(p.out.areas, s.area)
		}
	}
	return nil
}

// finish brings everything into the order in which Apply looks for it.
func (p *preparation) finish() error {
	w := p.out
	slices.SortFunc(w.nodes, func(a, b node) int { return cmp.Compare(a.at, b.at) })
	for i := range w.nodes {
		if i > 0 && w.nodes[i].at-w.nodes[i-1].at < w.nodeSize {
			return refuse(hintDamaged, "tree block %d: overlaps tree block %d", w.nodes[i].at, w.nodes[i-1].at)
		}
	}
	slices.SortFunc(w.pages, func(a, b page) int { return cmp.Compare(a.at, b.at) })
	for i := range w.pages {
		if i > 0 && w.pages[i-1].at == w.pages[i].at {
			return refuse(hintDamaged, "%s: stands in the place of %s", w.pages[i].name, w.pages[i-1].name)
		}
		if err := p.checkAlone(&w.pages[i]); err != nil {
			return err
		}
	}
	for _, way := range p.ways {
		for _, at := range way.blocks {
			if p.visited[at] {
				return errShared(way.path)
			}
		}
	}
	return nil
}

// checkAlone demands that a page that is no part of a tree block stands in none.
func (p *preparation) checkAlone(page *page) error {
	w := p.out
	for _, a := range w.areas {
		if page.at < a.from || page.at >= a.to {
			continue
		}
		l := a.logical + ondisk.Logical(page.at-a.from)
		if n := w.nodeOf(l, w.nodeFrom(l)); n != nil {
			return refuse(hintDamaged, "%s: stands in tree block %d", page.name, n.at)
		}
	}
	return nil
}

func errShared(path string) error {
	return refuse("copy the file in the image, without --reflink, or remove the snapshot", "%s: is shared with another file or a snapshot", path)
}

// readPage reads the bytes at a physical address.
func (p *preparation) readPage(at ondisk.Physical) ([]byte, error) {
	b := make([]byte, ondisk.SectorSize)
	if err := p.fs.ReadCopy(b, at); err != nil {
		return nil, fmt.Errorf("physical %d: %w", at, err)
	}
	return b, nil
}
