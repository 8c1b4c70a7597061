package repository

import (
	"errors"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// directory is one that is compared, open by who holds it. Symlinks are followed
// nowhere below the first.
type directory struct {
	fd   int // -1 is one that is not there
	refs atomic.Int32
}

func newDirectory(fd int) *directory {
	d := &directory{fd: fd}
	d.refs.Store(1)
	return d
}

func absentDir() *directory { return newDirectory(-1) }

// openDir opens the top.
func openDir(path string) (*directory, error) {
	fd, err := openAt(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeIncomplete, "", "%s: cannot be compared: %w", path, err)
	}
	return newDirectory(fd), nil
}

func (d *directory) hold() { d.refs.Add(1) }

func (d *directory) release() {
	if d.refs.Add(-1) == 0 && d.fd >= 0 {
		unix.Close(d.fd)
	}
}

// enter opens the directory of an entry.
func (e *placed) enter() (*directory, error) {
	fd, err := openAt(e.dir.fd, e.Name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return absentDir(), e.lacking(err)
	}
	return newDirectory(fd), nil
}

// open opens the regular file of an entry, unless it cannot be opened. The time of
// access, which was restored, stays where the kernel lets it.
//
// What the kernel holds of the file it forgets, so that the disk is read: it was
// synced before. A kernel that was built without fadvise keeps it.
func (e *placed) open() error {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := openAt(e.dir.fd, e.Name, flags|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) {
		fd, err = openAt(e.dir.fd, e.Name, flags)
	}
	if err != nil {
		return e.lacking(err)
	}
	e.fd = fd
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	return nil
}

// close closes the file of an entry if it is open.
func (e *placed) close() {
	if e.fd >= 0 {
		unix.Close(e.fd)
	}
	e.fd = -1
}

// stat looks at what is in the place of an entry. What is not there, or is where
// the disk cannot be read, has no type.
func (e *placed) stat() (*unix.Stat_t, error) {
	st := &unix.Stat_t{}
	if e.dir.fd < 0 {
		return st, nil
	}
	err := retried(func() error { return unix.Fstatat(e.dir.fd, e.Name, st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return &unix.Stat_t{}, e.lacking(err)
	}
	return st, nil
}

// notThere are the errors that say that something is not there, is something else,
// or is where the disk cannot be read or has a damaged file system.
var notThere = []error{
	unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENODATA,
	unix.EIO, unix.EUCLEAN, unix.EBADMSG, unix.EILSEQ, unix.EREMOTEIO,
}

// lacking is nil for an error that says that what it is of is not as it should be.
// Of any other it is a problem: that something cannot be looked at now says nothing
// of what is on the disk, and what is wrong is removed.
func (e *entry) lacking(err error) error {
	if err == nil || slices.ContainsFunc(notThere, func(of error) bool { return errors.Is(err, of) }) {
		return nil
	}
	return firstboot.NewProblem(firstboot.CodeIncomplete, "", "%s: cannot be compared: %w", Printable(e.path), err)
}

// remove removes an entry if it is a regular file.
func (e *placed) remove() {
	if st, err := e.stat(); err == nil && typeName(st.Mode) == "file" {
		_ = retried(func() error { return unix.Unlinkat(e.dir.fd, e.Name, 0) }) // restic will say
	}
}

// pointsRight reports whether a symlink has the target of its node. buf has room
// for the longest.
func (e *placed) pointsRight(buf []byte) (right bool, err error) {
	var n int
	err = retried(func() error {
		n, err = unix.Readlinkat(e.dir.fd, e.Name, buf)
		return err
	})
	if err != nil {
		return false, e.lacking(err)
	}
	return string(buf[:n]) == e.Target, nil
}

// openAt opens a path below a directory.
func openAt(dir int, path string, flags int) (fd int, err error) {
	return createAt(dir, path, flags, 0)
}

// createAt opens a path below a directory, or makes a file there.
func createAt(dir int, path string, flags int, mode uint32) (fd int, err error) {
	err = retried(func() error {
		fd, err = unix.Openat(dir, path, flags, mode)
		return err
	})
	return fd, err
}

// retried calls a system call again that a signal has interrupted.
func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
