package imgtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

const (
	compareChunk = 256 << 10
	maxXattr     = 64 << 10 // the kernel's XATTR_SIZE_MAX
)

// content compares the bytes and the holes of a regular file. Where neither
// side has data nothing is read, so that sparse files of any size are cheap.
func (c *comparison) content(e *fstree.Entry, path, rel string) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		c.differ(rel, "open: %v", err)
		return
	}
	defer f.Close()
	source, want, err := openSource(e)
	if err != nil {
		c.differ(rel, "source: %v", err)
		return
	}
	defer source.Close()
	got, err := kernelSegments(f, e.Size)
	if err != nil {
		c.differ(rel, "find holes: %v", err)
		return
	}
	c.holes(rel, want, got)
	for _, s := range joinSegments(append(slices.Clone(want), got...)) {
		if !c.span(source, f, s, rel) {
			return
		}
	}
}

// holes compares segments of data that are rounded to sectors.
func (c *comparison) holes(rel string, want, got []fstree.Segment) {
	if slices.Equal(want, got) {
		return
	}
	if !c.options.MoreHoles {
		c.differ(rel, "segments of data: got %v, expected %v", got, want)
		return
	}
	for _, g := range got {
		inside := func(w fstree.Segment) bool {
			return w.Offset <= g.Offset && g.Offset+g.Length <= w.Offset+w.Length
		}
		if !slices.ContainsFunc(want, inside) {
			c.differ(rel, "data at [%d, +%d), expected a hole; all data: %v", g.Offset, g.Length, want)
			return
		}
	}
}

// span compares the bytes of one segment and reports whether they are equal.
func (c *comparison) span(source, f io.ReaderAt, s fstree.Segment, rel string) bool {
	for off, end := s.Offset, s.Offset+s.Length; off < end; off += compareChunk {
		n := min(compareChunk, end-off)
		want, got := c.want[:n], c.got[:n]
		if m, err := source.ReadAt(want, off); int64(m) != n {
			c.differ(rel, "source: read at %d: got %d of %d bytes: %v", off, m, n, err)
			return false
		}
		if m, err := f.ReadAt(got, off); int64(m) != n {
			c.differ(rel, "read at %d: got %d of %d bytes: %v", off, m, n, err)
			return false
		}
		if !bytes.Equal(want, got) {
			i := 0
			for want[i] == got[i] {
				i++
			}
			c.differ(rel, "content: byte %d: got %#02x, expected %#02x", off+int64(i), got[i], want[i])
			return false
		}
	}
	return true
}

// openSource opens an entry's content and returns its segments rounded to
// sectors. An inode without content is one hole.
func openSource(e *fstree.Entry) (fstree.File, []fstree.Segment, error) {
	var content fstree.Content = Pieces(nil)
	if e.Content != nil {
		content = e.Content
	}
	f, err := content.Open(e)
	if err != nil {
		return nil, nil, err
	}
	segs, err := f.Segments()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, roundSegments(segs, e.Size), nil
}

// roundSegments widens segments to whole sectors, but not beyond size, and
// joins those that then touch.
func roundSegments(segs []fstree.Segment, size int64) []fstree.Segment {
	var out []fstree.Segment
	for _, s := range segs {
		from := s.Offset / sector * sector
		to := min((s.Offset+s.Length+sector-1)/sector*sector, size)
		out = append(out, fstree.Segment{Offset: from, Length: to - from})
	}
	return joinSegments(out)
}

// joinSegments sorts segments and joins those that touch or overlap.
func joinSegments(segs []fstree.Segment) []fstree.Segment {
	slices.SortFunc(segs, func(a, b fstree.Segment) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	var out []fstree.Segment
	for _, s := range segs {
		if n := len(out); n > 0 && s.Offset <= out[n-1].Offset+out[n-1].Length {
			out[n-1].Length = max(out[n-1].Length, s.Offset+s.Length-out[n-1].Offset)
		} else if s.Length > 0 {
			out = append(out, s)
		}
	}
	return out
}

// kernelSegments asks the kernel where a file has data.
func kernelSegments(f *os.File, size int64) ([]fstree.Segment, error) {
	var segs []fstree.Segment
	for off := int64(0); off < size; {
		from, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // no data behind off
		}
		if err != nil {
			return nil, fmt.Errorf("SEEK_DATA from %d: %w", off, err)
		}
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err != nil {
			return nil, fmt.Errorf("SEEK_HOLE from %d: %w", from, err)
		}
		segs = append(segs, fstree.Segment{Offset: from, Length: to - from})
		off = to
	}
	return joinSegments(segs), nil
}

// xattrs compares all extended attributes, names and values.
func (c *comparison) xattrs(e *fstree.Entry, path, rel string) {
	names, err := listXattrs(path)
	if err != nil {
		c.differ(rel, "list xattrs: %v", err)
		return
	}
	there := map[string]bool{}
	for _, n := range names {
		there[n] = true
	}
	for _, x := range e.Xattrs {
		if !there[x.Name] {
			c.differ(rel, "xattr %q is missing", x.Name)
			continue
		}
		delete(there, x.Name)
		value := make([]byte, maxXattr)
		n, err := unix.Lgetxattr(path, x.Name, value)
		if err != nil || !bytes.Equal(value[:n], x.Value) {
			c.differ(rel, "xattr %q: got %.40q (%d bytes, %v), expected %.40q (%d bytes)", x.Name, value[:max(n, 0)], n, err, x.Value, len(x.Value))
		}
	}
	for _, n := range names {
		if there[n] {
			c.differ(rel, "xattr %q is not in the tree", n)
		}
	}
}

func listXattrs(path string) ([]string, error) {
	n, err := unix.Llistxattr(path, nil)
	if err != nil || n == 0 {
		return nil, err
	}
	list := make([]byte, n)
	if n, err = unix.Llistxattr(path, list); err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00"), nil
}
