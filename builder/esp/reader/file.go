package reader

import (
	"fmt"
	"io"
	"io/fs"
	"sort"
	"time"
)

// info is the fs.FileInfo of an entry. FAT has no permissions.
type info struct{ e *entry }

// Name implements fs.FileInfo.
func (i info) Name() string { return i.e.name }

// Size implements fs.FileInfo; it is 0 for a directory.
func (i info) Size() int64 {
	if i.IsDir() {
		return 0
	}
	return int64(i.e.size)
}

// Mode implements fs.FileInfo.
func (i info) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// ModTime implements fs.FileInfo. The time stamp is taken for UTC.
func (i info) ModTime() time.Time { return i.e.modified }

// IsDir implements fs.FileInfo.
func (i info) IsDir() bool { return i.e.isDir() }

// Sys implements fs.FileInfo: there is nothing more.
func (i info) Sys() any { return nil }

// File is an open file. It implements fs.File, io.ReaderAt and io.Seeker;
// ReadAt may be called from several goroutines.
type File struct {
	*io.SectionReader
	info info
}

// Stat implements fs.File.
func (f *File) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close implements fs.File. There is nothing to close.
func (f *File) Close() error { return nil }

// fileChain returns the clusters of a file, exactly those that its size needs.
func (f *FS) fileChain(e *entry) ([]run, error) {
	n := f.clustersOf(int64(e.size))
	return f.chain(e.first, n, n)
}

// clustersOf returns how many clusters a file of size bytes has.
func (f *FS) clustersOf(size int64) int64 { return (size + f.boot.cluster - 1) / f.boot.cluster }

func (f *FS) open(e *entry) (*File, error) {
	runs, err := f.fileChain(e)
	if err != nil {
		return nil, err
	}
	c := &contentReader{r: f.r, extents: f.extents(runs, int64(e.size))}
	return &File{SectionReader: io.NewSectionReader(c, 0, int64(e.size)), info: info{e}}, nil
}

// contentReader reads the bytes of a file.
type contentReader struct {
	r       io.ReaderAt
	extents []Extent
}

// ReadAt implements io.ReaderAt.
func (c *contentReader) ReadAt(b []byte, offset int64) (int, error) {
	n := 0
	i := sort.Search(len(c.extents), func(i int) bool { return c.extents[i].Offset+c.extents[i].Length > offset })
	for ; n < len(b) && i < len(c.extents); i++ {
		x := c.extents[i]
		skip := offset + int64(n) - x.Offset
		part := b[n:min(int64(len(b)), int64(n)+x.Length-skip)]
		if err := readFull(c.r, part, x.Physical+skip); err != nil {
			return n, err
		}
		n += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// openDir is an open directory.
type openDir struct {
	info    info
	entries []fs.DirEntry // those that were not returned yet
}

// Stat implements fs.File.
func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }

// Close implements fs.File. There is nothing to close.
func (d *openDir) Close() error { return nil }

// Read implements fs.File; a directory has no bytes.
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: fmt.Errorf("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	part := d.entries
	if n > 0 {
		if len(part) == 0 {
			return nil, io.EOF
		}
		part = part[:min(n, len(part))]
	}
	d.entries = d.entries[len(part):]
	return part, nil
}
