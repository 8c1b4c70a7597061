package btrfs

import (
	"context"
	"io"
	"math"
	"runtime"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// writer is one run of Write.
type writer struct {
	ctx     context.Context
	params  Params
	sizes   chunkSizes
	plan    *arrangement
	created ondisk.Timespec
	header  ondisk.Header // what all tree blocks have in common
	device  ids.UUID

	out     output
	data    run
	space   *space
	meta    *metaStore
	system  *systemStore
	extents *extentTable
	shared  *sharedBlocks
	csums   *csumWriter
	pipe    *pipeline
	trees   []treeRoot // that are written, for the root tree

	done, total int64 // bytes of files, for Progress
	result      Result
}

// Write writes a file system that holds the tree to out, from byte 0 on. Where
// nothing is written out must read as zeros, as a new sparse file does; where
// Params give no size, Result has it. The tree must be frozen.
//
// Errors are of class fault.Input for what the tree holds, fault.Usage for
// what Params ask and fault.Target when the size is too small. What out holds
// after an error is of no use.
func Write(ctx context.Context, out io.WriterAt, tree *fstree.Tree, p Params) (*Result, error) {
	return writeSized(ctx, out, tree, p, defaultChunkSizes)
}

func writeSized(ctx context.Context, out io.WriterAt, tree *fstree.Tree, p Params, sizes chunkSizes) (*Result, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	if p.Timestamp.IsZero() {
		p.Timestamp = newest(tree)
	}
	if p.Workers <= 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}
	plan, err := arrange(tree, &p)
	if err != nil {
		return nil, err
	}
	for _, v := range plan.volumes {
		if err := v.checkNodes(); err != nil {
			return nil, err
		}
	}
	w := newWriter(ctx, out, p, sizes, plan)
	if err := w.writeVolumes(); err != nil {
		return nil, err
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	result := w.result // not a part of the writer, which would be kept with all that it has
	return &result, nil
}

// newest returns the latest modification time in the tree.
func newest(tree *fstree.Tree) time.Time {
	latest := tree.Root().MTime()
	for e := range tree.All() {
		if t := e.MTime(); t.After(latest) {
			latest = t
		}
	}
	return latest
}

func newWriter(ctx context.Context, out io.WriterAt, p Params, sizes chunkSizes, plan *arrangement) *writer {
	w := &writer{ctx: ctx, params: p, sizes: sizes, plan: plan, device: p.Seed.UUID("btrfs device")}
	w.created = ondisk.Timespec{Sec: p.Timestamp.Unix(), Nsec: uint32(p.Timestamp.Nanosecond())}
	w.result = Result{Timestamp: p.Timestamp, FSID: p.Seed.UUID(ids.BtrfsFSID), DeviceUUID: w.device}
	w.header = ondisk.Header{FSID: w.result.FSID, ChunkUUID: p.Seed.UUID("btrfs chunk tree"),
		Flags: ondisk.FlagWritten | ondisk.BackrefRev, Generation: generation}
	if p.Size > 0 { // a part of a sector is no sector, but 0 would mean any size
		w.out.limit = max(p.Size/ondisk.SectorSize, 1) * ondisk.SectorSize
	}
	w.out.to = out
	w.data.out = &w.out
	w.space = newSpace(sizes, p.Metadata, p.Places)
	w.meta = &metaStore{space: w.space, run: run{out: &w.out}, checksum: p.Checksum}
	w.system = &systemStore{metaStore{space: w.space, run: run{out: &w.out}, checksum: p.Checksum}}
	w.extents = &extentTable{}
	w.shared = &sharedBlocks{bySum: map[[32]byte]sharedBlock{}}
	w.csums = &csumWriter{loader: w.newLoader(w.meta, ondisk.CsumTree), space: w.space, size: p.Checksum.Size()}
	if p.Places != nil {
		w.csums.starts = p.Places.sums
	}
	return w
}

// newLoader returns a loader of a tree with the seams and places of the older one.
func (w *writer) newLoader(store blockStore, owner uint64) *loader {
	return newLoader(store, owner, w.header, w.params.Places.tree(w.space.flags(ondisk.GroupMetadata), owner))
}

// reached reports progress. Holes count as done when the file's next block is,
// or its end.
func (w *writer) reached(done int64) {
	if done > w.done {
		w.done = done
		if w.params.Progress != nil {
			w.params.Progress(w.done, w.total)
		}
	}
}

// writeVolumes writes the content of all files and the trees of all
// subvolumes, in the order of their ids.
func (w *writer) writeVolumes() error {
	for _, v := range w.plan.volumes {
		for _, n := range v.order {
			if readsContent(n) {
				w.total += min(n.real.Size, math.MaxInt64-w.total)
			}
		}
	}
	pipe, err := startPipeline(w.ctx, w.plan.volumes, &w.params, w.shared)
	if err != nil {
		return err
	}
	defer pipe.close()
	w.pipe = pipe
	for _, v := range w.plan.volumes {
		if err := w.writeVolume(v); err != nil {
			return err
		}
	}
	if err := w.csums.finish(); err != nil {
		return err
	}
	if err := w.finishTree(w.csums.loader, treeRoot{id: ondisk.CsumTree}); err != nil {
		return err
	}
	return w.data.flush()
}

func (w *writer) writeVolume(v *volume) error {
	vw := &volumeWriter{writer: w, vol: v}
	roots := append([]*volume{v}, v.snapshots...)
	for _, r := range roots {
		vw.loaders = append(vw.loaders, w.newLoader(w.meta, r.id))
	}
	for i := range v.order {
		if err := vw.writeInode(uint32(i)); err != nil {
			return err
		}
	}
	w.result.Inodes += int64(len(v.order))
	for i, r := range roots {
		if err := w.finishTree(vw.loaders[i], treeRoot{id: r.id}); err != nil {
			return err
		}
	}
	return nil
}

// finish writes the trees that describe the others, and the superblock.
func (w *writer) finish() error {
	for _, step := range []func() error{w.writeUUIDTree, w.writeDataRelocTree, w.closeSpace, w.writeDevTree,
		w.writeChunkTree, w.writeLastTrees, w.checkSize, w.writeSuper} {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if err := step(); err != nil {
			return err
		}
	}
	w.describe()
	return nil
}

// checkSize refuses a size that is too small. By now everything is placed, so
// the message can say what would do.
func (w *writer) checkSize() error {
	if need := w.result.Size; w.out.limit > 0 && w.out.limit < need {
		return fault.New(fault.Target, "", "size %d: the file system needs %d bytes", w.params.Size, need)
	}
	w.result.Size = int64(w.totalBytes())
	return nil
}

// describe fills in the rest of the result.
func (w *writer) describe() {
	for _, list := range [][]*volume{w.plan.volumes, w.plan.snapshots} {
		for _, v := range list {
			w.result.Subvolumes = append(w.result.Subvolumes, SubvolumeInfo{ID: v.id, Path: v.path, UUID: v.uuid, ReadOnly: v.readOnly, Bytes: v.contentBytes()})
		}
	}
	for _, f := range w.plan.swapfiles {
		w.result.Swapfiles = append(w.result.Swapfiles, SwapfileInfo{Path: f.path, Size: int64(f.size), UUID: f.uuid,
			PhysicalPage: int64(f.physical / ondisk.SectorSize)})
	}
	w.result.MetadataBytes = int64(w.blockCount() * ondisk.NodeSize)
}

// blockCount returns how many tree blocks there are.
func (w *writer) blockCount() int { return len(w.meta.list) + len(w.system.list) }
