package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/gpt/grow"
)

// partition grows the root partition to the end of the disk, in the table and
// then in the kernel. The root is not mounted, though it could be.
func (f *firstBoot) partition() error {
	return f.withDisk(os.O_RDWR, func(d grow.Disk) error {
		p, err := grow.Grow(d, f.root.Part)
		if err != nil {
			return err
		}
		// Only a power cut can leave a table that the kernel does not know; it
		// has read it at its start.
		if p.Size == f.root.Size {
			f.log(levelInfo, "grow partition %s has %s already", f.root.Path(), formatSize(p.Size))
			return nil
		}
		if err := resizePartition(d.Target.(*os.File), f.root.Part, p); err != nil {
			return err
		}
		f.log(levelInfo, "grow partition %s from %s to %s", f.root.Path(), formatSize(f.root.Size), formatSize(p.Size))
		f.root.Size = p.Size
		return nil
	})
}

// resizePartition tells the kernel the size of a partition (blkpg_do_ioctl in
// block/ioctl.c of Linux). That works while it is in use.
func resizePartition(disk *os.File, number int, p grow.Partition) error {
	part := unix.BlkpgPartition{Start: p.Start, Length: p.Size, Pno: int32(number)}
	arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_RESIZE_PARTITION, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, disk.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg)))
	runtime.KeepAlive(&part)
	if errno != 0 {
		return fmt.Errorf("%s: the kernel does not take %d bytes for partition %d: %w", filepath.Base(disk.Name()), p.Size, number, errno)
	}
	return nil
}

// btrfsIoctlResize is BTRFS_IOC_RESIZE, _IOW(0x94, 3, struct btrfs_ioctl_vol_args)
// of the kernel's include/uapi/linux/btrfs.h.
const btrfsIoctlResize = 0x50009403

// btrfsVolArgs is struct btrfs_ioctl_vol_args.
type btrfsVolArgs struct {
	_    int64
	name [4088]byte
}

// growFileSystem makes a mounted btrfs as large as its device.
func growFileSystem(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	var args btrfsVolArgs
	copy(args.name[:], "max")
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), btrfsIoctlResize, uintptr(unsafe.Pointer(&args))); errno != 0 {
		return fmt.Errorf("resize to the size of the device: %w", errno)
	}
	return nil
}
