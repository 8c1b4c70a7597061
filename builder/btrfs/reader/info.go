package reader

import (
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// Stat is what FileInfo.Sys returns, as a pointer.
type Stat struct {
	Inode     ondisk.InodeItem
	Ino       uint64
	Subvolume uint64
}

type info struct {
	name   string
	object *object
}

func infoOf(name string, o *object) *info { return &info{name: path.Base(name), object: o} }

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return int64(i.object.inode.Size) }
func (i *info) Mode() fs.FileMode  { return fileMode(i.object.inode.Mode) }
func (i *info) ModTime() time.Time { return timeOf(i.object.inode.Mtime) }
func (i *info) IsDir() bool        { return i.object.isDir() }
func (i *info) Sys() any {
	return &Stat{Inode: i.object.inode, Ino: i.object.ino, Subvolume: i.object.tree}
}

// fileMode converts a Unix mode.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode&0o777) | typeMode(ondisk.FileTypeOf(mode))
	for _, bit := range []struct {
		unix uint32
		mode fs.FileMode
	}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}} {
		if mode&bit.unix != 0 {
			m |= bit.mode
		}
	}
	return m
}

// typeMode converts the type of a directory entry.
func typeMode(t ondisk.FileType) fs.FileMode {
	switch t {
	case ondisk.FileRegular:
		return 0
	case ondisk.FileDir:
		return fs.ModeDir
	case ondisk.FileSymlink:
		return fs.ModeSymlink
	case ondisk.FileChar:
		return fs.ModeDevice | fs.ModeCharDevice
	case ondisk.FileBlock:
		return fs.ModeDevice
	case ondisk.FileFIFO:
		return fs.ModeNamedPipe
	case ondisk.FileSocket:
		return fs.ModeSocket
	}
	return fs.ModeIrregular
}

// dirEntry is an entry of a directory; its inode is read only on demand.
type dirEntry struct {
	fs   *FS
	dir  *object
	item ondisk.DirItem
}

func (e *dirEntry) Name() string      { return e.item.Name }
func (e *dirEntry) IsDir() bool       { return e.item.Type == ondisk.FileDir }
func (e *dirEntry) Type() fs.FileMode { return typeMode(e.item.Type) }
func (e *dirEntry) String() string    { return fs.FormatDirEntry(e) }

func (e *dirEntry) Info() (fs.FileInfo, error) {
	o, err := e.fs.follow(e.dir, &e.item)
	if err != nil {
		return nil, pathError("stat", e.item.Name, err)
	}
	return &info{name: e.item.Name, object: o}, nil
}

func (f *FS) dirEntries(dir *object) ([]fs.DirEntry, error) {
	items, err := f.entries(dir)
	if err != nil {
		return nil, err
	}
	list := make([]fs.DirEntry, len(items))
	for i := range items {
		list[i] = &dirEntry{fs: f, dir: dir, item: items[i]}
	}
	return list, nil
}

// directory is an open directory.
type directory struct {
	fs     *FS
	object *object
	info   *info
	rest   []fs.DirEntry
	loaded bool
}

func (d *directory) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *directory) Close() error               { return nil }
func (d *directory) Read([]byte) (int, error)   { return 0, pathError("read", d.info.name, errIsDir) }

// ReadDir implements fs.ReadDirFile, in the order of the file system.
func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.loaded {
		list, err := d.fs.dirEntries(d.object)
		if err != nil {
			return nil, pathError("readdir", d.info.name, err)
		}
		d.rest, d.loaded = list, true
	}
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n:n]
	d.rest = d.rest[n:]
	return list, nil
}
