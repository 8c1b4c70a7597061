package btrfs

import (
	"context"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// blocksPerWorker is how many blocks are under way for each worker: enough
// that none waits for a slow one, few enough to stay in the cache.
const blocksPerWorker = 8

// pipeline reads and compresses file content ahead of the writer. Blocks come
// out in the order of the inodes, whichever worker finishes first.
type pipeline struct {
	free  chan *block // not in use
	order chan *block // in the order of the files; closed at the end
	work  chan *block // for the next idle worker
	wg    sync.WaitGroup
	stop  context.CancelFunc
}

// startPipeline starts the feeder and the workers. The caller must call close.
func startPipeline(ctx context.Context, volumes []*volume, p *Params, shared *sharedBlocks) (*pipeline, error) {
	count := p.Workers * blocksPerWorker
	pipe := &pipeline{free: make(chan *block, count), order: make(chan *block, count), work: make(chan *block, count)}
	for range count {
		pipe.free <- &block{in: make([]byte, blockSize), done: make(chan struct{}, 1)}
	}
	workers := make([]*blockWorker, p.Workers)
	for i := range workers {
		var err error
		if workers[i], err = newBlockWorker(p, shared); err != nil {
			return nil, err
		}
	}
	ctx, pipe.stop = context.WithCancel(ctx)
	f := &feeder{pipeline: pipe, ctx: ctx, sizes: shareableSizes(volumes)}
	pipe.wg.Go(func() { f.run(volumes) })
	for _, w := range workers {
		pipe.wg.Go(func() {
			for b := range pipe.work {
				w.work(b)
				b.done <- struct{}{}
			}
		})
	}
	return pipe, nil
}

// next returns the next block in order once its worker is done with it. It
// belongs to the caller until it goes back to free.
func (p *pipeline) next(ctx context.Context) (*block, error) {
	select {
	case b, ok := <-p.order:
		if !ok {
			return nil, context.Cause(ctx) // the feeder was stopped
		}
		<-b.done
		if ctx.Err() != nil {
			b.err = context.Cause(ctx) // what else went wrong may come from the stop
		}
		return b, b.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// abandon closes the file of a block whose file is not taken further. Its other
// blocks may still be read; what they give is thrown away.
func (p *pipeline) abandon(b *block) {
	if b != nil && b.file != nil && b.last {
		_ = b.file.Close() // the write has failed already, with a better reason
	}
}

// close ends the goroutines and closes the files of blocks that nobody took.
func (p *pipeline) close() {
	p.stop()
	for b := range p.order {
		<-b.done
		p.abandon(b)
	}
	p.wg.Wait()
}

// feeder cuts the files into blocks.
type feeder struct {
	*pipeline
	ctx   context.Context
	sizes map[int64]bool // of files that may have an equal
}

func (f *feeder) run(volumes []*volume) {
	defer close(f.order)
	defer close(f.work)
	for _, v := range volumes {
		for _, n := range v.order {
			if readsContent(n) && !f.feedFile(n.real, v.noDataCow) {
				return
			}
		}
	}
}

// readsContent reports whether a node's content goes through the pipeline.
func readsContent(n node) bool {
	return n.real != nil && n.real.IsRegular() && n.real.Size > 0 && n.real.Content != nil
}

// feedFile sends a file's blocks, at least one. It returns false when the
// pipeline is to end.
func (f *feeder) feedFile(e *fstree.Entry, plain bool) bool {
	file, err := e.Content.Open(e)
	var segments []fstree.Segment
	if err == nil {
		segments, err = file.Segments()
	}
	if err != nil {
		if file != nil {
			_ = file.Close() // what matters is why it cannot be read
		}
		return f.send(block{entry: e, last: true, err: err})
	}
	segments = wholeSectors(segments, e.Size)
	template := block{entry: e, file: file, plain: plain, raw: e.IsRaw(), share: !plain && !e.IsRaw() && f.sizes[e.Size]}
	if len(segments) == 0 {
		template.last = true
		return f.send(template)
	}
	for i, s := range segments {
		for end := s.Offset + s.Length; s.Offset < end; {
			b := template
			b.offset = s.Offset
			s.Offset = min((s.Offset/blockSize+1)*blockSize, end)
			b.length = int(s.Offset - b.offset)
			b.last = i == len(segments)-1 && s.Offset == end
			if !f.send(b) {
				if !b.last {
					_ = file.Close() // nobody else will: its last block is not sent
				}
				return false
			}
		}
	}
	return true
}

// send passes a block on, keeping the buffers of a free one.
func (f *feeder) send(b block) bool {
	var free *block
	select {
	case free = <-f.free:
	case <-f.ctx.Done():
		if b.last && b.file != nil {
			_ = b.file.Close() // interrupted: nothing more is read
		}
		return false
	}
	b.in, b.out, b.sums, b.done = free.in, free.out, free.sums, free.done
	*free = b
	f.order <- free // has room for all blocks there are
	if b.err != nil {
		free.done <- struct{}{}
		return true
	}
	f.work <- free
	return true
}

// wholeSectors widens segments to whole sectors and joins those that then
// touch. The last one ends with the file.
func wholeSectors(segments []fstree.Segment, size int64) []fstree.Segment {
	var out []fstree.Segment
	for _, s := range segments {
		start := s.Offset / ondisk.SectorSize * ondisk.SectorSize
		end := min(roundUp(s.Offset+s.Length, ondisk.SectorSize), size)
		if end <= start {
			continue
		}
		if n := len(out); n > 0 && start <= out[n-1].Offset+out[n-1].Length {
			out[n-1].Length = end - out[n-1].Offset
			continue
		}
		out = append(out, fstree.Segment{Offset: start, Length: end - start})
	}
	return out
}

// shareableSizes returns the sizes that more than one file has: only those can
// have equal content, and only their content is hashed.
func shareableSizes(volumes []*volume) map[int64]bool {
	sizes := map[int64]bool{}
	for _, v := range volumes {
		for _, n := range v.order {
			if readsContent(n) && n.real.Size > maxInline && !n.real.IsRaw() && !v.noDataCow {
				_, seen := sizes[n.real.Size]
				sizes[n.real.Size] = seen
			}
		}
	}
	return sizes
}
