// Package subvolume makes, snapshots and removes subvolumes of a btrfs that is
// mounted, by the requests of the kernel's btrfs.h. Directories are given as open
// ones: no name that somebody else can change lies between a check and what is
// done. Errors are those of the kernel, with the name of what they are about.
package subvolume

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
	ioctlInoLookup        = 0xd0009412 // BTRFS_IOC_INO_LOOKUP
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

// Create makes an empty subvolume in a directory.
func Create(dir int, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	var args volArgs
	copy(args.name[:], name)
	return ioctl(dir, ioctlSubvolCreate, unsafe.Pointer(&args))
}

// Snapshot takes a snapshot of a subvolume, for writing, in a directory of the
// same btrfs. Subvolumes that are nested in it are empty directories there.
func Snapshot(dir int, name string, of *os.File) error { return snapshot(dir, name, of, 0) }

// SnapshotReadOnly is Snapshot, but nothing can be written to what it takes.
func SnapshotReadOnly(dir int, name string, of *os.File) error {
	return snapshot(dir, name, of, subvolReadOnly)
}

func snapshot(dir int, name string, of *os.File, flags uint64) error {
	if err := checkName(name); err != nil {
		return err
	}
	args := volArgsV2{fd: int64(of.Fd()), flags: flags}
	copy(args.name[:], name)
	return ioctl(dir, ioctlSnapCreateV2, unsafe.Pointer(&args))
}

// Is reports whether a directory is the top of a subvolume of btrfs.
func Is(fd int) (bool, error) {
	var st unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &system)); err != nil {
		return false, err
	}
	return system.Type == unix.BTRFS_SUPER_MAGIC && st.Ino == subvolInode, nil
}

// inoLookupArgs is struct btrfs_ioctl_ino_lookup_args.
type inoLookupArgs struct {
	tree, inode uint64
	name        [4080]byte
}

// ID returns the number of the subvolume that an open directory is the top of. A
// file system gives each a higher one than all before.
func ID(fd int) (uint64, error) {
	is, err := Is(fd)
	if err == nil && !is {
		err = errNone
	}
	if err != nil {
		return 0, err
	}
	args := inoLookupArgs{inode: subvolInode}
	if err := ioctl(fd, ioctlInoLookup, unsafe.Pointer(&args)); err != nil {
		return 0, err
	}
	return args.tree, nil
}

// errNone is that of a directory that is not the top of a subvolume.
var errNone = errors.New("a directory, expected a subvolume")

// maxNested bounds how deep subvolumes are nested that are removed.
const maxNested = 64

// Destroy removes a subvolume of a directory, with all that are nested in it. It
// can be cut anywhere and done again.
func Destroy(dir int, name string) error { return destroy(dir, name, "", 0) }

// destroy removes one; where is for errors.
func destroy(dir int, name, where string, depth int) error {
	where = path.Join(where, name)
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	defer unix.Close(fd)
	switch is, err := Is(fd); {
	case err != nil:
		return fmt.Errorf("%s: %w", where, err)
	case !is:
		return fmt.Errorf("%s: %w", where, errNone)
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
	writable := false
	return eachNested(fd, where, func(name string) error {
		if !writable { // nothing can be removed in a read-only one
			flags := uint64(0)
			if err := ioctl(fd, ioctlSubvolSetFlags, unsafe.Pointer(&flags)); err != nil {
				return fmt.Errorf("%s: make writable: %w", where, err)
			}
			writable = true
		}
		parent := path.Dir(name)
		in, err := openIn(fd, parent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err != nil {
			return fmt.Errorf("%s: %w", path.Join(where, parent), err)
		}
		defer unix.Close(in)
		return destroy(in, path.Base(name), path.Join(where, parent), depth+1)
	})
}

// Nested returns the paths of the subvolumes that are nested in one, which is open,
// without those that are nested in them.
func Nested(fd int) (names []string, err error) {
	err = eachNested(fd, ".", func(name string) error {
		names = append(names, name)
		return nil
	})
	return names, err
}

// eachNested calls do for each of them in the order of their numbers.
func eachNested(fd int, where string, do func(name string) error) error {
	var refs rootrefArgs
	for next := uint64(0); ; {
		refs.minTree = next
		err := ioctl(fd, ioctlGetSubvolRootref, unsafe.Pointer(&refs))
		more := err == unix.EOVERFLOW // than fit
		if err != nil && !more {
			return fmt.Errorf("%s: look for nested subvolumes: %w", where, err)
		}
		for _, r := range refs.refs[:refs.count] {
			args := lookupArgs{dir: r.dir, tree: r.tree}
			if err := ioctl(fd, ioctlInoLookupUser, unsafe.Pointer(&args)); err != nil {
				return fmt.Errorf("%s: look for subvolume %d: %w", where, r.tree, err)
			}
			if err := do(path.Join(text(args.path[:]), text(args.name[:]))); err != nil {
				return err
			}
			next = r.tree + 1
		}
		if !more || next == 0 || next == math.MaxUint64 {
			return nil
		}
	}
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
