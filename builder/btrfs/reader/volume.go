package reader

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

var (
	errNotDir     = errors.New("not a directory")
	errIsDir      = errors.New("is a directory")
	errNotRegular = errors.New("not a regular file")
	errLoop       = errors.New("too many levels of symbolic links")
)

// maxSymlinks is how many symlinks the way to a file may take, as in Linux.
const maxSymlinks = 40

// maxReadFile bounds ReadFile, whose result is held in memory: a sparse file
// may have any size. Larger files are read through Open.
const maxReadFile = 1 << 30

// Volume is the view of one subvolume as a file system. It goes on into nested
// subvolumes. It implements fs.FS, fs.ReadDirFS, fs.StatFS, fs.ReadFileFS and
// fs.ReadLinkFS.
//
// Names follow the rules of io/fs, but need not be UTF-8. Symlinks are
// resolved as in a chroot: an absolute target starts at the volume's root, and
// ".." does not lead out of it.
type Volume struct {
	fs   *FS
	tree uint64
	root *object
}

// ID returns the id of the subvolume.
func (v *Volume) ID() uint64 { return v.tree }

// Open opens a file or a directory; a directory is a fs.ReadDirFile that lists
// in the order of the file system, a regular file is a *File.
func (v *Volume) Open(name string) (fs.File, error) {
	o, err := v.resolve(name, true)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	info := infoOf(name, o)
	if o.isDir() {
		return &directory{fs: v.fs, object: o, info: info}, nil
	}
	return newFile(v.fs, o, info), nil
}

// Stat describes what name leads to, through symlinks.
func (v *Volume) Stat(name string) (fs.FileInfo, error) {
	o, err := v.resolve(name, true)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return infoOf(name, o), nil
}

// Lstat describes the file of this name, also where it is a symlink.
func (v *Volume) Lstat(name string) (fs.FileInfo, error) {
	o, err := v.resolve(name, false)
	if err != nil {
		return nil, pathError("lstat", name, err)
	}
	return infoOf(name, o), nil
}

// ReadLink returns the target of a symlink.
func (v *Volume) ReadLink(name string) (string, error) {
	o, err := v.resolve(name, false)
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	target, err := v.fs.readLink(o)
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	return target, nil
}

// ReadDir lists a directory, sorted by name.
func (v *Volume) ReadDir(name string) ([]fs.DirEntry, error) {
	o, err := v.resolve(name, true)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	list, err := v.fs.dirEntries(o)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// ReadFile returns the content of a regular file of up to 1 GiB.
func (v *Volume) ReadFile(name string) ([]byte, error) {
	o, err := v.resolve(name, true)
	if err != nil {
		return nil, pathError("read", name, err)
	}
	switch {
	case o.isDir():
		return nil, pathError("read", name, errIsDir)
	case !o.isRegular():
		return nil, pathError("read", name, errNotRegular)
	case o.inode.Size > maxReadFile:
		return nil, pathError("read", name, fault.New(fault.Input, "read it in parts", "has %d bytes, more than %d", o.inode.Size, maxReadFile))
	}
	content := make([]byte, o.inode.Size)
	if _, err := newContent(v.fs, o).ReadAt(content, 0); err != nil && err != io.EOF {
		return nil, pathError("read", name, err)
	}
	return content, nil
}

// Xattrs returns the extended attributes of the file of this name, which may
// be a symlink, sorted by name.
func (v *Volume) Xattrs(name string) ([]Xattr, error) {
	o, err := v.resolve(name, false)
	if err != nil {
		return nil, pathError("xattrs", name, err)
	}
	list, err := v.fs.xattrs(o)
	if err != nil {
		return nil, pathError("xattrs", name, err)
	}
	return list, nil
}

// resolve follows a path from the root of the volume, and its last element if
// that is a symlink and last is true.
func (v *Volume) resolve(name string, last bool) (*object, error) {
	if !validPath(name) {
		return nil, fs.ErrInvalid
	}
	var todo []string
	if name != "." {
		todo = strings.Split(name, "/")
	}
	way := []*object{v.root}
	for links := 0; len(todo) > 0; {
		element := todo[0]
		todo = todo[1:]
		here := way[len(way)-1]
		switch element {
		case "", ".":
			if !here.isDir() {
				return nil, errNotDir
			}
			continue
		case "..":
			if !here.isDir() {
				return nil, errNotDir
			}
			way = way[:max(len(way)-1, 1)]
			continue
		}
		next, err := v.fs.lookup(here, element)
		if err != nil {
			return nil, err
		}
		if !next.isSymlink() || len(todo) == 0 && !last {
			way = append(way, next)
			continue
		}
		if links++; links > maxSymlinks {
			return nil, errLoop
		}
		target, err := v.fs.readLink(next)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(target, "/") {
			way = way[:1]
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return way[len(way)-1], nil
}

// validPath is fs.ValidPath without its demand for UTF-8, which file names do
// not meet.
func validPath(name string) bool {
	if name == "." {
		return true
	}
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || element == "." || element == ".." {
			return false
		}
	}
	return true
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// maxLink is the longest target of a symlink: what fits in the kernel's page
// with its terminating zero.
const maxLink = ondisk.SectorSize - 1

func (f *FS) readLink(o *object) (string, error) {
	if !o.isSymlink() {
		return "", fs.ErrInvalid
	}
	if o.inode.Size == 0 || o.inode.Size > maxLink {
		return "", o.damaged("symlink target of %d bytes, expected 1 to %d", o.inode.Size, maxLink)
	}
	target := make([]byte, o.inode.Size)
	if _, err := newContent(f, o).ReadAt(target, 0); err != nil && err != io.EOF {
		return "", err
	}
	return string(target), nil
}
