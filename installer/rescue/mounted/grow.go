package mounted

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// ioctlResize is BTRFS_IOC_RESIZE, _IOW(0x94, 3, struct btrfs_ioctl_vol_args) of the
// kernel's include/uapi/linux/btrfs.h.
const ioctlResize = 0x50009403

// volArgs is struct btrfs_ioctl_vol_args.
type volArgs struct {
	_    int64
	name [4088]byte
}

// Grow makes the root file system, a btrfs that is mounted for writing, as large as its
// partition: one that was just installed has the size of what was copied, until its first
// boot. The error has class fault.Target.
func (s *System) Grow() error {
	d, err := os.Open(s.Dir)
	if err != nil {
		return err
	}
	defer d.Close()
	var args volArgs
	copy(args.name[:], "max")
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), ioctlResize, uintptr(unsafe.Pointer(&args))); errno != 0 {
		return fault.New(fault.Target, "", "root file system: it cannot be made as large as its partition: %w", errno)
	}
	return nil
}
