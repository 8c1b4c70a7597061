package flash

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// StageCompare is the stage of an update in which the target is read.
const StageCompare builder.Stage = "compare"

// Result is what a run did.
type Result struct {
	Written   int64 `json:"written"`   // bytes of the image
	Zeroed    int64 `json:"zeroed"`    // bytes
	Unchanged int64 `json:"unchanged"` // bytes that an update found to be right
	Compared  int64 `json:"compared"`  // bytes that were read back
	// Blank says that the disk has been left without a partition table: the run
	// began to write, and did not end well.
	Blank bool `json:"blank"`
}

// Write carries the plan out, once, on the disk that it was made for. Whatever it
// returns, the result says what became of the disk.
//
// An image that is not what its manifest says is an error of class fault.Input,
// a disk that does not give back what was written one of class fault.Mismatch.
// In every such case, and when ctx is cancelled, the disk has no partition table
// any more, unless nothing was written yet.
func (p *Plan) Write(ctx context.Context, d Disk, progress builder.Progress) (*Result, error) {
	w := &writer{Plan: p, disk: d, progress: progress, todo: slices.Clone(p.used), result: &Result{}, tables: map[int64][]byte{}}
	if d.Size != p.disk {
		return w.result, fault.New(fault.Target, "", "has %d bytes, the plan is for %d", d.Size, p.disk)
	}
	if p.Update {
		same, err := w.compare(ctx)
		if same || err != nil {
			return w.result, err
		}
	}
	w.result.Blank = true
	for _, stage := range []func(context.Context) error{w.blank, w.zero, w.data, w.proveData, w.seal} {
		if err := ctx.Err(); err != nil {
			return w.result, err
		}
		if err := stage(ctx); err != nil {
			return w.result, err
		}
	}
	w.result.Blank = false
	return w.result, nil
}

// writer is a run under way.
type writer struct {
	*Plan
	disk     Disk
	progress builder.Progress
	result   *Result
	todo     chunkSet         // chunks that are written
	zeroed   []manifest.Range // were made zeros, and must read so
	whole    bool             // an update reads all back
	// An update found all zeros that mean something.
	zerosRight bool

	mu     sync.Mutex
	done   int64
	total  int64
	stage  builder.Stage
	tables map[int64][]byte // the chunks that are written last
}

// begin begins a stage of some bytes.
func (w *writer) begin(stage builder.Stage, total int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stage, w.done, w.total = stage, 0, total
	w.progress.Report(stage, 0, total)
}

// advance counts bytes of the stage, and in a field of the result.
func (w *writer) advance(n int64, field *int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done += n
	if field != nil {
		*field += n
	}
	w.progress.Report(w.stage, w.done, w.total)
}

// isTable reports whether a chunk is written last: the first has the primary
// table, the last one the backup.
func (w *writer) isTable(offset int64) bool {
	return offset == 0 || offset == w.lastChunk()
}

func (w *writer) lastChunk() int64 { return (w.ImageSize - 1) / chunkSize * chunkSize }

// ends are the ranges that are blank while data is written: what has tables, in
// the image and at the end of the disk, and the other old signatures.
func (w *writer) ends() []manifest.Range {
	ends := []manifest.Range{{Offset: 0, Length: w.length(0)}}
	if last := w.lastChunk(); last > 0 {
		ends = append(ends, manifest.Range{Offset: last, Length: w.length(int(last / chunkSize))})
	}
	return append(ends, w.signs...)
}

// blank takes the old tables away. They are gone from the disk before the first
// byte that they could lead to is written.
func (w *writer) blank(context.Context) error {
	for _, r := range w.ends() {
		if err := writeZeros(w.disk, r.Offset, r.Length); err != nil {
			return writeError(r.Offset, err)
		}
	}
	if err := w.disk.Sync(); err != nil {
		return syncError(err)
	}
	w.zeroed = append(w.zeroed, w.ends()...)
	for _, r := range w.signs {
		w.result.Zeroed += r.Length
	}
	return nil
}

// zero makes the zeros that mean something.
func (w *writer) zero(ctx context.Context) error {
	ranges := w.kept()
	total := int64(0)
	for _, r := range ranges {
		total += r.Length
	}
	for i := range w.todo {
		if w.todo[i] {
			total += w.length(i)
		}
	}
	w.begin(builder.StageWrite, total)
	for _, r := range ranges {
		if err := zeroAll(ctx, w.disk, r.Offset, r.Length); err != nil {
			return writeError(r.Offset, err)
		}
		w.zeroed = append(w.zeroed, r)
		w.advance(r.Length, &w.result.Zeroed)
	}
	return nil
}

// kept returns the ranges of zeros that mean something, without the ends, which
// are blank. An update that found them right leaves them alone.
func (w *writer) kept() (ranges []manifest.Range) {
	if w.zerosRight {
		return nil
	}
	for i := 0; i < len(w.keep); i++ {
		from := i
		for i < len(w.keep) && w.keep[i] && !w.used[i] && !w.isTable(int64(i)*chunkSize) {
			i++
		}
		if i > from {
			at := int64(from) * chunkSize
			ranges = append(ranges, manifest.Range{Offset: at, Length: min(int64(i)*chunkSize, w.ImageSize) - at})
		}
	}
	return ranges
}

// data writes all chunks but those that have tables, and brings them to the
// disk.
func (w *writer) data(ctx context.Context) error {
	err := w.source.Each(ctx, w.options.Workers, w.todo.has, w.chunk)
	if err != nil {
		return err
	}
	w.progress.Report(builder.StageSync, 0, 0)
	if err := w.disk.Sync(); err != nil {
		return syncError(err)
	}
	return nil
}

// chunk writes a chunk, once it is known to be the image's.
func (w *writer) chunk(offset int64, data []byte) error {
	if err := w.check(offset, data); err != nil {
		return err
	}
	switch {
	case w.isTable(offset):
		w.mu.Lock()
		w.tables[offset] = slices.Clone(data)
		w.mu.Unlock()
		w.advance(int64(len(data)), nil)
		return nil
	case isZero(data):
		return w.foundZeros(offset, int64(len(data)))
	}
	if _, err := w.disk.WriteAt(data, offset); err != nil {
		return writeError(offset, err)
	}
	w.advance(int64(len(data)), &w.result.Written)
	return nil
}

// check compares a chunk with its digest, or makes the digest.
func (w *writer) check(offset int64, data []byte) error {
	got, want := manifest.SHA256(sha256.Sum256(data)), &w.want[offset/chunkSize]
	if !w.Manifest {
		*want = got
		return nil
	}
	if got != *want {
		return fault.New(fault.Input, "take another copy of the image, or the manifest that was made with it",
			"image: bytes %d to %d (%s): SHA-256 %s, the manifest says %s", offset, offset+int64(len(data)), w.place(offset, int64(len(data))), got, want)
	}
	return nil
}

// foundZeros handles a chunk of which only reading it told that it is zeros.
func (w *writer) foundZeros(offset, length int64) error {
	if !w.keep.has(offset) {
		w.mu.Lock()
		w.todo[offset/chunkSize] = false // it is not written, and not compared
		w.mu.Unlock()
		w.advance(length, nil)
		return nil
	}
	if err := w.disk.Zero(offset, length); err != nil {
		return writeError(offset, err)
	}
	w.advance(length, &w.result.Zeroed)
	return nil
}

// seal writes the tables, now that all they lead to is on the disk and right:
// the backup, and the primary one last of all. It is not interrupted; should it
// fail, the tables go again.
func (w *writer) seal(context.Context) error {
	err := w.writeTables()
	if err == nil {
		err = w.proveTables()
	}
	if err == nil {
		w.tables = nil
		return nil
	}
	for _, r := range w.ends()[:min(2, len(w.ends()))] {
		if e := writeZeros(w.disk, r.Offset, r.Length); e != nil {
			err = errors.Join(err, fmt.Errorf("the partition table that was written could not be removed again: %w", e))
		}
	}
	return errors.Join(err, w.disk.Sync())
}

func (w *writer) writeTables() error {
	for _, offset := range []int64{w.lastChunk(), 0} {
		data, ok := w.tables[offset]
		if !ok { // zeros: it is blank already
			continue
		}
		if _, err := w.disk.WriteAt(data, offset); err != nil {
			return writeError(offset, err)
		}
		if err := w.disk.Sync(); err != nil {
			return syncError(err)
		}
		w.result.Written += int64(len(data))
	}
	return nil
}

func writeError(offset int64, err error) error {
	hint := "use another disk, or another port"
	if errors.Is(err, unix.ENOSPC) {
		hint = "free space there"
	}
	return fault.New(fault.Internal, hint, "write: offset %d: %w", offset, err)
}

// syncError is the disk's last word: what was not written by now never is
// (fsync(2)).
func syncError(err error) error {
	return fault.New(fault.Internal, "use another disk, or another port", "sync: %w", err)
}
