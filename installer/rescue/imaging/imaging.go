package imaging

import (
	"context"
	"io"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Source is what is copied.
type Source interface {
	// ReadAt reads without a cache. What it is given begins at a page of memory. It
	// need not be safe for use by several goroutines.
	io.ReaderAt
	Size() int64  // bytes
	Block() int64 // bytes: reads begin and end at a multiple of it, or at the end of all
	// Sector is what is good or bad as a whole, in bytes: a power of two, which is a
	// multiple of Block and no more than 64 KiB, so that whole ones fill a block of a
	// copy. Sectors are counted from byte 0; the last one may be a part of one.
	Sector() int64
	// Here says by an error that the disk is gone, after a read has failed.
	Here() error
}

// Target is what is copied to.
type Target interface {
	io.ReaderAt
	io.WriterAt
	// Zero makes a range read as zeros, if it can without taking room.
	Zero(at, length int64) error
	Sync() error // returns when all that was written is on the medium
}

// Request says what is copied. The zero values of Retries, Every, Begin, Trust,
// Compared and Progress are good.
type Request struct {
	Source   Source
	Target   Target
	Map      *Map                    // what is known already; Copy changes it
	Save     func(text []byte) error // puts the map on a disk, in the place of the last one
	Retries  int                     // how often bad sectors are tried again
	Every    time.Duration           // between two maps that are saved; 0 is 30 seconds
	Begin    func() error            // is called before the first write; nil does nothing
	Trust    bool                    // that it is the disk of the map: no more than half of what is compared may differ
	Compared func(Compared)          // is called before the first write; nil tells nobody
	Progress func(p Progress)        // is called a few times in a second; nil tells nobody
}

// Progress is how far a run is, in bytes.
type Progress struct {
	Doing     string `json:"doing"`
	At        int64  `json:"at"` // where on the disk
	Rescued   int64  `json:"rescued"`
	Bad       int64  `json:"bad"`       // known to be
	Remaining int64  `json:"remaining"` // neither
	Rate      int64  `json:"rate"`      // rescued in a second, over the last seconds
}

// Report is what there is in the end.
type Report struct {
	Size     int64  `json:"size"` // bytes, and so are the others
	Rescued  int64  `json:"rescued"`
	Bad      int64  `json:"bad"`
	BadParts []Part `json:"bad_parts"` // the first maxNamed, in order
	BadCount int    `json:"bad_count"` // of all
}

// maxNamed bounds what a report names.
const maxNamed = 1000

// Copy copies what is not copied yet, and returns when each sector is, or is known
// to be bad. Bad sectors are zeros in the target in the end, and no error.
//
// Before a copy goes on, some of what the map calls rescued is compared: where the
// target has other bytes than the disk, one of the three is of another copy. That is an
// error of class fault.Target, and nothing was written. With Trust that is so where more
// of it has other bytes than the same; what is zeros in both does not count.
//
// Errors are that of a context that ended, which takes no more than a second even
// where the disk answers no more; of class fault.Input where the disk is gone or
// answers no more at all; and of class fault.Target where it cannot be written. The
// same request goes on from there.
func Copy(ctx context.Context, r Request) (*Report, error) {
	if r.Map.Size() != r.Source.Size() {
		return nil, fault.New(fault.Input, "name the map of this very disk", "map: is of %d bytes, expected %d as the disk has", r.Map.Size(), r.Source.Size())
	}
	r.Map.align(r.Source.Block())
	c := newCopier(ctx, r)
	if err := c.run(); err != nil {
		return nil, err
	}
	return c.m.report(), nil
}

// report says what is known in the end.
func (m *Map) report() *Report {
	report := &Report{Size: m.Size(), BadParts: []Part{}}
	report.Rescued, _ = m.Count(Rescued)
	report.Bad, report.BadCount = m.Count(Bad)
	for p := range m.Parts(Bad) {
		if len(report.BadParts) == maxNamed {
			break
		}
		report.BadParts = append(report.BadParts, p)
	}
	return report
}
