package imaging

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// Disk is a disk, a partition or an image of one that is open for reading. It is a
// Source.
type Disk struct {
	f      *os.File
	size   int64
	block  int64
	sector int64
	device uint64 // number of a block device, 0 of a file
	origin Origin
	kernel kernel
}

// Open opens a disk, a partition or an image. Errors have class fault.Input.
//
// Of a device the unit is what it says of its physical sectors: one that has
// sectors of 4096 bytes inside and shows 512 fails eight of these at once.
func Open(name string) (*Disk, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.New(fault.Input, "mkimage-rescue inventory lists the disks", "%w", err)
	}
	d := &Disk{f: f, kernel: thisKernel}
	err = d.measure()
	if err == nil {
		d.origin, err = originOf(disks.Scanner{}, name, d.size, d.device)
	}
	if err != nil {
		f.Close()
		return nil, fault.New(fault.Input, "name a disk, a partition or an image", "%s: %w", name, err)
	}
	return d, nil
}

// measure finds out what is open.
func (d *Disk) measure() error {
	var st unix.Stat_t
	if err := d.control(func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		d.size, d.block, d.sector = st.Size, 512, 512
	case unix.S_IFBLK:
		d.device = st.Rdev
		if err := d.control(d.geometry); err != nil {
			return err
		}
	default:
		return errors.New("is neither a disk nor a file")
	}
	if d.size <= 0 {
		return fmt.Errorf("has a size of %d bytes, expected some", d.size)
	}
	return nil
}

// maxSector bounds the unit, in bytes: larger ones are no sectors, but what a RAID
// or an SSD likes best.
const maxSector = 4096

// geometry asks the kernel for the size and the unit, and from then on reads past
// its cache: that reads ahead, and a bad sector would take its neighbours along.
func (d *Disk) geometry(fd int) error {
	size, err := sizeOf(fd)
	if err != nil {
		return err
	}
	logical, err := unix.IoctlGetInt(fd, unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("logical sector: %w", err)
	}
	physical, err := unix.IoctlGetUint32(fd, unix.BLKPBSZGET)
	if err != nil {
		return fmt.Errorf("physical sector: %w", err)
	}
	shift, err := unix.IoctlGetInt(fd, unix.BLKALIGNOFF)
	if err != nil {
		return fmt.Errorf("alignment: %w", err)
	}
	d.size, d.block, d.sector = size, int64(logical), sectorOf(int64(logical), int64(physical), shift)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_DIRECT); err != nil {
		return fmt.Errorf("reading past the cache: %w", err)
	}
	return nil
}

// sizeOf asks for the size of a device, in bytes.
func sizeOf(fd int) (int64, error) {
	var size uint64
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size))); errno != 0 {
		return 0, fmt.Errorf("size: %w", errno)
	}
	return int64(size), nil
}

// sectorOf is the unit of a device, in bytes. shift is where its first physical
// sector begins.
func sectorOf(logical, physical int64, shift int) int64 {
	if shift != 0 || physical < logical || physical > maxSector || physical&(physical-1) != 0 {
		return logical
	}
	return physical
}

func (d *Disk) control(f func(fd int) error) error {
	raw, err := d.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// ReadAt reads once: where the kernel returns less than it was asked for, it has
// met what it cannot read.
func (d *Disk) ReadAt(p []byte, at int64) (n int, err error) {
	err = d.control(func(fd int) (err error) {
		for {
			if n, err = unix.Pread(fd, p, at); err != unix.EINTR {
				return err
			}
		}
	})
	n = max(n, 0)
	switch {
	case err != nil:
		return n, fmt.Errorf("%s: byte %d: %w", d.f.Name(), at, err)
	case n < len(p) && at+int64(n) >= d.size:
		return n, io.EOF
	case n < len(p):
		return n, fmt.Errorf("%s: byte %d: %w", d.f.Name(), at+int64(n), unix.EIO)
	}
	return n, nil
}

// Size implements Source.
func (d *Disk) Size() int64 { return d.size }

// Block implements Source: O_DIRECT reads whole logical sectors.
func (d *Disk) Block() int64 { return d.block }

// Sector implements Source: the physical sector of a device, where that is told to be
// of up to 4096 bytes, else the logical one. Of a file it is 512 bytes, as of the disk
// that it may be an image of.
func (d *Disk) Sector() int64 { return d.sector }

// Here implements Source: a device that was taken out has no size any more, and no
// entry in sysfs.
func (d *Disk) Here() error {
	if d.device == 0 {
		return nil
	}
	var size int64
	if err := d.control(func(fd int) (err error) { size, err = sizeOf(fd); return err }); err != nil {
		return err
	}
	if size != d.size {
		return fmt.Errorf("%s: has %d bytes, it had %d", d.f.Name(), size, d.size)
	}
	if _, err := os.Lstat("/sys/dev/block/" + deviceNumber(d.device)); err != nil {
		return fmt.Errorf("%s: the kernel knows it no more: %w", d.f.Name(), err)
	}
	return nil
}

// Close closes the disk. A read that hangs keeps it open until it ends.
func (d *Disk) Close() error { return d.f.Close() }
