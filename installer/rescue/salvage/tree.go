package salvage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// tree is where a copy is made, by paths below it: what of it a file system may
// refuse. Errors are those of the kernel.
type tree interface {
	Mkdir(name string, perm fs.FileMode) error
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Link(old, name string) error
	Remove(name string) error
	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	// Resize gives a file a size; what it gets more is zeros.
	Resize(f *os.File, size int64) error
	// Fresh makes reads of a file come from the disk, of what is written out.
	Fresh(f *os.File)
	// Symlink and Node make what has no content, in a directory.
	Symlink(to string, dir *os.File, base string) error
	Node(dir *os.File, base string, st *reader.Stat) error
	// Own gives an open file or directory its owner and its mode, as far as the file
	// system has them.
	Own(f *os.File, st *reader.Stat) error
}

// rooted is a tree of this machine.
type rooted struct{ *os.Root }

func (rooted) Resize(f *os.File, size int64) error { return f.Truncate(size) }

// Fresh asks for it: the kernel may keep what others use.
func (rooted) Fresh(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

func (rooted) Symlink(to string, dir *os.File, base string) error {
	return unix.Symlinkat(to, int(dir.Fd()), base)
}

func (rooted) Node(dir *os.File, base string, st *reader.Stat) error {
	return unix.Mknodat(int(dir.Fd()), base, st.Inode.Mode, int(st.Inode.Rdev))
}

// Own sets the mode at last, which a new owner may change.
func (rooted) Own(f *os.File, st *reader.Stat) error {
	fd := int(f.Fd())
	if err := unix.Fchown(fd, int(st.Inode.UID), int(st.Inode.GID)); err != nil && !unsupported(err) {
		return err
	}
	if err := unix.Fchmod(fd, st.Inode.Mode&0o7777); err != nil && !unsupported(err) {
		return err
	}
	return nil
}

// unsupported reports whether an error is what a kernel says where a file system has
// no such thing, or the user may not make it: of FAT and exFAT, EPERM (vfs_symlink,
// vfs_mknod and vfs_link of Linux's fs/namei.c, fat_setattr of fs/fat/file.c).
func unsupported(err error) bool { return isOne(err, unix.EPERM, unix.ENOTSUP, unix.ENOSYS) }

func isOne(err error, list ...unix.Errno) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errTaken is said of a name that was not in the directory before, and is there.
var errTaken = errors.New("the file system of the copy takes its name for that of another, which differs in upper and lower case or in a dot at the end")

// refusal says why the file system of the copy cannot have a file, nil where the
// error is of something else. A name is refused by EINVAL, and by ENOENT where nothing
// of it is left (vfat_build_slots and vfat_add_entry of fs/fat/namei_vfat.c).
func refusal(info fs.FileInfo, err error) error {
	special := !info.IsDir() && !info.Mode().IsRegular()
	switch {
	case errors.Is(err, unix.EFBIG):
		return fmt.Errorf("its %d bytes are more than the file system of the copy lets a file have", info.Size())
	case errors.Is(err, unix.EEXIST):
		return errTaken
	case special && unsupported(err):
		what := "special files"
		if info.Mode().Type() == fs.ModeSymlink {
			what = "symlinks"
		}
		return fmt.Errorf("the file system of the copy has no %s, or they may not be made: %w", what, cause(err))
	case isOne(err, unix.EINVAL, unix.ENAMETOOLONG, unix.EILSEQ, unix.ENOENT):
		return fmt.Errorf("the file system of the copy cannot have this name: %w", cause(err))
	}
	return nil
}

// cause is err without the call and the name.
func cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// unkept is what becomes of an error of the place that is copied to, where it
// refused a file: a loss, if it cannot have that, and the copy goes on.
func (c *copier) unkept(name string, info fs.FileInfo, err error) error {
	why := refusal(info, err)
	if why == nil {
		return target(err)
	}
	c.report.Unkept++
	c.lose(name, why)
	return nil
}

// lacking counts files of which something is not in the copy, that the file system
// does not have for any.
type lacking struct{ owners, modes, xattrs int64 }

// owned compares what a file of the copy has with what it was given: FAT takes some
// modes and gives another without an error.
func (l *lacking) owned(got *unix.Stat_t, st *reader.Stat) {
	if got.Uid != st.Inode.UID || got.Gid != st.Inode.GID {
		l.owners++
	}
	if got.Mode&unix.S_IFMT != unix.S_IFLNK && got.Mode&0o7777 != st.Inode.Mode&0o7777 {
		l.modes++
	}
}

// tell makes losses of it: one for all files, which would hide the others.
func (l *lacking) tell(c *copier) {
	for _, k := range []struct {
		n    int64
		what string
	}{{l.owners, "owner"}, {l.modes, "mode"}, {l.xattrs, "extended attributes"}} {
		if k.n > 0 {
			c.report.Unkept++
			c.lose(".", fmt.Errorf("the copy cannot have the %s of %d files and directories: its file system has none, or they may not be set", k.what, k.n))
		}
	}
}
