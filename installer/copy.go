package installer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"io"
	"runtime"
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

// extent is some bytes of a disk.
type extent struct{ offset, length int64 }

// sum is a hash of bytes that this process alone can know: its key is random. By it is
// compared what was compared with a SHA-256 before, and what was written. It takes a
// seventh of the time of that, and less where a processor has no instructions for it.
type sum uint64

var sumKey = maphash.MakeSeed()

func sumOf(p []byte) sum { return sum(maphash.Bytes(sumKey, p)) }

// pass reads extents, several at a time.
type pass struct {
	from     io.ReaderAt
	extents  []extent
	what     string                                 // what is read, for errors
	hint     string                                 // what to do when it is not as it should be
	class    fault.Class                            // of such an error
	check    func(i int, p []byte) (problem string) // compares what was read of an extent
	use      func(i int, p []byte) error            // what is done with one that is as it should be
	progress func(done, total int64)                // bytes; called from one goroutine at a time
}

// run reads every extent, has it compared, and hands it on. The first error ends it.
func (w *pass) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan int)
	group.Go(func() error {
		defer close(next)
		for i := range w.extents {
			select {
			case next <- i:
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
			for i := range next {
				length := w.extents[i].length
				if err := w.one(buf[:length], i); err != nil {
					return err
				}
				count(length)
			}
			return nil
		})
	}
	return group.Wait()
}

// counter returns a function that adds up what is done.
func (w *pass) counter() func(n int64) {
	if w.progress == nil {
		return func(int64) {}
	}
	var mu sync.Mutex
	var done, total int64
	for _, e := range w.extents {
		total += e.length
	}
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		w.progress(done, total)
	}
}

func (w *pass) one(p []byte, i int) error {
	at := w.extents[i].offset
	if n, err := w.from.ReadAt(p, at); n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fault.New(w.class, w.hint, "%s: byte %d: %w", w.what, at, err)
	}
	if problem := w.check(i, p); problem != "" {
		return fault.New(w.class, w.hint, "%s: bytes %d to %d: %s", w.what, at, at+int64(len(p)), problem)
	}
	if w.use == nil {
		return nil
	}
	return w.use(i, p)
}

// payloadPass is a pass over the payload.
func (m *Medium) payloadPass(progress func(done, total int64)) *pass {
	w := &pass{from: m.disk, what: "medium: payload", hint: damagedHint, class: fault.Input, progress: progress}
	for _, c := range m.chunks() {
		w.extents = append(w.extents, extent{c.Offset, c.Length})
	}
	return w
}

// CheckPayload reads the whole payload and compares it with the manifest: what
// follows destroys what the target has.
func (m *Medium) CheckPayload(ctx context.Context, progress func(done, total int64)) error {
	chunks := m.chunks()
	sums := make([]sum, len(chunks))
	w := m.payloadPass(progress)
	w.check = func(i int, p []byte) string {
		sums[i] = sumOf(p)
		return compared(p, chunks[i])
	}
	err := w.run(ctx)
	if err == nil {
		m.checked = sums
	}
	return err
}

// compared says how the bytes of a chunk differ from what the manifest has; "" is not at
// all.
func compared(p []byte, c manifest.Chunk) string {
	if digest := manifest.SHA256(sha256.Sum256(p)); digest != c.SHA256 {
		return fmt.Sprintf("SHA-256 %s, expected %s", digest, c.SHA256)
	}
	return ""
}

// written is what was written to a target.
type written struct {
	extent
	sum sum
}

// copyPayload copies the chunks in use to a target, changed by a rewriter, and
// returns what was written where. A chunk has to be what it was when the payload was
// checked; where nobody has done that, what the manifest says.
func (m *Medium) copyPayload(ctx context.Context, to io.WriterAt, at int64, change rewriter, progress func(done, total int64)) ([]written, error) {
	w, chunks := m.payloadPass(progress), m.chunks()
	list := make([]written, len(chunks))
	w.check = func(i int, p []byte) string {
		switch {
		case m.checked == nil:
			return compared(p, chunks[i])
		case m.checked[i] != sumOf(p):
			return "are not what they were when the medium was checked"
		}
		return ""
	}
	w.use = func(i int, p []byte) error {
		p, off := m.ofPayload(p, w.extents[i])
		if err := change.Apply(p, off); err != nil {
			return fault.New(fault.Input, damagedHint, "medium: payload: %w", err)
		}
		list[i] = written{extent{at + off, int64(len(p))}, sumOf(p)}
		if _, err := to.WriteAt(p, at+off); err != nil {
			return unwritten(at+off, err)
		}
		return nil
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	return list, nil
}

// readBack reads what was written from the medium of the target.
func readBack(ctx context.Context, t io.ReaderAt, list []written, progress func(done, total int64)) error {
	w := &pass{
		from: t, what: "target, read back", class: fault.Mismatch, progress: progress,
		hint: "the disk does not keep what is written to it: use another one",
	}
	for _, e := range list {
		w.extents = append(w.extents, e.extent)
	}
	w.check = func(i int, p []byte) string {
		if sumOf(p) != list[i].sum {
			return "are not what was written"
		}
		return ""
	}
	return w.run(ctx)
}
