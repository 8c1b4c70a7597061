package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// espPrefix stands between the name of a disk image and a path on its ESP.
const espPrefix = ":esp:"

// fileTree is what ls, cat and stat read: a btrfs file system from its top
// level on, or an ESP.
type fileTree interface {
	fs.ReadDirFS
	Lstat(name string) (fs.FileInfo, error)
	ReadLink(name string) (string, error)
}

var (
	_ fileTree = (*reader.Volume)(nil)
	_ fileTree = espTree{}
)

// espTree is an ESP. FAT has no symlinks.
type espTree struct{ *espreader.FS }

// Lstat implements fileTree.
func (t espTree) Lstat(name string) (fs.FileInfo, error) { return t.Stat(name) }

// ReadLink implements fileTree.
func (t espTree) ReadLink(name string) (string, error) {
	return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
}

// openESP opens the ESP of a disk image.
func openESP(name string) (*openFS, fileTree, error) {
	d, err := openDisk(name)
	if err != nil {
		return nil, nil, err
	}
	part, found := findPartition(d, plan.TypeESP)
	if !found {
		return nil, nil, errors.Join(fault.New(fault.Input, "mkimage inspect "+name+" lists its partitions", "%s: no ESP: not a disk image, or one without", name), d.Close())
	}
	fsys, err := espreader.Open(part, part.Size())
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: ESP: %w", name, err), d.Close())
	}
	return &openFS{file: d}, espTree{fsys}, nil
}

// findPartition returns the bytes of the first partition of a type. There is
// none where there is no partition table.
func findPartition(d *rawdisk.Disk, kind ids.UUID) (*io.SectionReader, bool) {
	table, _, err := gpt.Read(d, d.Size())
	if err != nil {
		return nil, false
	}
	for _, p := range table.Partitions {
		if p.Type == kind {
			return io.NewSectionReader(d, p.Start, p.Size), true
		}
	}
	return nil, false
}
