package main

import (
	"cmp"
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
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// fsPath is an argument of the form FS[:SUBVOLUME][/PATH], or, for a disk
// image, also IMAGE:esp:[/PATH].
type fsPath struct {
	fs    string // name of a file or block device on the host
	path  string // in the file system, from its top level; "." is the top
	whole bool   // nothing followed the name of the file system
	esp   bool   // in the file system of the ESP
}

// parseFSPath splits an argument. FS is its longest part, ending before a
// colon or slash, that isFile says is a file; so a name that holds a colon
// needs no quoting. What follows is a path from the top level, where
// subvolumes are directories like others: ":@home/user" and ":/@home/user" are
// the same, and both colon and first slash may be left out. The prefix ":esp:"
// means the ESP of a disk image.
func parseFSPath(arg string, isFile func(string) bool) (fsPath, error) {
	for end := len(arg); end > 0; end = strings.LastIndexAny(arg[:end], ":/") {
		if !isFile(arg[:end]) {
			continue
		}
		rest, esp := strings.CutPrefix(arg[end:], espPrefix)
		p := path.Clean("/" + strings.TrimPrefix(rest, ":"))[1:]
		return fsPath{fs: arg[:end], path: cmp.Or(p, "."), whole: end == len(arg), esp: esp}, nil
	}
	name, _, _ := strings.Cut(arg, ":")
	return fsPath{}, fault.New(fault.Input, "give it as FS:SUBVOLUME/PATH, for example fs.img:@home/user", "%s: no file system there: no such file", name)
}

// isFile reports whether name can hold a file system.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

// openFS is a file system that is open for reading. FS is nil for an ESP.
type openFS struct {
	*reader.FS
	file io.Closer
}

// openImage opens the btrfs file system in a file or block device: that which
// begins with it, or the root partition of a disk image.
func openImage(name string) (*openFS, error) {
	d, err := openDisk(name)
	if err != nil {
		return nil, err
	}
	fsys, err := openRoot(d)
	if err != nil {
		return nil, errors.Join(nameError(name, err), d.Close())
	}
	return &openFS{fsys, d}, nil
}

// openRoot opens the file system that a disk begins with, or that of its root
// partition.
func openRoot(d *rawdisk.Disk) (*reader.FS, error) {
	fsys, err := reader.Open(d, d.Size())
	if err != nil {
		for _, kind := range []ids.UUID{plan.TypePayload, plan.TypeRootX86_64} { // the former on an installer medium
			if part, found := findPartition(d, kind); found {
				fsys, err = reader.Open(part, part.Size())
			}
		}
	}
	return fsys, err
}

func (i *openFS) Close() error { return i.file.Close() }

// openPath opens the file system of an argument and its top level.
func openPath(arg string) (*openFS, fileTree, fsPath, error) {
	p, err := parseFSPath(arg, isFile)
	if err != nil {
		return nil, nil, p, err
	}
	if p.esp {
		img, tree, err := openESP(p.fs)
		return img, tree, p, err
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
