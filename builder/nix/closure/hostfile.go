package closure

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// pieceSize is the content that one digest is of, in bytes: what the writer of a file
// system reads at once.
const pieceSize = 128 << 10

// hintChanged goes with an object that is not what it was when it was hashed.
const hintChanged = "build again, when nobody changes the store: nix-collect-garbage may have run"

// pieceSum is the digest of a piece.
type pieceSum = [sha256.Size]byte

// pieceSums makes the digests of the pieces of what is written to it.
type pieceSums struct {
	sums  []pieceSum
	piece []byte // that is not full yet; holds pieceSize at most
}

// Write implements io.Writer.
func (s *pieceSums) Write(p []byte) (n int, err error) {
	for n < len(p) {
		some := min(len(p)-n, pieceSize-len(s.piece))
		s.piece = append(s.piece, p[n:n+some]...)
		n += some
		if len(s.piece) == pieceSize {
			s.end()
		}
	}
	return n, nil
}

func (s *pieceSums) end() {
	s.sums = append(s.sums, sha256.Sum256(s.piece))
	s.piece = s.piece[:0]
}

// all returns the digests, when all is written.
func (s *pieceSums) all() []pieceSum {
	if len(s.piece) > 0 {
		s.end()
	}
	return slices.Clip(s.sums)
}

// place is a directory in the store: by its name in another, so that files share the
// text of their paths.
type place struct {
	parent *place // nil: the store directory
	name   string
}

// join returns the path of what has a name in the directory, from the store directory.
func (p *place) join(name string) string {
	elements := []string{name}
	for ; p != nil; p = p.parent {
		elements = append(elements, p.name)
	}
	slices.Reverse(elements)
	return path.Join(elements...)
}

// hostContent is the content of a file of the store, which must still be what was
// hashed. Times tell nothing of that: Nix gives all files the same, and changes inodes
// and link counts when it finds files of equal content.
type hostContent struct {
	store *HostStore
	at    *place
	name  string
	sums  []pieceSum
}

// Open implements fstree.Content.
func (c *hostContent) Open(e *fstree.Entry) (fstree.File, error) {
	f, err := openRegular(c.store.objects, c.at.join(c.name))
	if err != nil {
		return nil, c.failed(err)
	}
	return &hostFile{content: c, file: f, size: e.Size, kept: -1}, nil
}

func (c *hostContent) failed(err error) error {
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		hint = hintChanged
	}
	return fault.New(fault.Input, hint, "%s: %w", c.path(), cause(err))
}

func (c *hostContent) path() string { return c.store.name(c.at.join(c.name)) }

// hostFile is an open file of the store.
type hostFile struct {
	content *hostContent
	file    *os.File
	size    int64

	mu    sync.Mutex // of what follows
	piece []byte     // the last one of which only a part was asked for
	kept  int64      // its number; -1: none
}

// ReadAt implements io.ReaderAt. Every piece is checked as a whole.
func (f *hostFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	var end error
	if left := f.size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	for n := 0; n < len(p); {
		index, skip := (off+int64(n))/pieceSize, (off+int64(n))%pieceSize
		length := min(pieceSize, f.size-index*pieceSize)
		some, err := int(length), error(nil)
		if skip == 0 && int64(len(p)-n) >= length {
			err = f.readPiece(p[n:n+some], index)
		} else {
			some, err = f.readPart(p[n:], index, skip, length)
		}
		if err != nil {
			return n, err
		}
		n += some
	}
	return len(p), end
}

// readPart reads what it can of a piece of some length, behind what is to be skipped.
func (f *hostFile) readPart(p []byte, index, skip, length int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept != index {
		if f.piece == nil {
			f.piece = make([]byte, min(pieceSize, f.size))
		}
		f.kept = -1
		if err := f.readPiece(f.piece[:length], index); err != nil {
			return 0, err
		}
		f.kept = index
	}
	return copy(p, f.piece[skip:length]), nil
}

// readPiece reads a whole piece and checks it.
func (f *hostFile) readPiece(p []byte, index int64) error {
	at := index * pieceSize
	n, err := f.file.ReadAt(p, at)
	switch {
	case err == io.EOF:
		return fault.New(fault.Input, hintChanged, "%s: ends at byte %d; it had %d bytes when it was checked", f.content.path(), at+int64(n), f.size)
	case err != nil:
		return f.content.failed(err)
	case sha256.Sum256(p) != f.content.sums[index]:
		return fault.New(fault.Input, hintChanged, "%s: bytes %d to %d: have changed since they were checked", f.content.path(), at, at+int64(len(p)))
	}
	return nil
}

// Segments implements fstree.File: as in an archive there are no holes, whatever the
// host's file system has.
func (f *hostFile) Segments() ([]fstree.Segment, error) {
	return []fstree.Segment{{Offset: 0, Length: f.size}}, nil
}

// Close implements fstree.File.
func (f *hostFile) Close() error { return f.file.Close() }
