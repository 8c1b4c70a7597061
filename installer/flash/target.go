package flash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// Target is what an image is written to. Its methods may be called
// concurrently.
type Target interface {
	io.ReaderAt
	io.WriterAt
	// Zero makes a range read as zeros; Sync brings that to the disk, too.
	Zero(offset, length int64) error
	// Sync returns when what was written is on the disk.
	Sync() error
	// DropCache makes reads that follow come from the disk.
	DropCache() error
}

// Disk is a target and its figures.
type Disk struct {
	Target
	Size       int64 // bytes
	SectorSize int64 // bytes of a logical sector; 0 of a file, which has none
}

// Device is a block device that nobody else has while it is open.
type Device struct {
	Disk
	Number  string // MAJOR:MINOR
	Diskseq uint64 // as the kernel counts disks; 0 where it does not
	target  *deviceTarget
}

// OpenDevice opens a whole disk with O_EXCL, which the kernel gives to one
// alone: not while the disk, or a partition of it, is mounted, swapped to or a
// part of another device. Then the error holds unix.EBUSY. With readOnly it
// cannot be written. Errors have class fault.Target.
func OpenDevice(name string, readOnly bool) (_ *Device, err error) {
	flag := os.O_RDWR
	if readOnly {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(name, flag|unix.O_EXCL|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.New(fault.Target, "", "%w", err)
	}
	t := &deviceTarget{held: f}
	defer func() {
		if err != nil {
			err = errors.Join(fault.New(fault.Target, "", "%s: %w", name, err), f.Close())
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return nil, errors.New("is not a disk")
	}
	sector, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		return nil, fmt.Errorf("size of a sector: %w", err)
	}
	if t.direct, err = rawdisk.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flag); err != nil {
		return nil, err
	}
	d := &Device{target: t, Number: fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))}
	d.Disk = Disk{Target: t, Size: t.direct.Size(), SectorSize: int64(sector)}
	d.Diskseq = diskseq(f)
	return d, nil
}

// diskseq asks the open device itself: a name can lead to another disk by now.
func diskseq(f *os.File) (seq uint64) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKGETDISKSEQ, uintptr(unsafe.Pointer(&seq)))
	if errno != 0 {
		return 0 // before Linux 5.15
	}
	return seq
}

// Reread makes the kernel read the partition table. The error is unix.EBUSY when
// somebody has a partition open; others mean that this disk has no partitions,
// or that the user may not ask.
func (d *Device) Reread() error {
	return unix.IoctlSetInt(int(d.target.held.Fd()), unix.BLKRRPART, 0)
}

// File is the open device, for package disks to look whether it is the one that was
// chosen.
func (d *Device) File() *os.File { return d.target.held }

// Close lets go of the device.
func (d *Device) Close() error { return errors.Join(d.target.direct.Close(), d.target.held.Close()) }

// deviceTarget writes and reads past the cache of the kernel. What is not
// aligned, such as the last sector of many a stick, goes through the cache.
type deviceTarget struct {
	held   *os.File // with O_EXCL
	direct *rawdisk.Disk
}

// directBlock is what package rawdisk wants writes to be multiples of.
const directBlock = 4096

// ReadAt implements io.ReaderAt.
func (t *deviceTarget) ReadAt(p []byte, off int64) (int, error) { return t.direct.ReadAt(p, off) }

// WriteAt implements io.WriterAt.
func (t *deviceTarget) WriteAt(p []byte, off int64) (int, error) {
	aligned := len(p) / directBlock * directBlock
	if off%directBlock != 0 {
		aligned = 0
	}
	n, err := 0, error(nil)
	if aligned > 0 {
		n, err = t.direct.WriteAt(p[:aligned], off)
	}
	if err != nil || aligned == len(p) {
		return n, err
	}
	m, err := t.held.WriteAt(p[aligned:], off+int64(aligned))
	return n + m, err
}

// Zero lets the disk do it where it can; the kernel writes zeros where not
// (BLKZEROOUT, blk_ioctl_zeroout in block/ioctl.c of Linux).
func (t *deviceTarget) Zero(offset, length int64) error {
	span := [2]uint64{uint64(offset), uint64(length)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, t.held.Fd(), unix.BLKZEROOUT, uintptr(unsafe.Pointer(&span)))
	if errno == 0 {
		return nil
	}
	return writeZeros(t, offset, length) // not whole sectors, or no such call
}

// Sync implements Target.
func (t *deviceTarget) Sync() error { return t.held.Sync() }

// DropCache implements Target. Reads are direct in any case; this is for what
// went through the cache, and for whoever opens the disk next.
func (t *deviceTarget) DropCache() error {
	if err := t.held.Sync(); err != nil {
		return err
	}
	err := unix.IoctlSetInt(int(t.held.Fd()), unix.BLKFLSBUF, 0)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return nil // it is for root; direct reads need it not
	}
	return err
}

// writeZeros writes them, where nothing better works.
func writeZeros(w io.WriterAt, offset, length int64) error {
	for length > 0 {
		n, err := w.WriteAt(zeros[:min(chunkSize, length)], offset)
		if err != nil {
			return err
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	return nil
}

// OpenFile opens a regular file as a target, and locks it; flag is that of
// os.OpenFile. Errors have class fault.Target.
func OpenFile(name string, flag int) (_ Disk, _ *os.File, err error) {
	f, err := os.OpenFile(name, flag|unix.O_NONBLOCK, 0o600) // an image may hold secrets
	if err != nil {
		return Disk{}, nil, fault.New(fault.Target, "", "%w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fault.New(fault.Target, "", "%s: %w", name, err), f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return Disk{}, nil, err
	}
	if !info.Mode().IsRegular() {
		return Disk{}, nil, errors.New("is neither a disk nor a regular file")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return Disk{}, nil, errors.New("another run is writing it")
	}
	return Disk{Target: fileTarget{f}, Size: info.Size()}, f, nil
}

// fileTarget is a regular file.
type fileTarget struct{ *os.File }

// Zero makes a hole, which the file system need not store.
func (t fileTarget) Zero(offset, length int64) error {
	conn, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var punched error
	if err := conn.Control(func(fd uintptr) {
		punched = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
	}); err != nil {
		return err
	}
	if punched == nil {
		return nil
	}
	return writeZeros(t, offset, length)
}

// DropCache asks for it: the kernel may keep what others use.
func (t fileTarget) DropCache() error {
	if err := t.Sync(); err != nil {
		return err
	}
	conn, err := t.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED) })
}

// zeroAll makes a range read as zeros, in steps between which it can be stopped.
func zeroAll(ctx context.Context, t Target, offset, length int64) error {
	const step = 64 << 20
	for length > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(step, length)
		if err := t.Zero(offset, n); err != nil {
			return err
		}
		offset, length = offset+n, length-n
	}
	return nil
}
