package fstree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TarOptions says how an archive is taken. The zero value takes it as it is.
type TarOptions struct {
	Name string // of the archive, in messages; "archive" if empty
	// Owner, when not nil, owns every entry whatever the archive says.
	Owner *Owner
}

// ScanTar returns the tree in an uncompressed tar archive of size bytes. Only
// headers are read; contents are read from r when they are opened, so r must
// stay usable as long as the tree is.
//
// It reads the formats v7, ustar, PAX and GNU, with sparse files, extended
// attributes (SCHILY.xattr and LIBARCHIVE.xattr) and times of nanoseconds;
// owners by number only. The standard library's reader is not used because it
// tells neither where a member's data is nor where its holes are.
//
// The tree is what unpacking would make, but for what could reach outside or
// surprise: leading slashes are dropped, ".." is refused, and so is a member
// below another one that is a symlink. A later member of the same name
// replaces the earlier. A hard link must name an earlier member. All errors
// are of class fault.Input and name the archive, the member and its offset.
func ScanTar(ctx context.Context, r io.ReaderAt, size int64, opts TarOptions) (*Tree, error) {
	s := &tarScan{r: r, size: size, opts: opts, tree: New(), src: &tarData{r: r, name: opts.Name}}
	if s.src.name == "" {
		s.src.name = "archive"
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := s.next()
		if err != nil {
			return nil, fault.New(fault.Input, "", "%s: %w", s.src.name, s.located(err))
		}
		if m == nil {
			s.tree.Freeze()
			return s.tree, nil
		}
		if err := s.place(m); err != nil {
			return nil, fault.New(fault.Input, "", "%s: %w", s.src.name, s.located(err))
		}
	}
}

// tarScan is a scan in progress: the member at hand starts at byte start and
// is called name as soon as that is known.
type tarScan struct {
	r     io.ReaderAt
	size  int64
	off   int64 // of the next byte to read
	start int64
	name  string
	last  string // the member before
	opts  TarOptions
	src   *tarData
	tree  *Tree
}

// tarMember is a member as its headers describe it.
type tarMember struct {
	name, link   string
	flag         byte
	inode        *Inode
	size         int64 // of the file with its holes
	data, stored int64 // offset and length of its bytes in the archive
	parts        []sparsePart
}

// located says which member an error is about.
func (s *tarScan) located(err error) error {
	switch {
	case s.name != "":
		return fmt.Errorf("member %q at byte %d: %w", s.name, s.start, err)
	case s.last != "":
		return fmt.Errorf("after member %q, at byte %d: %w", s.last, s.start, err)
	}
	return fmt.Errorf("at byte %d: %w", s.start, err)
}

// block reads the next block.
func (s *tarScan) block() (*tarBlock, error) {
	if s.size-s.off < blockSize {
		return nil, s.truncated("a header")
	}
	b := new(tarBlock)
	if n, err := s.r.ReadAt(b[:], s.off); n < blockSize {
		return nil, readError(err)
	}
	s.off += blockSize
	return b, nil
}

func (s *tarScan) truncated(where string) error {
	return fmt.Errorf("truncated: it ends at byte %d within %s", s.size, where)
}

// readError is what a short ReadAt means before the known end.
func readError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skip moves over n bytes of data and their padding.
func (s *tarScan) skip(n int64) error {
	if n > s.size-s.off {
		return s.truncated(fmt.Sprintf("data of %d bytes", n))
	}
	// The padding of the last member may be missing only with the end marker,
	// which is looked for next.
	s.off = min(s.size, s.off+n+-n&(blockSize-1))
	return nil
}

// maxMeta bounds the headers that describe a member: names and PAX records.
const maxMeta = 1 << 20

// meta reads the data of a header that describes the next member.
func (s *tarScan) meta(b *tarBlock) ([]byte, error) {
	n, err := b.number("size of extended header", 124, 12, maxMeta)
	if err != nil {
		return nil, err
	}
	at := s.off
	if err := s.skip(n); err != nil {
		return nil, err
	}
	data := make([]byte, n)
	if got, err := s.r.ReadAt(data, at); int64(got) < n {
		return nil, readError(err)
	}
	return data, nil
}

// next reads all headers of the next member and moves over its data. It
// returns nil at the end marker.
func (s *tarScan) next() (*tarMember, error) {
	s.start, s.last, s.name = s.off, s.name, ""
	m, records := &tarMember{}, &paxRecords{}
	for extended := false; ; {
		b, err := s.block()
		if err != nil {
			return nil, err
		}
		if b.isZero() {
			return nil, s.endMarker(extended)
		}
		if err := b.check(); err != nil {
			return nil, err
		}
		switch b.typeflag() {
		case flagRecords, flagLongName, flagLongLink:
			extended = true
		case flagGlobal, flagVolume:
		default:
			return m, s.finish(m, records, b)
		}
		if err := s.extend(m, records, b); err != nil {
			return nil, err
		}
	}
}

// endMarker checks the second of the two zero blocks that end an archive.
func (s *tarScan) endMarker(extended bool) error {
	if extended {
		return errors.New("the archive ends after an extended header")
	}
	b, err := s.block()
	if err != nil {
		return err
	}
	if !b.isZero() {
		return errors.New("a lone zero block, expected two at the end")
	}
	return s.afterEnd()
}

// afterEnd looks at what follows the end marker. Padding and garbage are passed
// over, as every program does, but members there would be lost without a word:
// archives that were joined end to end, or a hole in the middle of one.
func (s *tarScan) afterEnd() error {
	const window = 2048 * blockSize
	buf := make([]byte, min(window, s.size-s.off))
	for ; s.off+blockSize <= s.size; s.off += window {
		n, err := s.r.ReadAt(buf[:min(int64(len(buf)), s.size-s.off)], s.off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for at := 0; at+blockSize <= n; at += blockSize {
			if b := (*tarBlock)(buf[at:]); !b.isZero() && b.check() == nil {
				return fmt.Errorf("the archive ends here, but at byte %d a further member follows: archives joined end to end are not read as one", s.off+int64(at))
			}
		}
	}
	return nil
}

// extend takes a header that describes the member to come.
func (s *tarScan) extend(m *tarMember, records *paxRecords, b *tarBlock) error {
	data, err := s.meta(b)
	if err != nil {
		return err
	}
	switch b.typeflag() {
	case flagRecords:
		return records.parse(data)
	case flagGlobal:
		// git-archive puts a comment there. Anything more is hardly ever met.
		var global paxRecords
		if err := global.parse(data); err != nil {
			return err
		}
		if !global.isEmpty() {
			return errors.New("global PAX records other than a comment are not supported")
		}
	case flagLongName:
		m.name = strings.TrimRight(string(data), "\x00")
	case flagLongLink:
		m.link = strings.TrimRight(string(data), "\x00")
	}
	return nil
}

// finish completes m from its main header and moves over its data.
func (s *tarScan) finish(m *tarMember, p *paxRecords, b *tarBlock) error {
	if err := m.setNames(p, b); err != nil {
		return err
	}
	s.name = m.name
	m.flag = b.typeflag()
	switch m.flag {
	case flagOld, flagContiguous, flagRegular:
		m.flag = flagRegular
		if strings.HasSuffix(m.name, "/") { // how v7 marks directories
			m.flag = flagDir
		}
	}
	if err := m.describe(p, b); err != nil {
		return err
	}
	if m.flag != flagRegular && m.flag != flagSparse {
		return nil // nothing else has data, whatever its size field says
	}
	if err := m.setSize(p, b); err != nil {
		return err
	}
	m.data = s.off
	if err := s.sparse(m, p, b); err != nil {
		return err
	}
	s.off = m.data
	return s.skip(m.stored)
}

// sparse reads the map of a file with holes; others have none.
func (s *tarScan) sparse(m *tarMember, p *paxRecords, b *tarBlock) error {
	isPAX := p.sparse.hasMap || p.sparse.major != ""
	switch {
	case m.flag == flagSparse && isPAX:
		return errors.New("sparse in two formats at once")
	case m.flag == flagSparse:
		return s.oldSparse(m, b)
	case !isPAX:
		return nil
	}
	if m.stored > s.size-s.off {
		return s.truncated(fmt.Sprintf("data of %d bytes", m.stored))
	}
	return s.paxSparseMap(m, &p.sparse)
}

// setNames takes each name from the most particular place that has one.
func (m *tarMember) setNames(p *paxRecords, b *tarBlock) error {
	if m.name == "" {
		m.name = b.name()
	}
	if m.link == "" {
		m.link = b.text(157, 100)
	}
	if p.path != "" {
		m.name = p.path
	}
	if p.link != "" {
		m.link = p.link
	}
	if p.sparse.name != "" {
		m.name = p.sparse.name
	}
	if m.name == "" {
		return errors.New("member without a name")
	}
	if n := max(len(m.name), len(m.link)); n > maxPath {
		return fmt.Errorf("%.40q...: name or link of %d bytes, expected at most %d", m.name, n, maxPath)
	}
	return nil
}

func (m *tarMember) setSize(p *paxRecords, b *tarBlock) (err error) {
	if p.size != nil {
		m.stored = *p.size
	} else if m.stored, err = b.number("size", 124, 12, math.MaxInt64-blockSize); err != nil {
		return err
	}
	m.size = m.stored
	return inRange("size", m.stored, math.MaxInt64-blockSize)
}
