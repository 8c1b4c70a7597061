package repository

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// limits are how much of something a window has.
type limits struct{ parts, blobs int }

// windowed are the limits of a window. More of it is fewer jumps over the backup disk,
// and more memory: some 20 MB with these.
var windowed = limits{parts: 1 << 14, blobs: 1 << 16}

// window is what is restored at once.
type window struct {
	parts []part
	blobs int      // of all parts
	named []link   // further names of files
	left  []*entry // directories that are complete
}

// wanted is a regular file.
type wanted struct {
	*entry
	total   int64        // bytes of all of its blobs
	missing atomic.Int64 // blobs that are not in it yet
	lost    atomic.Bool  // one cannot be had, or the file not be written
	holes   atomic.Bool  // were left for zeros
	old     bool         // it was there
}

// part is a range of the blobs of a file. That of a huge file goes on in another window.
type part struct {
	*wanted
	content []reader.ID
	at      int64  // where they begin, in bytes
	right   []bool // those that are there already; nil is none
}

// link is a name of a file that has another one.
type link struct {
	*entry
	first *wanted
}

func (w *writer) full() bool {
	return len(w.parts) >= w.most.parts || w.blobs >= w.most.blobs || len(w.left)+len(w.named) >= w.most.blobs
}

// flushFull restores what is in the window if it is full.
func (w *writer) flushFull(ctx context.Context) error {
	if !w.full() {
		return nil
	}
	return w.flush(ctx)
}

// file takes a file into the window.
func (w *writer) file(ctx context.Context, e *entry) error {
	f := &wanted{entry: e}
	if e.Links > 1 {
		first := w.links[e.inode()]
		if first != nil && isSame(first.Node, e.Node) {
			w.named = append(w.named, link{e, first})
			return nil
		}
		if first == nil {
			w.links[e.inode()] = f
		}
	}
	w.bytes = added(w.bytes, e.Size)
	var err error
	if f.total, err = w.length(f); err != nil {
		w.drop(f, err)
		return nil
	}
	if !w.fresh {
		if err := w.found(f); err != nil || f.lost.Load() {
			return err
		}
	}
	f.missing.Store(int64(len(e.Content)))
	if len(e.Content) == 0 {
		return w.put(f, 0, nil)
	}
	return w.parted(ctx, f)
}

// isSame reports whether two names of a file have it in common still: where it was
// changed between them, each has its own.
func isSame(a, b *reader.Node) bool { return a.Size == b.Size && slices.Equal(a.Content, b.Content) }

// length returns how many bytes the blobs of a file have.
func (w *writer) length(f *wanted) (total int64, err error) {
	for _, id := range f.Content {
		n, ok := w.repo.Length(id)
		if !ok {
			return 0, damaged(f.entry, errUnindexed(id))
		}
		total = added(total, uint64(n))
	}
	return total, nil
}

// parted takes the content of a file into this window and those after it.
func (w *writer) parted(ctx context.Context, f *wanted) error {
	at := int64(0)
	for rest := f.Content; len(rest) > 0; {
		p := part{wanted: f, content: rest[:min(len(rest), w.most.blobs-w.blobs)], at: at}
		w.parts = append(w.parts, p)
		w.blobs += len(p.content)
		rest = rest[len(p.content):]
		if err := w.flushFull(ctx); err != nil {
			return err
		}
		for _, id := range p.content {
			n, _ := w.repo.Length(id)
			at += n
		}
	}
	return nil
}

// flush restores what is in the window, which is empty then.
func (w *writer) flush(ctx context.Context) error {
	if !w.fresh {
		if err := w.inspect(ctx); err != nil {
			return err
		}
	}
	if err := w.transfer(ctx); err != nil {
		return err
	}
	for _, l := range w.named {
		if err := w.link(l); err != nil {
			return err
		}
	}
	for _, e := range w.left {
		if !e.way {
			w.meter.add(0, 1)
		}
		if err := w.check(e, w.meta(e, -1)); err != nil {
			return err
		}
	}
	w.window = window{}
	return nil
}

// spot is where a blob belongs.
type spot struct {
	*wanted
	at int64
}

// transfer reads the blobs that are missing, and writes them.
func (w *writer) transfer(ctx context.Context) error {
	ids, spots := w.needs()
	jobs := make(chan reader.Batch)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer close(jobs)
		for _, b := range w.repo.Batches(ids) {
			select {
			case jobs <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range runtime.GOMAXPROCS(0) + 1 { // one of them waits for the disk
		all.Go(func() error {
			var into reader.Buffers
			for b := range jobs {
				err := w.repo.Read(ctx, b, &into, func(id reader.ID, text []byte, err error) error {
					return w.deliver(spots[id], text, err)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// needs returns the blobs that are missing in the order of the snapshot, each once,
// and where they belong.
func (w *writer) needs() (ids []reader.ID, spots map[reader.ID][]spot) {
	spots = make(map[reader.ID][]spot, w.blobs)
	for _, p := range w.parts {
		at := p.at
		for i, id := range p.content {
			if p.right == nil || !p.right[i] {
				if spots[id] == nil {
					ids = append(ids, id)
				}
				spots[id] = append(spots[id], spot{p.wanted, at})
			}
			n, _ := w.repo.Length(id)
			at += n
		}
	}
	return ids, spots
}

// deliver writes a blob wherever it belongs, or notes of the files that it cannot be
// had.
func (w *writer) deliver(spots []spot, text []byte, err error) error {
	if stop := w.dying.seen(err, w.origin); stop != nil {
		return stop
	}
	for _, s := range spots {
		if err != nil {
			w.drop(s.wanted, err)
			continue
		}
		if s.lost.Load() {
			continue
		}
		if err := w.put(s.wanted, s.at, text); err != nil {
			return err
		}
	}
	return nil
}

// drop notes that a file is not restored. What there is of it stays.
func (w *writer) drop(f *wanted, err error) {
	if !f.lost.Swap(true) {
		w.lose(f.path, err)
	}
}

// link makes another name of a file.
func (w *writer) link(l link) error {
	if l.first.lost.Load() {
		w.lose(l.path, errUnnamed(l.first.path))
		return nil
	}
	name := func() error {
		return retried(func() error { return unix.Linkat(w.top, l.first.below(), w.top, l.below(), 0) })
	}
	err := name()
	if err != nil && !w.fresh {
		if err = w.remove(l.entry); err == nil {
			err = name()
		}
	}
	w.meter.add(0, 1)
	return w.check(l.entry, err)
}
