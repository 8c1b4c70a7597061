package disks

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Pin is what must be true still of a chosen disk when it is written.
type Pin struct {
	Diskseq uint64 // 0 is not compared: the kernel has none
	Serial  string
	Size    int64 // bytes
}

// PinOf returns the pin of a disk.
func PinOf(d Disk) Pin { return Pin{d.Diskseq, d.Serial, d.Size} }

// OpenFile is an open disk or image, as os.File and rawdisk.Disk are.
type OpenFile interface {
	Name() string
	Stat() (fs.FileInfo, error)
	SyscallConn() (syscall.RawConn, error)
}

// Check compares what is open with the pin, right before the first write: names
// move, and another disk may have come between the choice and the opening. A
// difference is an error of class fault.Target.
func (s Scanner) Check(p Pin, f OpenFile) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	now := Pin{Size: info.Size()}
	if info.Mode().Type() == fs.ModeDevice {
		if now, err = s.withDefaults().pinOf(f, info); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	for _, c := range []struct {
		what      string
		was, is   any
		unchanged bool
	}{
		{"diskseq", p.Diskseq, now.Diskseq, p.Diskseq == 0 || p.Diskseq == now.Diskseq},
		{"serial number", p.Serial, now.Serial, p.Serial == now.Serial},
		{"size in bytes", p.Size, now.Size, p.Size == now.Size},
	} {
		if !c.unchanged {
			return fault.New(fault.Target, "start again, and leave disks as they are meanwhile", "%s: is not the disk that was chosen: %s %v, expected %v", f.Name(), c.what, c.is, c.was)
		}
	}
	return nil
}

// pinOf returns the pin of an open block device, all of it from the descriptor
// or by its number.
func (s *Scanner) pinOf(f OpenFile, info fs.FileInfo) (Pin, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Pin{}, errors.New("has no device number")
	}
	dir, err := s.byNumber(st.Rdev)
	if err != nil {
		return Pin{}, fault.New(fault.Target, "", "was taken out while it was open: %w", err)
	}
	b, err := s.device(filepath.Base(dir))
	if err != nil {
		return Pin{}, err
	}
	p := PinOf(b.disk(s))
	conn, err := f.SyscallConn()
	if err != nil {
		return Pin{}, err
	}
	var errs error
	err = conn.Control(func(fd uintptr) {
		size, err := ioctlUint64(fd, unix.BLKGETSIZE64)
		errs = err
		p.Size = int64(size)
		// Kernels before 5.15 have neither this nor the attribute.
		if seq, err := ioctlUint64(fd, unix.BLKGETDISKSEQ); err == nil {
			p.Diskseq = seq
		}
	})
	if err = errors.Join(err, errs); err != nil {
		return Pin{}, fmt.Errorf("size: %w", err)
	}
	// The attribute is of the device that has the number now. It says another
	// diskseq than the descriptor when the disk that is open has gone.
	if seq, err := strconv.ParseUint(attribute(b.dir, "diskseq"), 10, 64); err == nil && seq != p.Diskseq {
		return Pin{}, fault.New(fault.Target, "start again, and leave disks as they are meanwhile", "was taken out while it was open: diskseq %d, now there is %d", p.Diskseq, seq)
	}
	return p, nil
}

// ioctlUint64 makes a request that returns 64 bits.
func ioctlUint64(fd uintptr, request uint) (uint64, error) {
	var v uint64
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(unsafe.Pointer(&v))); errno != 0 {
		return 0, errno
	}
	return v, nil
}
