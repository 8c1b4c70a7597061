package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/btrfs.h and btrfs_tree.h of Linux.
const (
	ioctlSnapCreateV2 = 0x50009417 // BTRFS_IOC_SNAP_CREATE_V2, _IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2)
	subvolReadOnly    = 1 << 1     // BTRFS_SUBVOL_RDONLY
	subvolInode       = 256        // BTRFS_FIRST_FREE_OBJECTID, the inode of the top of a subvolume
	subvolNameMax     = 4039       // BTRFS_SUBVOL_NAME_MAX
)

// volArgsV2 is struct btrfs_ioctl_vol_args_v2.
type volArgsV2 struct {
	fd      int64 // of the subvolume
	transid uint64
	flags   uint64
	unused  [4]uint64
	name    [subvolNameMax + 1]byte
}

// snapshot keeps a read-only snapshot of the directory as it was restored, if it
// is a subvolume of btrfs. It is a convenience: that it fails is no failure.
func (r *run) snapshot() error {
	if err := r.takeSnapshot(snapshotsDir, "restored-"+r.pin.short()); err != nil {
		r.Log(fmt.Sprintf("%s: no snapshot of it as it was restored: %v", r.c.Restore.Path, err))
	}
	return nil
}

func (r *run) takeSnapshot(dir, name string) error {
	var stat unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Fstat(int(r.target.Fd()), &stat), unix.Fstatfs(int(r.target.Fd()), &system)); err != nil {
		return err
	}
	if system.Type != unix.BTRFS_SUPER_MAGIC || stat.Ino != subvolInode {
		return nil
	}
	where := filepath.Join(r.path, dir)
	if err := os.Mkdir(where, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return plain(err)
	}
	parent, err := os.OpenFile(where, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return plain(err)
	}
	defer parent.Close()
	args := volArgsV2{fd: int64(r.target.Fd()), flags: subvolReadOnly}
	copy(args.name[:subvolNameMax], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, parent.Fd(), ioctlSnapCreateV2, uintptr(unsafe.Pointer(&args)))
	if errno != 0 && errno != unix.EEXIST { // of a run that was cut short after it
		return fmt.Errorf("%s: %w", path.Join(dir, name), errno)
	}
	return nil
}
