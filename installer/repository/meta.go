package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// meta gives an entry that is complete its owner, extended attributes, mode and times,
// in the order in which the kernel leaves them alone: another owner clears the bits of
// set-user-ID and the capabilities. fd is the file, or -1.
func (w *writer) meta(e *entry, fd int) error {
	if err := w.own(e, fd); err != nil {
		return err
	}
	if err := w.attributes(e, fd); err != nil {
		return err
	}
	if err := w.chmod(e, fd); err != nil {
		return err
	}
	return w.date(e, fd)
}

// chmod sets the mode, unless a file was made with it: a look at an inode is no transaction
// of the file system.
func (w *writer) chmod(e *entry, fd int) error {
	mode := permissions(fs.FileMode(e.Mode))
	switch {
	case e.Type == "symlink":
		return nil
	case fd < 0:
		return unix.Fchmodat(w.top, e.below(), mode, 0)
	}
	st := unix.Stat_t{}
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&0o7777 == mode {
		return err
	}
	return unix.Fchmod(fd, mode)
}

// date sets the times.
func (w *writer) date(e *entry, fd int) error {
	var times [2]unix.Timespec
	for i, t := range []time.Time{e.ATime, e.MTime} {
		var err error
		if times[i], err = unix.TimeToTimespec(t); err != nil {
			return err
		}
	}
	if fd >= 0 { // Linux 5.8
		err := unix.UtimesNanoAt(fd, "", times[:], unix.AT_EMPTY_PATH)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return unix.UtimesNanoAt(w.top, e.below(), times[:], unix.AT_SYMLINK_NOFOLLOW)
}

// own sets the owner. Who is not root may give nothing away, and keeps it.
func (w *writer) own(e *entry, fd int) (err error) {
	if fd >= 0 {
		err = unix.Fchown(fd, int(e.UID), int(e.GID))
	} else {
		err = unix.Fchownat(w.top, e.below(), int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW)
	}
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		return nil
	}
	return err
}

// attributes sets the extended attributes, and removes others. On a file system that
// has none, and of those that are the kernel's own, it says nothing: the proof does.
func (w *writer) attributes(e *entry, fd int) error {
	if len(e.Xattrs) == 0 && !w.strip {
		return nil
	}
	path := fmt.Sprintf("/proc/self/fd/%d/%s", w.top, e.below())
	for _, x := range e.Xattrs {
		err := unix.Lsetxattr(path, x.Name, x.Value, 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) && !slices.Contains(ownXattrs, x.Name) {
			return fmt.Errorf("extended attribute %s: %w", Printable(x.Name), err)
		}
	}
	if !w.strip {
		return nil
	}
	names, err := xattrsOf(fd, w.top, e.below()).names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if e.hasXattr(name) {
			continue
		}
		if err := unix.Lremovexattr(path, name); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("extended attribute %s: %w", Printable(name), err)
		}
	}
	return nil
}

// hasXattr reports whether an entry has an extended attribute in the snapshot.
func (e *entry) hasXattr(name string) bool {
	return slices.ContainsFunc(e.Xattrs, func(x reader.Xattr) bool { return x.Name == name })
}
