package treecopy

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// maxStep bounds how much of a path one system call is given, in bytes: below
// PATH_MAX, which paths from the top of a tree may exceed.
const maxStep = 3500

// openBelow opens a directory by its path from a top, through no symlink and
// into no other mount.
func openBelow(top int, d *dir, flags uint64) (int, error) {
	path := d.path()
	at := top
	for rest := path; ; {
		step := rest
		if len(rest) > maxStep {
			step = rest[:strings.LastIndexByte(rest[:maxStep], '/')]
		}
		fd, err := openat2(at, step, flags|unix.O_DIRECTORY)
		if at != top {
			unix.Close(at)
		}
		if err != nil {
			return -1, fail(path, "open", err)
		}
		if rest = strings.TrimPrefix(rest[len(step):], "/"); rest == "" {
			return fd, nil
		}
		at = fd
	}
}

func openat2(at int, path string, flags uint64) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	err = ignoringEINTR(func() error {
		fd, err = unix.Openat2(at, path, &how)
		return err
	})
	if errors.Is(err, unix.EPERM) && flags&unix.O_NOATIME != 0 { // of somebody else
		return openat2(at, path, flags&^unix.O_NOATIME)
	}
	return fd, err
}

// openat opens a name in a directory, which is not followed if it is a symlink,
// and leaves its time of access alone where that is allowed.
func openat(at int, name string, flags int) (fd int, err error) {
	err = ignoringEINTR(func() error {
		fd, err = unix.Openat(at, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME, 0)
		if err == unix.EPERM {
			fd, err = unix.Openat(at, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		}
		return err
	})
	return fd, err
}

// openDir keeps a directory open while the next that is asked for is the same.
type openDir struct {
	dir *dir
	fd  int
}

func (o *openDir) open(top int, d *dir) (err error) {
	if o.dir == d {
		return nil
	}
	o.close()
	if o.fd, err = openBelow(top, d, unix.O_RDONLY|unix.O_NOATIME); err == nil {
		o.dir = d
	}
	return err
}

func (o *openDir) close() {
	if o.dir != nil {
		unix.Close(o.fd)
		o.dir = nil
	}
}

// isSubvolume reports whether a directory is the top of a subvolume of btrfs,
// which has the inode number BTRFS_FIRST_FREE_OBJECTID.
func isSubvolume(fd int) bool {
	const firstFree = 256
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Ino == firstFree && onBtrfs(fd)
}

func onBtrfs(fd int) bool {
	var system unix.Statfs_t
	return unix.Fstatfs(fd, &system) == nil && system.Type == unix.BTRFS_SUPER_MAGIC
}

// isMountPoint reports whether something is mounted where a directory is.
func isMountPoint(fd int) bool {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &st)
	return err != nil || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// sameFSID reports whether what statfs(2) tells is of one file system. Its f_fsid
// is of the subvolume on btrfs, so only what is different for sure is told apart:
// that data cannot be shared, the first try says.
func sameFSID(a, b *unix.Statfs_t) bool {
	return a.Type == b.Type && a.Blocks == b.Blocks && a.Bsize == b.Bsize
}

func readlinkat(at int, name string, size int64) (string, error) {
	buf := make([]byte, max(size, 255)+1)
	for {
		n, err := unix.Readlinkat(at, name, buf)
		if err != nil || n < len(buf) {
			return string(buf[:max(n, 0)]), err
		}
		buf = make([]byte, 2*len(buf))
	}
}

func ignoringEINTR(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}
