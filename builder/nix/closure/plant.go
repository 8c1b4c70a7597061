package closure

import (
	"fmt"
	"io"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix/nar"
)

// What Nix makes of an object (libstore/posix-fs-canonicalise.cc): times of 1 s,
// nothing is writable, all belongs to root.
const (
	storeTime    = 1
	modeFile     = fstree.TypeRegular | 0o444
	modeProgram  = fstree.TypeRegular | 0o555
	modeDir      = fstree.TypeDir | 0o555
	modeSymlink  = fstree.TypeSymlink | 0o777
	modeStoreDir = fstree.TypeDir | 0o1775
	buildersGID  = 30000 // nixbld of NixOS (misc/ids.nix), which its stage 2 gives the store to
)

// planter puts what is in an archive into the tree, or what would be. Archives are
// planted at the same time, each below a name of its own.
type planter struct {
	*fetcher
	object  *found
	address *address

	dirs   []open
	buffer []byte // of File
}

// open is a directory that entries may still come for.
type open struct {
	path  string
	entry *fstree.Entry
}

// Directory implements nar.Visitor.
func (p *planter) Directory(path string) error {
	if p.address.ofFile() {
		return errNoFile
	}
	e, err := p.plant(path, &fstree.Inode{Mode: modeDir})
	if err == nil {
		p.dirs = append(p.dirs, open{path, e})
	}
	return err
}

// File implements nar.Visitor.
func (p *planter) File(f nar.File, content io.Reader) error {
	e, err := p.file(f)
	if err != nil {
		return err
	}
	to, sum := p.hashes(f)
	if to != io.Discard {
		if p.buffer == nil {
			p.buffer = make([]byte, 64<<10)
		}
		if _, err = io.CopyBuffer(to, content, p.buffer); err != nil {
			return err
		}
	}
	if f.Size > 0 {
		e.Content = &stored{p.object, f.Offset}
	}
	p.keepSum(e, sum)
	return nil
}

// hashes returns what the content of a file is to be written to, and what then has the
// digest of the file, if that is asked for.
func (p *planter) hashes(f nar.File) (io.Writer, *nar.FileSum) {
	to := p.address.ofContent()
	if !p.FileSums {
		return to, nil
	}
	sum := nar.NewFileSum(f.Executable, f.Size)
	if to == io.Discard {
		return sum, sum
	}
	return io.MultiWriter(to, sum), sum
}

// keepSum keeps the digest of a file, if there is one. It stands beside the tree, which
// lives longer.
func (p *planter) keepSum(e *fstree.Entry, s *nar.FileSum) {
	if s != nil {
		p.object.files = append(p.object.files, summedFile{s.Sum(), e})
	}
}

// file adds a file without its content.
func (p *planter) file(f nar.File) (*fstree.Entry, error) {
	if p.address.ofFile() && f.Executable {
		return nil, errNoFile
	}
	inode := &fstree.Inode{Mode: modeFile, Size: f.Size}
	if f.Executable {
		inode.Mode = modeProgram
	}
	return p.plant(f.Path, inode)
}

// Symlink implements nar.Visitor.
func (p *planter) Symlink(path, target string) error {
	if p.address.ofFile() {
		return errNoFile
	}
	e, err := p.plant(path, &fstree.Inode{Mode: modeSymlink, Link: target, Size: int64(len(target))})
	if err == nil && p.FileSums {
		p.object.files = append(p.object.files, summedFile{nar.SymlinkSum(target), e})
	}
	return err
}

// plant adds an entry. The archive's own order says which directory is its.
func (p *planter) plant(path string, inode *fstree.Inode) (*fstree.Entry, error) {
	inode.Sec = storeTime
	if path == "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		e, err := p.store.Add(p.object.info.Path.Base(), inode)
		return e, wrap(err)
	}
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	for p.dirs[len(p.dirs)-1].path != dir {
		p.dirs = p.dirs[:len(p.dirs)-1]
	}
	// Not a part of the path, which would be kept as long as the tree.
	e, err := p.dirs[len(p.dirs)-1].entry.Add(strings.Clone(name), inode)
	return e, wrap(err)
}

// wrap marks an error that no archive can cause.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errInternal, err)
}

// uproot takes away what was planted of an object, if anything was.
func (f *fetcher) uproot(o *found) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if root := f.store.Child(o.info.Path.Base()); root != nil {
		f.store.Remove(root)
	}
}

// stored is the content of a file at an offset of an object's archive.
type stored struct {
	object *found
	offset int64
}

// Open implements fstree.Content.
func (s *stored) Open(e *fstree.Entry) (fstree.File, error) {
	return storedFile{io.NewSectionReader(s.object.archive, s.offset, e.Size)}, nil
}

// storedFile is an open file of an archive.
type storedFile struct{ *io.SectionReader }

// Segments implements fstree.File: archives have no holes.
func (f storedFile) Segments() ([]fstree.Segment, error) {
	return []fstree.Segment{{Offset: 0, Length: f.Size()}}, nil
}

// Close implements fstree.File.
func (storedFile) Close() error { return nil }
