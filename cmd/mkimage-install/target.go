package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// target is a disk that nobody else has while it is open.
type target struct {
	*rawdisk.Disk
	sector int64
}

// SectorSize returns the bytes of a logical sector.
func (t *target) SectorSize() int64 { return t.sector }

// openTarget opens the disk that was chosen, and makes sure that it is that one.
func openTarget(d disks.Disk) (*target, error) {
	// The kernel gives O_EXCL of a disk to one alone: not while it, or a partition
	// of it, is mounted, swapped to or a part of another device. Of a file it
	// says nothing.
	opened, err := rawdisk.Open(d.Path, os.O_RDWR|unix.O_EXCL)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fault.New(fault.Target, "umount it; lsblk "+d.Path+" shows who uses it", "%s: is in use", d.Path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.New(fault.Target, "run it as root", "%w", err)
	case err != nil:
		return nil, fault.New(fault.Target, "", "%w", err)
	}
	if err := (disks.Scanner{}).Check(disks.PinOf(d), opened); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return &target{opened, d.SectorSize}, nil
}

// reread has the kernel read the new table. It sees it at the next start in any
// case.
func (t *target) reread() error {
	conn, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		if failed = unix.IoctlSetInt(int(fd), unix.BLKRRPART, 0); errors.Is(failed, unix.ENOTTY) || errors.Is(failed, unix.EINVAL) {
			failed = nil // a file
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("%s: the kernel does not read its new table: %w", t.Name(), err)
	}
	return nil
}
