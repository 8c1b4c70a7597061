package flash

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// compare reads the target, and leaves to do what differs. It reports whether
// nothing does; then nothing is written at all. What it finds right was read
// past the caches, and needs no second look.
func (w *writer) compare(ctx context.Context) (same bool, err error) {
	if err := w.disk.DropCache(); err != nil {
		return false, syncError(err)
	}
	if hopeless, err := w.sample(ctx); hopeless || err != nil {
		w.whole = true
		return false, err
	}
	w.todo = newChunkSet(w.ImageSize)
	total := w.Zero + w.Used
	w.begin(StageCompare, total)
	w.zerosRight, err = w.compareZeros(ctx)
	if err != nil {
		return false, err
	}
	if w.Manifest {
		err = w.compareDigests(ctx)
	} else {
		err = w.compareImage(ctx)
	}
	if err != nil {
		return false, err
	}
	differ := 0
	for _, d := range w.todo {
		if d {
			differ++
		}
	}
	if differ == 0 && w.zerosRight {
		return true, nil
	}
	w.finishUpdate(differ)
	return false, nil
}

// How many chunks of a large image are looked at first.
const (
	sampled   = 16
	fewChunks = 4 * sampled // of which all are compared at once
)

// sample reports whether so much differs that reading all of the target would
// take longer than it saves. It looks at chunks all over the image.
func (w *writer) sample(ctx context.Context) (hopeless bool, err error) {
	var used []int
	for i := range w.used {
		if w.used[i] && !w.isTable(int64(i)*chunkSize) {
			used = append(used, i)
		}
	}
	if !w.Manifest || len(used) < fewChunks {
		return false, nil
	}
	var some []expectation
	for i := range sampled {
		some = append(some, w.expectChunk(used[(2*i+1)*len(used)/(2*sampled)]))
	}
	different, err := w.read(ctx, some, func(expectation, bool, int64) {})
	return len(different) > sampled/2, err
}

// finishUpdate adds the chunks with the tables, which blank takes away, and
// decides how much is read back.
func (w *writer) finishUpdate(differ int) {
	used := 0
	for i := range w.used {
		if !w.used[i] {
			continue
		}
		used++
		if w.isTable(int64(i)*chunkSize) && !w.todo[i] {
			w.todo[i] = true
			w.result.Unchanged -= w.length(i)
		}
	}
	w.whole = differ*wholeProof > used
}

// compareDigests reads the chunks of the manifest.
func (w *writer) compareDigests(ctx context.Context) error {
	var all []expectation
	for i := range w.used {
		if w.used[i] {
			all = append(all, w.expectChunk(i))
		}
	}
	_, err := w.read(ctx, all, func(e expectation, right bool, n int64) { w.found(e.Offset, n, right) })
	return err
}

// found takes note of a chunk of the target.
func (w *writer) found(offset, length int64, right bool) {
	if right {
		w.advance(length, &w.result.Unchanged)
		return
	}
	w.mu.Lock()
	w.todo[offset/chunkSize] = true
	w.mu.Unlock()
	w.advance(length, nil)
}

// compareImage compares the target with the image itself, where there is no
// manifest.
func (w *writer) compareImage(ctx context.Context) error {
	buffers := sync.Pool{New: func() any { return new([chunkSize]byte) }}
	return w.source.Each(ctx, w.options.Workers, w.used.has, func(offset int64, data []byte) error {
		if isZero(data) && !w.keep.has(offset) {
			w.advance(int64(len(data)), nil)
			w.mu.Lock()
			w.used[offset/chunkSize] = false
			w.mu.Unlock()
			return nil
		}
		buf := buffers.Get().(*[chunkSize]byte)
		defer buffers.Put(buf)
		if err := readChunk(w.disk, buf[:len(data)], offset); err != nil {
			return fault.New(fault.Internal, "use another disk, or another port", "compare: %w", err)
		}
		want := manifest.SHA256(sha256.Sum256(data))
		w.want[offset/chunkSize] = want
		w.found(offset, int64(len(data)), string(data) == string(buf[:len(data)]))
		return nil
	})
}

// compareZeros reports whether all that must read as zeros does. Where it does
// not, all of it is made anew.
func (w *writer) compareZeros(ctx context.Context) (bool, error) {
	ranges := append([]manifest.Range{}, w.signs...)
	for i := range w.keep {
		if w.keep[i] && !w.used[i] {
			ranges = append(ranges, manifest.Range{Offset: int64(i) * chunkSize, Length: w.length(i)})
		}
	}
	different, err := w.read(ctx, expectZeros(ranges), func(_ expectation, _ bool, n int64) { w.advance(n, nil) })
	return len(different) == 0, err
}
