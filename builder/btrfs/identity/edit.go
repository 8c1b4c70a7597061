package identity

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// maxEdited is the size in bytes up to which files are edited: they are held in
// memory, and are tables of a few lines.
const maxEdited = 1 << 20

// inode is a file of which text is replaced.
type inode struct {
	tree, ino uint64
	path      string // the one by which it was named first
}

// way is the tree blocks from a root to an item of a file: all must be the
// file's own.
type way struct {
	path   string
	blocks []ondisk.Logical
}

// file is what a file and its edits come to.
type file struct {
	inode
	noSums  bool
	content string
	extents []reader.Extent
	edits   []Edit
}

// span is text that goes into a file.
type span struct {
	at   int
	text string
}

// takeEdits turns the edits into patches of tree blocks and of file data.
func (p *preparation) takeEdits(edits []Edit) error {
	var files []*file
	for _, e := range edits {
		if err := e.check(); err != nil {
			return err
		}
		f, err := p.open(strings.Trim(e.Path, "/"))
		if err != nil {
			return err
		}
		// One file may be named by several links.
		i := slices.IndexFunc(files, func(o *file) bool { return o.tree == f.tree && o.ino == f.ino })
		if i < 0 {
			i, files = len(files), append(files, f)
		}
		files[i].edits = append(files[i].edits, e)
	}
	for _, f := range files {
		spans, err := f.spans()
		if err != nil {
			return err
		}
		if err := p.edit(f, spans); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return nil
}

// open finds a regular file by a path without symlinks: one may lead out of the
// subvolume that is the root of the system.
func (p *preparation) open(path string) (*file, error) {
	top, err := p.fs.VolumeByID(ondisk.FSTree)
	if err != nil {
		return nil, err
	}
	for i, c := range path {
		if c != '/' {
			continue
		}
		if info, err := top.Lstat(path[:i]); err != nil {
			return nil, refuse("", "%s: %w", path, err)
		} else if !info.IsDir() {
			return nil, refuse("name the file by its own path", "%s: %s is not a directory", path, path[:i])
		}
	}
	info, err := top.Lstat(path)
	switch {
	case err != nil:
		return nil, refuse("", "%s: %w", path, err)
	case !info.Mode().IsRegular():
		return nil, refuse("name the file by its own path", "%s: is not a regular file", path)
	case info.Size() > maxEdited:
		return nil, refuse("", "%s: %d bytes, expected at most %d", path, info.Size(), maxEdited)
	}
	stat := info.Sys().(*reader.Stat)
	f := &file{inode: inode{stat.Subvolume, stat.Ino, path}, noSums: stat.Inode.Flags&ondisk.InodeNoDataSum != 0}
	content, err := top.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f.content = string(content)
	f.extents, err = top.Extents(path)
	return f, err
}

// spans returns all texts that go into the file, by their places. Edits do not
// see each other's texts, so that two may be exchanged.
func (f *file) spans() ([]span, error) {
	var spans []span
	for _, e := range f.edits {
		before := len(spans)
		for at := 0; ; {
			i := strings.Index(f.content[at:], e.Old)
			if i < 0 {
				break
			}
			spans = append(spans, span{at + i, e.New})
			at += i + len(e.Old)
		}
		if len(spans) == before {
			return nil, refuse("", "%s: text %q is not in it", f.path, e.Old)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.at, b.at) })
	for i, s := range spans {
		if i > 0 && spans[i-1].at+len(spans[i-1].text) > s.at {
			return nil, refuse("", "%s: two edits change the text at byte %d", f.path, s.at)
		}
	}
	return spans, nil
}

// edit puts the spans of a file into the extents that hold them.
func (p *preparation) edit(f *file, spans []span) error {
	sectors := map[ondisk.Logical][]patch{}
	for _, e := range f.extents {
		for _, s := range spans {
			s, ok := s.within(e)
			if !ok {
				continue
			}
			if e.Compression != ondisk.CompressNone {
				return refuse("mark the file as raw where the image is made", "is stored compressed, expected plain text")
			}
			switch e.Kind {
			case reader.ExtentInline:
				if err := p.editInline(f, s); err != nil {
					return err
				}
			case reader.ExtentData:
				if err := p.ownExtent(f, e); err != nil {
					return err
				}
				s.at += int(e.Offset) - int(e.FileOffset)
				s.divide(e.Logical, sectors)
			default:
				return refuse("", "byte %d: text in a %v, expected it in file data", s.at, e.Kind)
			}
		}
	}
	for l, patches := range sectors {
		if err := p.editSector(f, l, patches); err != nil {
			return err
		}
	}
	return nil
}

// ownExtent notes that nothing but its item in f may refer to an extent.
func (p *preparation) ownExtent(f *file, e reader.Extent) error {
	for _, o := range f.extents {
		if o.Logical == e.Logical && o.FileOffset != e.FileOffset && o.Offset < e.Offset+e.Length && e.Offset < o.Offset+o.Length {
			return refuse("", "its bytes at %d and at %d are one", o.FileOffset, e.FileOffset)
		}
	}
	p.owners[e.Logical] = f.inode
	_, err := p.locateExtent(f, uint64(e.FileOffset))
	return err
}

// within returns the part of the span in an extent, and whether there is any.
func (s span) within(e reader.Extent) (span, bool) {
	low := max(int64(s.at), e.FileOffset)
	high := min(int64(s.at+len(s.text)), e.FileOffset+e.Length)
	if low >= high {
		return span{}, false
	}
	return span{int(low), s.text[int(low)-s.at : int(high)-s.at]}, true
}

// divide adds the span, whose place is in the extent at l, to the sectors in
// which it stands.
func (s span) divide(l ondisk.Logical, sectors map[ondisk.Logical][]patch) {
	for at, text := s.at, s.text; len(text) > 0; {
		in := at % ondisk.SectorSize
		n := min(len(text), ondisk.SectorSize-in)
		sector := l + ondisk.Logical(at-in)
		sectors[sector] = append(sectors[sector], patch{in, []byte(text[:n])})
		at, text = at+n, text[n:]
	}
}

// editInline puts a span into the leaf that holds the file's content.
func (p *preparation) editInline(f *file, s span) error {
	spot, err := p.locateExtent(f, 0)
	if err != nil {
		return err
	}
	p.patchLeaf(spot, ondisk.FileExtentInlineSize+s.at, []byte(s.text))
	return nil
}

// locateExtent finds the item of an extent, and notes that the way to it must
// be the file's own.
func (p *preparation) locateExtent(f *file, offset uint64) (*spot, error) {
	key := ondisk.Key{ObjectID: f.ino, Type: ondisk.TypeExtentData, Offset: offset}
	s, err := p.locate(f.tree, key)
	if err != nil {
		return nil, err
	}
	if s.item.Key != key {
		return nil, refuse(hintDamaged, "there is no %v", key)
	}
	p.ways = append(p.ways, way{f.path, s.way})
	return s, nil
}

// editSector changes a sector of file data in all its copies, and its checksum.
func (p *preparation) editSector(f *file, l ondisk.Logical, patches []patch) error {
	copies, err := p.fs.Copies(l, ondisk.SectorSize)
	if err != nil {
		return refuse(hintDamaged, "file data: %w", err)
	}
	var old uint32
	var sector []byte
	for i, at := range copies {
		if sector, err = p.readPage(at); err != nil {
			return refuse(hintDamaged, "file data: %w", err)
		}
		sum := crc32.Checksum(sector, castagnoli)
		if i > 0 && sum != old {
			return refuse(hintDamaged, "file data at logical %d: its copies differ", l)
		}
		old = sum
		p.out.pages = append(p.out.pages, page{at: int64(at), name: fmt.Sprintf("file data at logical %d", l), old: old, patches: patches})
	}
	if f.noSums {
		return nil
	}
	for _, patch := range patches {
		patch.put(sector, 0)
	}
	return p.editSum(l, old, crc32.Checksum(sector, castagnoli))
}
