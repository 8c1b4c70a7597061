package imgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Materialize makes the entries below sub, a directory of a tree, in dir, an
// empty directory of the host, by system calls; dir itself gets the attributes
// of sub. It needs root. This is how a kernel's file system comes to hold a
// tree that our own writer did not write.
func Materialize(t testing.TB, sub *fstree.Entry, dir string) {
	t.Helper()
	NeedRoot(t)
	m := materializer{first: map[*fstree.Inode]string{}}
	if err := m.finish(sub, dir); err != nil {
		t.Fatalf("materialize: %v", err)
	}
}

type materializer struct{ first map[*fstree.Inode]string }

func (m *materializer) entry(e *fstree.Entry, path string) error {
	if old, ok := m.first[e.Inode]; ok {
		return os.Link(old, path)
	}
	if !e.IsDir() {
		m.first[e.Inode] = path
	}
	if err := m.create(e, path); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return m.finish(e, path)
}

func (m *materializer) create(e *fstree.Entry, path string) error {
	switch e.Type() {
	case fstree.TypeDir:
		return os.Mkdir(path, 0o700)
	case fstree.TypeSymlink:
		return os.Symlink(e.Link, path)
	case fstree.TypeRegular:
		return writeContent(e, path)
	}
	return unix.Mknod(path, e.Type()|0o600, int(unix.Mkdev(e.Rdev.Major(), e.Rdev.Minor())))
}

func writeContent(e *fstree.Entry, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(e.Size); err != nil || e.Content == nil {
		return err
	}
	source, err := e.Content.Open(e)
	if err != nil {
		return err
	}
	defer source.Close()
	segs, err := source.Segments()
	if err != nil {
		return err
	}
	for _, s := range segs {
		if _, err := io.Copy(io.NewOffsetWriter(f, s.Offset), io.NewSectionReader(source, s.Offset, s.Length)); err != nil {
			return err
		}
	}
	return nil
}

// finish fills a directory and then sets attributes in the one order in which
// none undoes another: a change of owner drops set-user-ID and capabilities,
// and a new child changes the directory's time.
func (m *materializer) finish(e *fstree.Entry, path string) error {
	if err := os.Lchown(path, int(e.UID), int(e.GID)); err != nil {
		return err
	}
	for _, c := range e.Children() {
		if err := m.entry(c, path+"/"+c.Name); err != nil {
			return err
		}
	}
	if !e.IsSymlink() {
		if err := unix.Chmod(path, e.Mode&fstree.PermMask); err != nil {
			return fmt.Errorf("%q: chmod: %w", path, err)
		}
	}
	for _, x := range e.Xattrs {
		if err := unix.Lsetxattr(path, x.Name, x.Value, 0); err != nil {
			return fmt.Errorf("%q: xattr %q: %w", path, x.Name, err)
		}
	}
	at := unix.Timespec{Sec: e.Sec, Nsec: int64(e.Nsec)}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("%q: set time: %w", path, err)
	}
	return nil
}
