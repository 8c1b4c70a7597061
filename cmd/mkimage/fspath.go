package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// fsPath is an argument of the form FS[:SUBVOLUME][/PATH].
type fsPath struct {
	fs    string // name of a file or block device on the host
	path  string // in the file system, from its top level; "." is the top
	whole bool   // nothing followed the name of the file system
}

// parseFSPath splits an argument. FS is its longest part, ending before a
// colon or slash, that isFile says is a file; so a name that holds a colon
// needs no quoting. What follows is a path from the top level, where
// subvolumes are directories like others: ":@home/user" and ":/@home/user" are
// the same, and both colon and first slash may be left out.
func parseFSPath(arg string, isFile func(string) bool) (fsPath, error) {
	for end := len(arg); end > 0; end = strings.LastIndexAny(arg[:end], ":/") {
		if !isFile(arg[:end]) {
			continue
		}
		rest := strings.TrimPrefix(arg[end:], ":")
		p := path.Clean("/" + rest)[1:]
		if p == "" {
			p = "."
		}
		return fsPath{arg[:end], p, end == len(arg)}, nil
	}
	name, _, _ := strings.Cut(arg, ":")
	return fsPath{}, fault.New(fault.Input, "give it as FS:SUBVOLUME/PATH, for example fs.img:@home/user", "%s: no file system there: no such file", name)
}

// isFile reports whether name can hold a file system.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

// openFS is a file system that is open for reading.
type openFS struct {
	*reader.FS
	file *os.File
}

// openImage opens the file system in a file or block device.
func openImage(name string) (*openFS, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(fault.New(fault.Input, "", "%s: is a directory, expected a file or device that holds a file system", name), f.Close())
	}
	// Seeking finds the size of block devices too; Stat does not.
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(fault.New(fault.Input, "", "%w", err), f.Close())
	}
	fsys, err := reader.Open(f, size)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return &openFS{fsys, f}, nil
}

func (i *openFS) Close() error { return i.file.Close() }

// openPath opens the file system of an argument and its top level.
func openPath(arg string) (*openFS, *reader.Volume, fsPath, error) {
	p, err := parseFSPath(arg, isFile)
	if err != nil {
		return nil, nil, p, err
	}
	img, err := openImage(p.fs)
	if err != nil {
		return nil, nil, p, err
	}
	v, err := img.Subvolume("")
	if err != nil {
		return nil, nil, p, errors.Join(p.wrap(err), img.Close())
	}
	return img, v, p, nil
}

// wrap names the file system in an error of reading it. A path that is not
// there, or leads nowhere, is the user's to mend; what the host's kernel says
// of its own files, such as a full disk below stdout, is not.
func (p fsPath) wrap(err error) error {
	var host syscall.Errno
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Input, "mkimage ls "+p.fs+" lists its top level", "%s: %w", p.fs, err)
	}
	if fault.ClassOf(err) == fault.Internal && !errors.As(err, &host) && !errors.Is(err, context.Canceled) {
		return fault.New(fault.Input, "", "%s: %w", p.fs, err)
	}
	return fmt.Errorf("%s: %w", p.fs, err)
}
