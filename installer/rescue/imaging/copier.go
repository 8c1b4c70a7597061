package imaging

import (
	"context"
	"errors"
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const (
	saveEvery = 30 * time.Second
	tellEvery = 250 * time.Millisecond
	// patience is how many reads may fail one after the other before one is tried that
	// has succeeded: a disk that answers no more fails all of them.
	patience = 16
)

// copier is a run.
type copier struct {
	ctx    context.Context
	r      Request
	m      *Map
	sector int64
	block  int64  // blockSize
	buffer []byte // blockSize, at a multiple of a page

	saved, told time.Time
	rate        rate
	good        int64  // a sector that was read in this run; -1 for none
	failed      []Part // reads that failed since, with the status that was before
}

func newCopier(ctx context.Context, r Request) *copier {
	if r.Every == 0 {
		r.Every = saveEvery
	}
	return &copier{ctx: ctx, r: r, m: r.Map, sector: r.Source.Sector(), block: blockSize, buffer: aligned(blockSize), good: -1}
}

// aligned returns memory that begins at a page, as O_DIRECT demands (open(2)).
func aligned(n int) []byte {
	const page = 64 << 10
	raw := make([]byte, n+page)
	skip := page - int(uintptr(unsafe.Pointer(&raw[0]))%page)
	return raw[skip : skip+n : skip+n]
}

// run makes all passes. However it ends, the map is saved, unless the target is not
// the map's.
func (c *copier) run() error {
	if err := c.compare(); err != nil {
		return err
	}
	if c.r.Begin != nil {
		if err := c.written(c.r.Begin()); err != nil {
			return err
		}
	}
	if err := c.save(); err != nil { // first of all: what cannot be saved cannot go on
		return err
	}
	begun := c.m.Position
	for _, p := range passes(c.r.Retries) {
		at := int64(0)
		if p.backward {
			at = c.m.Size()
		}
		if begun.Status == p.Status && p.Pass < begun.Pass {
			continue
		}
		// The others do not come again to what they have done, wherever they begin.
		if begun.Status == p.Status && p.Pass == begun.Pass && (p.jumps() || p.Status == Bad) {
			at = begun.At
		}
		c.m.Position = Position{At: at, Status: p.Status, Pass: p.Pass}
		if err := p.run(c, p, at); err != nil {
			return c.stop(err)
		}
		if err := c.alive(1); err != nil {
			return c.stop(err)
		}
	}
	for p := range c.m.Parts(Bad) {
		if err := c.written(c.r.Target.Zero(p.Start, p.Length)); err != nil {
			return c.stop(err)
		}
	}
	c.m.Position = Position{At: c.m.Size(), Status: Rescued, Pass: 1}
	c.tell()
	return c.save()
}

// stop saves the map after an error, unless the target failed: then the last map
// that was saved is the true one.
func (c *copier) stop(err error) error {
	c.tell()
	if fault.ClassOf(err) == fault.Target {
		return err
	}
	return errors.Join(err, c.save())
}

// save puts what was copied on its medium, and then the map.
func (c *copier) save() error {
	if err := c.written(c.r.Target.Sync()); err != nil {
		return err
	}
	if err := c.r.Save(c.m.Encode()); err != nil {
		return c.written(err)
	}
	c.saved = time.Now()
	return nil
}

// written gives an error of the target its class.
func (c *copier) written(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return fault.New(fault.Target, "make room and run the same again: it goes on from here", "copy: %w", err)
	}
	return fault.New(fault.Target, "the disk that is copied to fails, or was taken out: check it, and run the same again", "copy: %w", err)
}

// at ends a step of a pass, which goes on at a byte.
func (c *copier) at(p pass, at int64) error {
	c.m.Position.At = min(max(at, 0), c.m.Size())
	if len(c.m.parts) > maxParts {
		return fault.New(fault.Input, "go on with a copy of single partitions", "disk: has bad sectors in more than %d places", maxParts/2)
	}
	now := time.Now()
	if now.Sub(c.told) >= tellEvery {
		c.tell()
	}
	if now.Sub(c.saved) >= c.r.Every {
		return c.save()
	}
	return nil
}

// try reads a range of at most a block, which is of one status, and writes what
// it gets. The rest has failed, and gets a status; false says so.
func (c *copier) try(at, length int64, failed Status) (bool, error) {
	before := c.m.parts[c.m.index(at)].Status
	n, err := c.read(at, length)
	if err != nil {
		return false, err
	}
	if n > 0 {
		if err := c.written(c.write(c.buffer[:n], at)); err != nil {
			return false, err
		}
		c.m.set(at, n, Rescued)
		c.good, c.failed = at, c.failed[:0]
	}
	if n == length {
		return true, nil
	}
	if length-n <= c.sector {
		failed = Bad
	}
	c.m.set(at+n, length-n, failed)
	c.failed = append(c.failed, Part{Start: at + n, Length: length - n, Status: before})
	return false, c.alive(patience)
}

// write writes bytes, or makes zeros of what is nothing else.
func (c *copier) write(p []byte, at int64) error {
	if allZero(p) {
		return c.r.Target.Zero(at, int64(len(p)))
	}
	_, err := c.r.Target.WriteAt(p, at)
	return err
}

func allZero(p []byte) bool {
	const word = 8
	for ; len(p) >= word; p = p[word:] {
		if *(*[word]byte)(p) != [word]byte{} {
			return false
		}
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// read fills the buffer, and returns how many whole sectors were read. A read that
// hangs is left behind when the context ends, and the buffer with it.
func (c *copier) read(at, length int64) (int64, error) {
	type result struct {
		n   int
		err error
	}
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	done := make(chan result, 1)
	go func() {
		n, err := c.r.Source.ReadAt(c.buffer[:length], at)
		done <- result{n, err}
	}()
	select {
	case <-c.ctx.Done():
		return 0, context.Cause(c.ctx)
	case got := <-done:
		n := int64(got.n)
		if n == length {
			return n, nil
		}
		if !damaged(got.err) {
			return 0, gone(got.err)
		}
		return max(0, (at+n)/c.sector*c.sector-at), nil
	}
}

// damaged reports whether an error is what a bad sector gives: errors of
// blk_errors in the kernel's block/blk-core.c that are of the medium or of the way
// to it. All others are of the whole disk.
func damaged(err error) bool {
	if err == nil || errors.Is(err, io.EOF) {
		return false
	}
	for _, e := range []error{unix.EIO, unix.ENODATA, unix.EILSEQ, unix.EREMOTEIO, unix.ETIMEDOUT, unix.ENOLINK, unix.EBADE, unix.ETIME} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// alive is an error where the disk is gone, or, once some reads have failed, fails
// to read all that it could before. What was taken for damaged meanwhile is as it
// was then.
func (c *copier) alive(some int) error {
	if len(c.failed) == 0 {
		return nil
	}
	err := c.r.Source.Here()
	if err == nil {
		if len(c.failed) < some {
			return nil
		}
		var answers bool
		if answers, err = c.answers(); err != nil {
			return err
		}
		if answers {
			c.failed = c.failed[:0]
			return nil
		}
		err = errors.New("answers no more: it fails to read what it could before")
	}
	for _, p := range c.failed {
		c.m.set(p.Start, p.Length, p.Status)
	}
	return gone(err)
}

// answers reads sectors that were good once: the last one, and the first and the
// last that the map knows. Where there is none, that says nothing.
func (c *copier) answers() (bool, error) {
	var known []int64
	if c.good >= 0 {
		known = append(known, c.good)
	}
	if p, ok := c.m.next(0, Rescued); ok {
		known = append(known, p.Start)
	}
	if p, ok := c.m.previous(c.m.Size(), Rescued); ok {
		known = append(known, max(p.Start, (p.end()-1)/c.sector*c.sector))
	}
	for _, at := range known {
		n, err := c.read(at, min(c.sector-at%c.sector, c.m.Size()-at))
		if n > 0 || err != nil {
			return n > 0, err
		}
	}
	return len(known) == 0, nil
}

func gone(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fault.New(fault.Input, "switch the disk off and on again, let it cool, and run the same again: it goes on from here", "disk: %w", err)
}
