package keephome

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/btrfs.h and btrfs_tree.h of Linux.
const (
	ioctlSubvolCreate     = 0x5000940e // BTRFS_IOC_SUBVOL_CREATE
	ioctlSnapDestroy      = 0x5000940f // BTRFS_IOC_SNAP_DESTROY
	ioctlSnapCreateV2     = 0x50009417 // BTRFS_IOC_SNAP_CREATE_V2
	ioctlSubvolSetFlags   = 0x4008941a // BTRFS_IOC_SUBVOL_SETFLAGS
	ioctlGetSubvolRootref = 0xd000943d // BTRFS_IOC_GET_SUBVOL_ROOTREF, of Linux 4.18
	ioctlInoLookupUser    = 0xd000943e // BTRFS_IOC_INO_LOOKUP_USER, of Linux 4.18

	subvolReadOnly = 1 << 1 // BTRFS_SUBVOL_RDONLY
	subvolInode    = 256    // BTRFS_FIRST_FREE_OBJECTID, of the top of a subvolume
	maxName        = 255    // BTRFS_NAME_LEN
)

// volArgs is struct btrfs_ioctl_vol_args.
type volArgs struct {
	fd   int64
	name [4088]byte
}

// volArgsV2 is struct btrfs_ioctl_vol_args_v2.
type volArgsV2 struct {
	fd      int64 // of the subvolume
	transid uint64
	flags   uint64
	unused  [4]uint64
	name    [4040]byte
}

// rootrefArgs is struct btrfs_ioctl_get_subvol_rootref_args.
type rootrefArgs struct {
	minTree uint64
	refs    [255]struct{ tree, dir uint64 }
	count   uint8
	_       [7]byte
}

// lookupArgs is struct btrfs_ioctl_ino_lookup_user_args.
type lookupArgs struct {
	dir, tree uint64
	name      [256]byte
	path      [3824]byte // of the directory from what is asked, with / behind it
}

func ioctl(fd int, request uintptr, args unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(args)); errno != 0 {
		return errno
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("subvolume %q: a name of %d bytes, expected 1 to %d", name, len(name), maxName)
	}
	return nil
}

// createSubvolume makes an empty subvolume in a directory.
func createSubvolume(dir int, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	var args volArgs
	copy(args.name[:], name)
	return ioctl(dir, ioctlSubvolCreate, unsafe.Pointer(&args))
}

// snapshotReadOnly takes a read-only snapshot of a subvolume.
func snapshotReadOnly(dir int, name string, of *os.File) error {
	if err := checkName(name); err != nil {
		return err
	}
	args := volArgsV2{fd: int64(of.Fd()), flags: subvolReadOnly}
	copy(args.name[:], name)
	return ioctl(dir, ioctlSnapCreateV2, unsafe.Pointer(&args))
}

// isSubvolume reports whether a directory is the top of a subvolume of btrfs.
func isSubvolume(fd int) (bool, error) {
	var st unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &system)); err != nil {
		return false, err
	}
	return system.Type == unix.BTRFS_SUPER_MAGIC && st.Ino == subvolInode, nil
}

// maxNested bounds how deep subvolumes are nested that are removed.
const maxNested = 64

// destroy removes a subvolume with all that are nested in it. path is for errors.
func destroy(dir int, name, where string, depth int) error {
	where = path.Join(where, name)
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	defer unix.Close(fd)
	switch is, err := isSubvolume(fd); {
	case err != nil:
		return fmt.Errorf("%s: %w", where, err)
	case !is:
		return fmt.Errorf("%s: a directory, expected a subvolume", where)
	case depth > maxNested:
		return fmt.Errorf("%s: more than %d subvolumes one in the other", where, maxNested)
	}
	if err := destroyNested(fd, where, depth); err != nil {
		return err
	}
	var args volArgs
	copy(args.name[:], name)
	if err := ioctl(dir, ioctlSnapDestroy, unsafe.Pointer(&args)); err != nil {
		return fmt.Errorf("%s: cannot be removed: %w", where, err)
	}
	return nil
}

// destroyNested removes what is nested in a subvolume that is open.
func destroyNested(fd int, where string, depth int) error {
	var refs rootrefArgs
	for next := uint64(0); ; {
		refs.minTree = next
		err := ioctl(fd, ioctlGetSubvolRootref, unsafe.Pointer(&refs))
		more := err == unix.EOVERFLOW // than fit
		if err != nil && !more {
			return fmt.Errorf("%s: look for nested subvolumes: %w", where, err)
		}
		if refs.count > 0 {
			flags := uint64(0) // nothing can be removed in a read-only one
			if err := ioctl(fd, ioctlSubvolSetFlags, unsafe.Pointer(&flags)); err != nil {
				return fmt.Errorf("%s: make writable: %w", where, err)
			}
		}
		for _, r := range refs.refs[:refs.count] {
			if err := destroyAt(fd, r.tree, r.dir, where, depth); err != nil {
				return err
			}
			next = r.tree + 1
		}
		if !more || next == 0 || next == math.MaxUint64 {
			return nil
		}
	}
}

// destroyAt removes a subvolume by its number and that of the directory it is in.
func destroyAt(fd int, tree, dir uint64, where string, depth int) error {
	args := lookupArgs{dir: dir, tree: tree}
	if err := ioctl(fd, ioctlInoLookupUser, unsafe.Pointer(&args)); err != nil {
		return fmt.Errorf("%s: look for subvolume %d: %w", where, tree, err)
	}
	parent := path.Clean("./" + text(args.path[:]))
	in, err := openIn(fd, parent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("%s: %w", path.Join(where, parent), err)
	}
	defer unix.Close(in)
	return destroy(in, text(args.name[:]), path.Join(where, parent), depth+1)
}

// text is what stands before the first NUL.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// openIn opens a path as if a directory were the root: no symlink leads out of
// it.
func openIn(at int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(at, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN { // EAGAIN: something was renamed meanwhile
			return fd, err
		}
	}
}
