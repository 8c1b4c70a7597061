package salvage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// special makes what has no content of its own: it is in the directory dir.
func (c *copier) special(dir *os.File, name, to string, info fs.FileInfo, there bool) (bool, error) {
	fd, base := int(dir.Fd()), path.Base(name)
	st := info.Sys().(*reader.Stat)
	link := info.Mode().Type() == fs.ModeSymlink
	leads := ""
	if link {
		var err error
		if leads, err = c.volume.ReadLink(name); err != nil {
			c.lose(name, err)
			return false, nil
		}
	}
	switch same, err := c.sameSpecial(to, leads, st, there); {
	case err != nil:
		return false, target(err)
	case there && !same:
		c.lose(name, errOther)
		return false, nil
	case !there:
		if link {
			err = c.to.Symlink(leads, dir, base)
		} else {
			err = c.to.Node(dir, base, st)
		}
		if err != nil {
			return false, c.unkept(name, info, fmt.Errorf("%s: %w", name, err))
		}
	}
	if err := unix.Fchownat(fd, base, int(st.Inode.UID), int(st.Inode.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil && !unsupported(err) {
		return false, target(fmt.Errorf("%s: owner: %w", name, err))
	}
	if !link {
		if err := unix.Fchmodat(fd, base, st.Inode.Mode&0o7777, 0); err != nil && !unsupported(err) {
			return false, target(fmt.Errorf("%s: mode: %w", name, err))
		}
	}
	var got unix.Stat_t
	if err := unix.Fstatat(fd, base, &got, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, target(fmt.Errorf("%s: %w", name, err))
	}
	c.lacks.owned(&got, st)
	return true, target(unix.UtimesNanoAt(fd, base, times(st), unix.AT_SYMLINK_NOFOLLOW))
}

// sameSpecial reports whether the copy has a symlink that leads to the same, or the
// same device.
func (c *copier) sameSpecial(to, leads string, st *reader.Stat, there bool) (bool, error) {
	if !there {
		return false, nil
	}
	if leads != "" {
		found, err := c.to.Readlink(to)
		return found == leads, err
	}
	now, err := c.to.Lstat(to)
	if err != nil {
		return false, err
	}
	found, ok := now.Sys().(*syscall.Stat_t)
	return ok && (now.Mode()&fs.ModeDevice == 0 || found.Rdev == st.Inode.Rdev), nil
}

// attributes gives a file or directory of the copy, which is open, what it had:
// the time at last, which all else would change.
func (c *copier) attributes(f *os.File, name string, info fs.FileInfo) error {
	st := info.Sys().(*reader.Stat)
	fd := int(f.Fd())
	if err := c.to.Own(f, st); err != nil {
		return target(fmt.Errorf("%s: owner and mode: %w", name, err))
	}
	var got unix.Stat_t
	if err := unix.Fstat(fd, &got); err != nil {
		return target(fmt.Errorf("%s: %w", name, err))
	}
	c.lacks.owned(&got, st)
	var xattrs []reader.Xattr
	var err error
	met := c.met(func() { xattrs, err = c.volume.Xattrs(name) })
	switch {
	case err != nil:
		c.lose(name, err)
	case met:
		c.lose(name, errAttributes)
	}
	for _, x := range xattrs {
		err := unix.Fsetxattr(fd, x.Name, x.Value, 0)
		if errors.Is(err, unix.ENOTSUP) {
			c.lacks.xattrs++
			break
		}
		if err != nil {
			c.lose(name, fmt.Errorf("attribute %s cannot be set in the copy: %w", x.Name, err))
		}
	}
	ts := times(st)
	return target(unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), ts, 0))
}

func times(st *reader.Stat) []unix.Timespec {
	at := func(sec int64, nsec uint32) unix.Timespec { return unix.Timespec{Sec: sec, Nsec: int64(nsec)} }
	i := st.Inode
	return []unix.Timespec{at(i.Atime.Sec, i.Atime.Nsec), at(i.Mtime.Sec, i.Mtime.Nsec)}
}
