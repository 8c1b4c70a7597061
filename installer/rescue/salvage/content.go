package salvage

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// pieceSize is how much is read at once: as much as a compressed extent holds.
const pieceSize = ondisk.MaxCompress

// What a file has in the place of what is lost.
var (
	errZeros = errors.New("parts of it are damaged, and zeros in the copy")
	errGaps  = errors.New("where parts of it are is lost: all that is zeros in the copy may have been something else")
)

// file copies a regular file; there says that the copy has one of this name, and the
// result that it has it now.
func (c *copier) file(name, to string, info fs.FileInfo, there bool) (bool, error) {
	var extents []reader.Extent
	var err error
	met := c.met(func() { extents, err = c.volume.Extents(name) })
	if err != nil { // which parts it has cannot be told: try all of it
		extents = []reader.Extent{{Length: info.Size()}}
	}
	in, err := c.volume.Open(name)
	if err != nil {
		c.lose(name, err)
		return false, nil
	}
	defer in.Close()
	from, ok := in.(io.ReaderAt)
	if !ok {
		c.lose(name, errors.New("is no regular file any more"))
		return false, nil
	}
	damage := errZeros
	var kept bool
	var lost []Range
	if there {
		damage = errLeft
		kept, lost, err = c.again(name, to, from, extents, info, met)
	} else {
		kept, lost, err = c.anew(name, to, from, extents, info)
	}
	switch {
	case err != nil || !kept: // which is told already
		return false, err
	case met:
		c.lose(name, errGaps, append(lost, gaps(extents, info.Size())...)...)
	case len(lost) > 0:
		c.lose(name, damage, lost...)
	}
	return true, nil
}

// anew makes a file of the copy, which is not kept where the file system of that cannot
// have it.
func (c *copier) anew(name, to string, from io.ReaderAt, extents []reader.Extent, info fs.FileInfo) (kept bool, lost []Range, err error) {
	out, err := c.to.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, nil, c.unkept(name, info, err)
	}
	if err := c.to.Resize(out, info.Size()); err != nil {
		if err := errors.Join(target(out.Close()), target(c.to.Remove(to))); err != nil {
			return false, nil, err
		}
		return false, nil, c.unkept(name, info, err)
	}
	lost, err = c.content(from, extents, info.Size(), func(p []byte, at int64) error {
		_, err := out.WriteAt(p, at)
		return target(err)
	})
	if err == nil {
		err = c.attributes(out, name, info)
	}
	return true, lost, errors.Join(err, target(out.Close()))
}

// gaps are the parts of a file that no extent is known of.
func gaps(extents []reader.Extent, size int64) (list []Range) {
	for _, e := range extents {
		if e.Kind == reader.ExtentHole {
			list = appendRanges(list, Range{e.FileOffset, min(e.FileOffset+e.Length, size) - e.FileOffset})
		}
	}
	return list
}

// content puts the parts that have any, and returns those that are damaged.
func (c *copier) content(from io.ReaderAt, extents []reader.Extent, size int64, put func(p []byte, at int64) error) (lost []Range, err error) {
	buffer := make([]byte, pieceSize)
	for _, e := range extents {
		if e.Kind == reader.ExtentHole || e.Kind == reader.ExtentPrealloc {
			continue
		}
		end := min(e.FileOffset+e.Length, size)
		for at := e.FileOffset; at < end; {
			if err := c.ctx.Err(); err != nil {
				return nil, err
			}
			n := min(pieceSize, end-at)
			damaged, err := c.piece(from, buffer[:n], at, put)
			if err != nil {
				return nil, err
			}
			lost = appendRanges(lost, damaged...)
			at += n
		}
	}
	return lost, nil
}

// piece puts one piece, and sector by sector where it cannot be read as a whole.
func (c *copier) piece(from io.ReaderAt, p []byte, at int64, put func(p []byte, at int64) error) (lost []Range, err error) {
	if n, err := from.ReadAt(p, at); n == len(p) && (err == nil || err == io.EOF) {
		return nil, c.passed(p, at, put)
	}
	for i := int64(0); i < int64(len(p)); {
		n := min(ondisk.SectorSize-(at+i)%ondisk.SectorSize, int64(len(p))-i)
		sector := p[i : i+n]
		if got, err := from.ReadAt(sector, at+i); got < len(sector) || err != nil && err != io.EOF {
			lost = appendRanges(lost, Range{at + i, n})
		} else if err := c.passed(sector, at+i, put); err != nil {
			return nil, err
		}
		i += n
	}
	return lost, nil
}

// passed puts what was read, and tells of it.
func (c *copier) passed(p []byte, at int64, put func(p []byte, at int64) error) error {
	if err := put(p, at); err != nil {
		return err
	}
	c.report.Bytes += int64(len(p))
	if c.r.Progress != nil {
		c.r.Progress(c.report.Bytes)
	}
	return nil
}

// appendRanges adds ranges in order, and joins those that touch.
func appendRanges(list []Range, more ...Range) []Range {
	for _, r := range more {
		if i := len(list) - 1; i >= 0 && list[i].Start+list[i].Length == r.Start {
			list[i].Length += r.Length
			continue
		}
		list = append(list, r)
	}
	return list
}
