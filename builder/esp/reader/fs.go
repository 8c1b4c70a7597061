package reader

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// FS is an open FAT32 file system. It implements fs.FS, fs.ReadDirFS,
// fs.ReadFileFS and fs.StatFS; case does not matter in names. It may be used
// from several goroutines if the io.ReaderAt may be.
type FS struct {
	r     io.ReaderAt
	boot  boot
	table table
}

// Open opens the file system that starts at byte 0 of r, which has size bytes.
// Errors about what is found there are of class fault.Input.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	b, err := readBoot(r, size)
	if err != nil {
		return nil, err
	}
	return &FS{r: r, boot: *b, table: table{r: r, offset: b.tableOffset}}, nil
}

// Size returns the bytes of the file system.
func (f *FS) Size() int64 { return f.boot.size() }

// ClusterSize returns the bytes of a cluster.
func (f *FS) ClusterSize() int64 { return f.boot.cluster }

// Clusters returns how many clusters there are.
func (f *FS) Clusters() int64 { return int64(f.boot.clusters) }

// Label returns the volume label, "" if there is none.
func (f *FS) Label() string { return labelText(f.boot.label) }

// UUID returns the serial number as blkid prints it, such as "1234-ABCD".
func (f *FS) UUID() string {
	return fmt.Sprintf("%04X-%04X", f.boot.serial>>16, f.boot.serial&0xffff)
}

// root is the entry that the root directory does not have.
func (f *FS) root() entry {
	return entry{name: ".", attr: attrDirectory, first: f.boot.root, modified: decodeTime(1<<5|1, 0)}
}

// readDirectory reads all of a directory.
func (f *FS) readDirectory(e *entry) (*directory, error) {
	runs, err := f.chain(e.first, 1, max(1, maxSlots*slotSize/f.boot.cluster))
	if err != nil {
		return nil, err
	}
	raw, err := f.readRuns(runs)
	if err != nil {
		return nil, err
	}
	return decodeDirectory(raw), nil
}

// readRuns reads the clusters of a directory.
func (f *FS) readRuns(runs []run) ([]byte, error) {
	var raw []byte
	for _, r := range runs {
		n := int64(r.count) * f.boot.cluster
		raw = slices.Grow(raw, int(n))[:int64(len(raw))+n]
		if err := readFull(f.r, raw[int64(len(raw))-n:], f.boot.offset(r.first)); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// find returns the entry at a path.
func (f *FS) find(op, name string) (*entry, error) {
	fail := func(err error) (*entry, error) { return nil, &fs.PathError{Op: op, Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	e := f.root()
	if name == "." {
		return &e, nil
	}
	passed := []uint32{e.first}
	for part := range strings.SplitSeq(name, "/") {
		if !e.isDir() {
			return fail(fs.ErrNotExist)
		}
		d, err := f.readDirectory(&e)
		if err != nil {
			return fail(err)
		}
		i := slices.IndexFunc(d.entries, func(e entry) bool { return strings.EqualFold(e.name, part) })
		if i < 0 {
			return fail(fs.ErrNotExist)
		}
		e = d.entries[i]
		if slices.Contains(passed, e.first) && e.isDir() {
			return fail(fault.New(fault.Input, hintDamaged, "the directory contains itself"))
		}
		passed = append(passed, e.first)
	}
	return &e, nil
}

// Open implements fs.FS. Files are *File, directories fs.ReadDirFile.
func (f *FS) Open(name string) (fs.File, error) {
	e, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.isDir() {
		entries, err := f.list(e)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openDir{info: info{e}, entries: entries}, nil
	}
	file, err := f.open(e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return file, nil
}

// Stat implements fs.StatFS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	e, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{e}, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := f.find("readdir", name)
	if err == nil && !e.isDir() {
		err = &fs.PathError{Op: "readdir", Path: name, Err: fmt.Errorf("not a directory")}
	}
	if err != nil {
		return nil, err
	}
	entries, err := f.list(e)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return entries, nil
}

// list returns the entries of a directory, sorted by name.
func (f *FS) list(e *entry) ([]fs.DirEntry, error) {
	d, err := f.readDirectory(e)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(d.entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	entries := make([]fs.DirEntry, len(d.entries))
	for i := range d.entries {
		entries[i] = fs.FileInfoToDirEntry(info{&d.entries[i]})
	}
	return entries, nil
}

// ReadFile implements fs.ReadFileFS.
func (f *FS) ReadFile(name string) ([]byte, error) { return f.ReadAtMost(name, math.MaxUint32) }

// ReadAtMost is ReadFile that refuses a file of more than limit bytes.
func (f *FS) ReadAtMost(name string, limit int64) ([]byte, error) {
	e, err := f.find("read", name)
	if err != nil {
		return nil, err
	}
	if e.isDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is a directory")}
	}
	if int64(e.size) > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fault.New(fault.Input, "", "%d bytes, expected at most %d", e.size, limit)}
	}
	// The chain is checked before the room for it is made.
	file, err := f.open(e)
	if err == nil {
		b := make([]byte, e.size)
		if err = readFull(file, b, 0); err == nil {
			return b, nil
		}
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: err}
}

// Extent is a part of a file, in bytes.
type Extent struct {
	Offset   int64 // in the file
	Physical int64 // in the file system
	Length   int64
}

// Extents returns where the bytes of a file or directory stand, in the order
// of the file; an empty file has none.
func (f *FS) Extents(name string) ([]Extent, error) {
	e, err := f.find("extents", name)
	if err != nil {
		return nil, err
	}
	runs, size := []run(nil), int64(0)
	if e.isDir() {
		runs, err = f.chain(e.first, 1, max(1, maxSlots*slotSize/f.boot.cluster))
		for _, r := range runs {
			size += int64(r.count) * f.boot.cluster
		}
	} else {
		runs, err = f.fileChain(e)
		size = int64(e.size)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "extents", Path: name, Err: err}
	}
	return f.extents(runs, size), nil
}

// extents returns the extents of runs that hold size bytes.
func (f *FS) extents(runs []run, size int64) []Extent {
	extents := make([]Extent, 0, len(runs))
	at := int64(0)
	for _, r := range runs {
		n := min(int64(r.count)*f.boot.cluster, size-at)
		extents = append(extents, Extent{Offset: at, Physical: f.boot.offset(r.first), Length: n})
		at += n
	}
	return extents
}
