package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// meta gives an entry that is complete its owner, extended attributes, mode and times,
// in the order in which the kernel leaves them alone: another owner clears the bits of
// set-user-ID and the capabilities. fd is the file, or -1.
func (w *writer) meta(e *entry, fd int) error {
	name := e.below()
	if err := w.own(e, fd); err != nil {
		return err
	}
	if err := w.attributes(e); err != nil {
		return err
	}
	mode := permissions(fs.FileMode(e.Mode))
	switch {
	case e.Type == "symlink":
	case fd >= 0:
		if err := unix.Fchmod(fd, mode); err != nil {
			return err
		}
	default:
		if err := unix.Fchmodat(w.top, name, mode, 0); err != nil {
			return err
		}
	}
	read, err := unix.TimeToTimespec(e.ATime)
	if err != nil {
		return err
	}
	written, err := unix.TimeToTimespec(e.MTime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(w.top, name, []unix.Timespec{read, written}, unix.AT_SYMLINK_NOFOLLOW)
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
func (w *writer) attributes(e *entry) error {
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
	names, err := xattrNames(path)
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
