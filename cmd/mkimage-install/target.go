package main

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// target is a disk that nobody else has while it is open, or a file that stands
// for one.
type target struct {
	disk
	size, sector int64
	reread       func() error // has the kernel read the table
	close        func() error
}

// disk is what a target is made of.
type disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

var _ installer.Target = (*target)(nil)

// Size returns the size in bytes.
func (t *target) Size() int64 { return t.size }

// SectorSize returns the bytes of a logical sector.
func (t *target) SectorSize() int64 { return t.sector }

// openTarget opens the disk that was chosen, and makes sure that it is that one.
func openTarget(s disks.Scanner, d disks.Disk) (*target, error) {
	info, err := os.Stat(d.Path)
	if err != nil {
		return nil, fault.New(fault.Target, "", "%w", err)
	}
	if info.Mode().IsRegular() {
		return openFile(d)
	}
	opened, err := flash.OpenDevice(d.Path, false)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fault.New(fault.Target, "umount it; lsblk "+d.Path+" shows who uses it", "%s: is in use", d.Path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.New(fault.Target, "run it as root", "%w", err)
	case err != nil:
		return nil, err
	}
	if err := s.Check(disks.PinOf(d), opened.File()); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return &target{opened, opened.Size, opened.SectorSize, opened.Reread, opened.Close}, nil
}

func openFile(d disks.Disk) (*target, error) {
	opened, err := rawdisk.Open(d.Path, os.O_RDWR)
	if err != nil {
		return nil, fault.New(fault.Target, "", "%w", err)
	}
	if opened.Size() != d.Size {
		return nil, errors.Join(fault.New(fault.Target, "start again", "%s: %d bytes, it had %d", d.Path, opened.Size(), d.Size), opened.Close())
	}
	return &target{opened, opened.Size(), max(d.SectorSize, 512), func() error { return nil }, opened.Close}, nil
}
