package installer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// rewriter changes bytes of the payload on their way to the target. It may be
// called concurrently.
type rewriter interface {
	Apply(p []byte, off int64) error
}

// chunkWork is one pass over chunks, several at a time.
type chunkWork struct {
	from     io.ReaderAt
	chunks   []manifest.Chunk
	what     string                                 // what is read, for errors
	hint     string                                 // what to do when it is not as it should be
	class    fault.Class                            // of such an error
	use      func(p []byte, c manifest.Chunk) error // what is done with a chunk that is as it should be
	progress func(done, total int64)                // bytes; called from one goroutine at a time
}

// run reads every chunk, compares it with its digest, and hands it on. The
// first error ends it.
func (w *chunkWork) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan manifest.Chunk)
	group.Go(func() error {
		defer close(next)
		for _, c := range w.chunks {
			select {
			case next <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	count := w.counter()
	for range min(max(2, runtime.GOMAXPROCS(0)), 8) {
		group.Go(func() error {
			buf := make([]byte, manifest.ChunkSize)
			for c := range next {
				if err := w.one(buf[:c.Length], c); err != nil {
					return err
				}
				count(c.Length)
			}
			return nil
		})
	}
	return group.Wait()
}

// counter returns a function that adds up what is done.
func (w *chunkWork) counter() func(n int64) {
	if w.progress == nil {
		return func(int64) {}
	}
	var mu sync.Mutex
	var done, total int64
	for _, c := range w.chunks {
		total += c.Length
	}
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		w.progress(done, total)
	}
}

func (w *chunkWork) one(p []byte, c manifest.Chunk) error {
	if n, err := w.from.ReadAt(p, c.Offset); n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fault.New(w.class, w.hint, "%s: byte %d: %w", w.what, c.Offset, err)
	}
	if sum := manifest.SHA256(sha256.Sum256(p)); sum != c.SHA256 {
		return fault.New(w.class, w.hint, "%s: bytes %d to %d: SHA-256 %s, expected %s", w.what, c.Offset, c.Offset+c.Length, sum, c.SHA256)
	}
	if w.use == nil {
		return nil
	}
	return w.use(p, c)
}

// CheckPayload reads the whole payload and compares it with the manifest: what
// follows destroys what the target has.
func (m *Medium) CheckPayload(ctx context.Context, progress func(done, total int64)) error {
	w := &chunkWork{from: m.disk, chunks: m.chunks(), what: "medium: payload", hint: damagedHint, class: fault.Input, progress: progress}
	return w.run(ctx)
}

// copyPayload copies the chunks in use to a target, changed by a rewriter, and
// returns what was written where.
func (m *Medium) copyPayload(ctx context.Context, to io.WriterAt, at int64, change rewriter, progress func(done, total int64)) ([]manifest.Chunk, error) {
	var mu sync.Mutex
	var written []manifest.Chunk
	w := &chunkWork{from: m.disk, chunks: m.chunks(), what: "medium: payload", hint: damagedHint, class: fault.Input, progress: progress}
	w.use = func(p []byte, c manifest.Chunk) error {
		p, off := m.ofPayload(p, c)
		if err := change.Apply(p, off); err != nil {
			return fault.New(fault.Input, damagedHint, "medium: payload: %w", err)
		}
		c = manifest.Chunk{Offset: at + off, Length: int64(len(p)), SHA256: sha256.Sum256(p)}
		if _, err := to.WriteAt(p, c.Offset); err != nil {
			return unwritten(c.Offset, err)
		}
		mu.Lock()
		defer mu.Unlock()
		written = append(written, c)
		return nil
	}
	err := w.run(ctx)
	slices.SortFunc(written, func(a, b manifest.Chunk) int { return cmp.Compare(a.Offset, b.Offset) })
	return written, err
}

// readBack reads what was written from the medium of the target.
func readBack(ctx context.Context, t Target, written []manifest.Chunk, progress func(done, total int64)) error {
	w := &chunkWork{
		from: t, chunks: written, what: "target, read back", class: fault.Mismatch, progress: progress,
		hint: "the disk does not keep what is written to it: use another one",
	}
	return w.run(ctx)
}
