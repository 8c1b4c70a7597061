package salvage

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// What is said of a name that the copy has already.
var (
	errOther = errors.New("the copy has another one of this name, which was left: move that away and run the same again")
	errLeft  = errors.New("parts of it are damaged: the copy has there what an earlier run left, zeros for the most part")
)

// comparison compares a file of the copy with what is read.
//
// The time and size of a file do not say that its content is there: after a power
// cut zeros may be in its place. So all of it is compared. What an earlier run has
// not written, or could not read, is zeros, and is missing; anything else that
// differs is of another file, which is left.
type comparison struct {
	have    *os.File
	buffer  []byte // pieceSize
	missing []Range
}

// put compares what was read.
func (k *comparison) put(p []byte, at int64) error {
	there := k.buffer[:len(p)]
	if n, err := k.have.ReadAt(there, at); n < len(there) {
		return target(err)
	}
	if bytes.Equal(p, there) {
		return nil
	}
	for i := 0; i < len(p); i += ondisk.SectorSize {
		end := min(i+ondisk.SectorSize, len(p))
		switch {
		case bytes.Equal(p[i:end], there[i:end]):
		case allZero(there[i:end]):
			k.missing = appendRanges(k.missing, Range{at + int64(i), int64(end - i)})
		default:
			return errOther
		}
	}
	return nil
}

// empty is errOther where the copy has something in a range that is zeros.
func (k *comparison) empty(start, end int64) error {
	for start < end {
		at, err := unix.Seek(int(k.have.Fd()), start, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO): // nothing more
			return nil
		case err != nil: // a file system that does not tell
			at = start
		}
		if at >= end {
			return nil
		}
		p := k.buffer[:min(int64(len(k.buffer)), end-at)]
		if n, err := k.have.ReadAt(p, at); n < len(p) {
			return target(err)
		}
		if !allZero(p) {
			return errOther
		}
		start = at + int64(len(p))
	}
	return nil
}

func allZero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }

// again goes on with a file that the copy has: it gets what is missing, and is left
// as it is, and not kept, where it is another one.
func (c *copier) again(name, to string, from io.ReaderAt, extents []reader.Extent, info fs.FileInfo, met bool) (kept bool, lost []Range, err error) {
	have, err := c.to.OpenFile(to, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, nil, target(err)
	}
	defer have.Close()
	now, err := have.Stat()
	if err != nil {
		return false, nil, target(err)
	}
	if err := c.fresh(have); err != nil {
		return false, nil, err
	}
	k := &comparison{have: have, buffer: make([]byte, pieceSize)}
	switch {
	case now.Size() == 0 && info.Size() > 0: // a power cut may leave the name alone
		k.missing = []Range{{0, info.Size()}}
	case now.Size() != info.Size():
		err = errOther
	default:
		lost, err = c.compare(k, from, extents, info.Size(), met)
	}
	switch {
	case errors.Is(err, errOther):
		c.lose(name, errOther)
		return false, nil, nil
	case err != nil:
		return false, nil, err
	case len(k.missing) == 0:
		c.report.Found++
		return true, lost, c.attributes(have, name, info)
	}
	bytes := c.report.Bytes
	lost, err = c.fillIn(name, to, from, extents, info, k.missing)
	if now.Size() > 0 { // they were counted when they were compared
		c.report.Bytes = bytes
	}
	return true, lost, err
}

// fresh makes reads of a file that an earlier run has left come from the disk: the kernel
// drops from its cache what is written out.
func (c *copier) fresh(have *os.File) error {
	if !c.synced {
		if err := written(c.r.To); err != nil {
			return err
		}
		c.synced = true
	}
	c.to.Fresh(have)
	return nil
}

// compare compares what was read, and the holes: unless met, as which are zeros cannot be
// told then.
func (c *copier) compare(k *comparison, from io.ReaderAt, extents []reader.Extent, size int64, met bool) (lost []Range, err error) {
	if lost, err = c.content(from, extents, size, k.put); err != nil || met {
		return lost, err
	}
	for _, e := range extents {
		if e.Kind == reader.ExtentHole || e.Kind == reader.ExtentPrealloc {
			if err := k.empty(e.FileOffset, min(e.FileOffset+e.Length, size)); err != nil {
				return nil, err
			}
		}
	}
	return lost, nil
}

// fillIn writes what a file of the copy lacks.
func (c *copier) fillIn(name, to string, from io.ReaderAt, extents []reader.Extent, info fs.FileInfo, missing []Range) (lost []Range, err error) {
	out, err := c.to.OpenFile(to, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, target(err)
	}
	if err = c.to.Resize(out, info.Size()); err == nil {
		lost, err = c.content(from, extents, info.Size(), func(p []byte, at int64) error { return fill(out, p, at, missing) })
	}
	if err == nil {
		err = c.attributes(out, name, info)
	}
	return lost, errors.Join(err, target(out.Close()))
}

// fill writes what of p, which is of a file at a byte, is in ranges.
func fill(out *os.File, p []byte, at int64, ranges []Range) error {
	end := at + int64(len(p))
	for _, r := range ranges {
		start, stop := max(at, r.Start), min(end, r.Start+r.Length)
		if start < stop {
			if _, err := out.WriteAt(p[start-at:stop-at], start); err != nil {
				return target(err)
			}
		}
	}
	return nil
}
