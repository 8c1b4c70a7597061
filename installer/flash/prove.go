package flash

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// expectation is what a range of the disk, of up to a chunk, must read as.
type expectation struct {
	manifest.Range
	zero   bool
	digest manifest.SHA256 // where it is not zeros
}

// Difference is a range of the disk that does not read as it must.
type Difference struct {
	manifest.Range
	Place    string // "partition root", "partition table", …
	Found    string // a digest, or "zeros"
	Expected string
}

// String returns all of it on one line.
func (d Difference) String() string {
	return fmt.Sprintf("bytes %d to %d (%s): %s, expected %s", d.Offset, d.Offset+d.Length, d.Place, d.Found, d.Expected)
}

// read returns what differs of some expectations, in ascending order, and tells
// each of those that do not whether they are right.
func (w *writer) read(ctx context.Context, all []expectation, each func(e expectation, right bool, n int64)) ([]Difference, error) {
	var next atomic.Int64
	found := make([]*Difference, len(all))
	err := parallel(ctx, w.options.Workers, func(ctx context.Context) error {
		buf := make([]byte, chunkSize)
		for ctx.Err() == nil {
			i := next.Add(1) - 1
			if i >= int64(len(all)) {
				return nil
			}
			e := all[i]
			data := buf[:e.Length]
			if err := readChunk(w.disk, data, e.Offset); err != nil {
				return fault.New(fault.Internal, "use another disk, or another port", "read back: %w", err)
			}
			found[i] = w.differs(e, data)
			each(e, found[i] == nil, e.Length)
		}
		return ctx.Err()
	})
	var differences []Difference
	for _, d := range found {
		if d != nil {
			differences = append(differences, *d)
		}
	}
	return differences, err
}

// differs says how data differs from what is expected, nil when it does not.
func (w *writer) differs(e expectation, data []byte) *Difference {
	d := &Difference{Range: e.Range, Place: w.place(e.Offset, e.Length), Found: "zeros", Expected: "zeros"}
	zero := isZero(data)
	if zero && e.zero {
		return nil
	}
	if !e.zero {
		d.Expected = "SHA-256 " + e.digest.String()
	}
	if !zero || !e.zero {
		got := manifest.SHA256(sha256.Sum256(data))
		if !e.zero && got == e.digest {
			return nil
		}
		if !zero {
			d.Found = "SHA-256 " + got.String()
		}
	}
	return d
}

// expectChunk is what the image has in a chunk that is used.
func (w *writer) expectChunk(i int) expectation {
	return expectation{Range: manifest.Range{Offset: int64(i) * chunkSize, Length: w.length(i)}, digest: w.want[i]}
}

// expectZeros divides ranges into chunks.
func expectZeros(ranges []manifest.Range) (all []expectation) {
	for _, r := range ranges {
		for at := r.Offset; at < r.Offset+r.Length; at += chunkSize {
			all = append(all, expectation{Range: manifest.Range{Offset: at, Length: min(chunkSize, r.Offset+r.Length-at)}, zero: true})
		}
	}
	return all
}

// proveData reads back what was written, and that both ends are still blank: on
// a disk that holds less than it says, data for the part that is not there may
// have come to stand in its place.
func (w *writer) proveData(ctx context.Context) error {
	if err := w.disk.DropCache(); err != nil {
		return syncError(err)
	}
	all := expectZeros(w.zeroed)
	for i := range w.used {
		if w.proven(i) && !w.isTable(int64(i)*chunkSize) {
			all = append(all, w.expectChunk(i))
		}
	}
	slices.SortFunc(all, func(a, b expectation) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	return w.prove(ctx, all)
}

// wholeProof is the share of chunks that an update writes from which on all of
// them are read back, one in so many: it is little more, and finds writes that
// went where other chunks are.
const wholeProof = 4

// proven reports whether a chunk of the image is read back after writing.
func (w *writer) proven(i int) bool {
	if !w.Update {
		return w.todo[i]
	}
	return w.todo[i] || w.used[i] && w.whole
}

// prove compares, and fails where anything differs.
func (w *writer) prove(ctx context.Context, all []expectation) error {
	total := int64(0)
	for _, e := range all {
		total += e.Length
	}
	w.begin(builder.StageVerify, total)
	different, err := w.read(ctx, all, func(_ expectation, _ bool, n int64) { w.advance(n, &w.result.Compared) })
	if err != nil {
		return err
	}
	if len(different) == 0 {
		return nil
	}
	more := ""
	if n := len(different) - 1; n > 0 {
		more = fmt.Sprintf("; so do %d more, up to byte %d", n, different[n].Offset+different[n].Length)
	}
	return fault.New(fault.Mismatch, "the disk is broken, or holds less than it says: use another one", "read back: differs: %s%s", different[0], more)
}

// proveTables reads the tables back.
func (w *writer) proveTables() error {
	if err := w.disk.DropCache(); err != nil {
		return syncError(err)
	}
	var all []expectation
	for offset, data := range w.tables {
		all = append(all, expectation{Range: manifest.Range{Offset: offset, Length: int64(len(data))}, zero: isZero(data), digest: sha256.Sum256(data)})
	}
	return w.prove(context.Background(), all)
}
