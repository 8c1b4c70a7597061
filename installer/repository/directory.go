package repository

import (
	"errors"
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
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
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
func (e *entry) enter() (*directory, error) {
	fd, err := unix.Openat(e.dir.fd, e.Name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return absentDir(), e.lacking(err)
	}
	return newDirectory(fd), nil
}

// open opens the regular file of an entry; -1 is one that cannot be opened. The time
// of access, which restic has restored, stays where the kernel lets it.
func (e *entry) open() (int, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(e.dir.fd, e.Name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Openat(e.dir.fd, e.Name, flags, 0)
	}
	if err != nil {
		return -1, e.lacking(err)
	}
	return fd, nil
}

// stat looks at what is in the place of an entry. What is not there, or is where
// the disk cannot be read, has no type.
func (e *entry) stat() (*unix.Stat_t, error) {
	st := &unix.Stat_t{}
	if e.dir.fd < 0 {
		return st, nil
	}
	if err := unix.Fstatat(e.dir.fd, e.Name, st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &unix.Stat_t{}, e.lacking(err)
	}
	return st, nil
}

// lacking is the problem of an error that says nothing about what is on the disk,
// but that it cannot be looked at now. Of others, such as those of the disk, it is
// nil: what they are of is not as it should be.
func (e *entry) lacking(err error) error {
	for _, of := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EACCES, unix.EPERM} {
		if errors.Is(err, of) {
			return firstboot.NewProblem(firstboot.CodeIncomplete, "", "%s: cannot be compared: %w", Printable(e.path), err)
		}
	}
	return nil
}

// remove removes an entry if it is a regular file.
func (e *entry) remove() {
	if st, err := e.stat(); err == nil && typeName(st.Mode) == "file" {
		_ = unix.Unlinkat(e.dir.fd, e.Name, 0) // restic will say
	}
}

// pointsRight reports whether a symlink has the target of its node.
func (e *entry) pointsRight() (bool, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(e.dir.fd, e.Name, buf)
	if err != nil {
		return false, e.lacking(err)
	}
	return string(buf[:n]) == e.Target, nil
}
