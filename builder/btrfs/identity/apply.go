package identity

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sort"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Rewrite is every change that makes a copy of a file system one of its own.
// Its methods may be called concurrently.
type Rewrite struct {
	fsid, chunkTree [ondisk.UUIDSize]byte
	nodeSize        ondisk.Logical

	areas   []area                     // of metadata, by physical address
	nodes   []node                     // the tree blocks, by logical address
	sums    []uint32                   // of each page of each node, as it was read
	patches map[ondisk.Logical][]patch // of nodes, beyond their headers
	pages   []page                     // superblocks and file data, by physical address
}

// area is one copy of a chunk of metadata, in bytes of the device.
type area struct {
	from, to int64
	logical  ondisk.Logical // of from
}

// node is a tree block: 20 bytes and a checksum for each page are all that is
// kept of most.
type node struct {
	at    ondisk.Logical
	pages int    // index in sums of its first page
	sum   uint32 // of the whole, rewritten
}

// page is a sector of file data or a superblock.
type page struct {
	at      int64
	name    string // in errors
	old     uint32 // its checksum, as it was read
	patches []patch
}

// patch replaces bytes from a place of a tree block or page on.
type patch struct {
	at   int
	data []byte
}

// put puts the part of the patch that meets b, which starts at from.
func (p patch) put(b []byte, from int) {
	low, high := max(p.at, from), min(p.at+len(p.data), from+len(b))
	if low < high {
		copy(b[low-from:], p.data[low-p.at:high-p.at])
	}
}

// Apply changes p, which holds the bytes from off of the file system on, into
// those of the copy. off and the length of p are multiples of
// ondisk.SectorSize; p may end within a tree block. After an error p must not
// be written: it is of class fault.Input, and says that something is not what
// Prepare read.
func (w *Rewrite) Apply(p []byte, off int64) error {
	if off < 0 || off%ondisk.SectorSize != 0 || len(p)%ondisk.SectorSize != 0 || int64(len(p)) > math.MaxInt64-off {
		return fmt.Errorf("btrfs identity: %d bytes at %d, expected multiples of %d", len(p), off, ondisk.SectorSize)
	}
	end := off + int64(len(p))
	for i := sort.Search(len(w.areas), func(i int) bool { return w.areas[i].to > off }); i < len(w.areas) && w.areas[i].from < end; i++ {
		if err := w.applyArea(&w.areas[i], p, off); err != nil {
			return err
		}
	}
	for i := sort.Search(len(w.pages), func(i int) bool { return w.pages[i].at >= off }); i < len(w.pages) && w.pages[i].at < end; i++ {
		page, b := &w.pages[i], p[w.pages[i].at-off:][:ondisk.SectorSize]
		if crc32.Checksum(b, castagnoli) != page.old {
			return changed("%s", page.name)
		}
		for _, patch := range page.patches {
			patch.put(b, 0)
		}
	}
	return nil
}

// applyArea changes the tree blocks of an area, page by page, and clears what
// is between them.
func (w *Rewrite) applyArea(a *area, p []byte, off int64) error {
	at, end := max(a.from, off), min(a.to, off+int64(len(p)))
	l := a.logical + ondisk.Logical(at-a.from)
	for i := w.nodeFrom(l); at < end; at, l = at+ondisk.SectorSize, l+ondisk.SectorSize {
		for i < len(w.nodes) && w.nodes[i].at+w.nodeSize <= l {
			i++
		}
		b := p[at-off:][:ondisk.SectorSize]
		switch n := w.nodeOf(l, i); {
		case n != nil:
			if err := w.applyNode(n, b, int(l-n.at)); err != nil {
				return fmt.Errorf("%w (at physical %d)", err, at)
			}
		case !isMirror(at):
			clear(b)
		}
	}
	return nil
}

// applyNode changes b, the page of a tree block that starts at from in it.
func (w *Rewrite) applyNode(n *node, b []byte, from int) error {
	if crc32.Checksum(b, castagnoli) != w.sums[n.pages+from/ondisk.SectorSize] {
		return changed("tree block %d: bytes from %d on", n.at, from)
	}
	if from == 0 {
		w.putHeader(b, n.sum)
	}
	for _, patch := range w.patches[n.at] {
		patch.put(b, from)
	}
	return nil
}

// Places in the header of a tree block.
const (
	headerFSID  = 32
	headerChunk = 64
)

func (w *Rewrite) putHeader(b []byte, sum uint32) {
	clear(b[:ondisk.ChecksumSize])
	binary.LittleEndian.PutUint32(b, sum)
	copy(b[headerFSID:], w.fsid[:])
	copy(b[headerChunk:], w.chunkTree[:])
}

func changed(format string, args ...any) error {
	return fault.New(fault.Input, "take another copy of the image", "%s: not what was read before: damaged, or written to meanwhile", fmt.Sprintf(format, args...))
}

// isMirror reports whether a superblock may stand at a physical address.
func isMirror(at int64) bool {
	for _, m := range ondisk.SuperMirrors {
		if int64(m) == at {
			return true
		}
	}
	return false
}

// nodeFrom returns the index of the first node that ends behind l.
func (w *Rewrite) nodeFrom(l ondisk.Logical) int {
	return sort.Search(len(w.nodes), func(i int) bool { return w.nodes[i].at+w.nodeSize > l })
}

// nodeOf returns node i, the first that ends behind l, where l lies in it.
func (w *Rewrite) nodeOf(l ondisk.Logical, i int) *node {
	if i < len(w.nodes) && w.nodes[i].at <= l {
		return &w.nodes[i]
	}
	return nil
}

// areaOf returns the area in which a physical address lies, or nil.
func (w *Rewrite) areaOf(at int64) *area {
	i := sort.Search(len(w.areas), func(i int) bool { return w.areas[i].to > at })
	if i < len(w.areas) && w.areas[i].from <= at {
		return &w.areas[i]
	}
	return nil
}

// Place is a range of bytes of the file system.
type Place struct{ Offset, Length int64 }

// Places returns the bytes that Apply may change, whole pages, in order and not
// touching: it leaves all others alone. Free space of metadata is among them.
func (w *Rewrite) Places() []Place {
	var all []Place
	for i := range w.areas {
		all = w.appendArea(all, &w.areas[i])
	}
	for i := range w.pages {
		all = append(all, Place{w.pages[i].at, ondisk.SectorSize})
	}
	slices.SortFunc(all, func(a, b Place) int { return cmp.Compare(a.Offset, b.Offset) })
	var joined []Place
	for _, p := range all {
		if n := len(joined); n > 0 && p.Offset <= joined[n-1].Offset+joined[n-1].Length {
			joined[n-1].Length = max(joined[n-1].Length, p.Offset+p.Length-joined[n-1].Offset)
			continue
		}
		joined = append(joined, p)
	}
	return joined
}

// appendArea appends what changes in an area: what no tree block takes, and of
// those the pages with their headers and with patches.
func (w *Rewrite) appendArea(all []Place, a *area) []Place {
	free := a.from
	for i := w.nodeFrom(a.logical); i < len(w.nodes); i++ {
		n := &w.nodes[i]
		at := a.from + int64(n.at-a.logical)
		if at >= a.to {
			break
		}
		if at > free {
			all = append(all, Place{free, at - free})
		}
		for from := 0; from < int(w.nodeSize); from += ondisk.SectorSize {
			if from == 0 || slices.ContainsFunc(w.patches[n.at], func(p patch) bool { return p.meets(from) }) {
				all = append(all, Place{at + int64(from), ondisk.SectorSize})
			}
		}
		free = at + int64(w.nodeSize)
	}
	if free < a.to {
		all = append(all, Place{free, a.to - free})
	}
	return all
}

// meets reports whether the patch changes the page that starts at from.
func (p patch) meets(from int) bool {
	return p.at < from+ondisk.SectorSize && from < p.at+len(p.data)
}
