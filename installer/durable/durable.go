// Package durable writes files that a power cut cannot tear: at every instant
// the old content or the new one is at a name, and what was reported as written
// is there after the next boot.
//
// It counts on no more than POSIX says: what was written is on the disk after
// fsync of the file, and a name after fsync of its directory. On FAT a file that was
// replaced may be empty for the moment between two calls, should the kernel write just
// then on its own account: who reads files there must cope with an empty one.
//
// What it does not do: it keeps no two processes from writing the same file at
// once, unless they lock its directory.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// FS is the part of a file system that durable files need. Names are absolute.
// Errors begin with the name, and errors.Is knows fs.ErrNotExist and
// fs.ErrExist.
type FS interface {
	// Open opens a file or a directory, to read it or to have it synced. It
	// follows symlinks, and never waits: other kinds of files are refused.
	Open(name string) (File, error)
	// Create makes a file; fs.ErrExist when there is something of the name.
	Create(name string, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	// Link gives a file a second name. It does not follow symlinks.
	Link(old, name string) error
	// Rename replaces what has the new name.
	Rename(old, name string) error
	Remove(name string) error
	// Lstat does not follow a symlink at the name itself.
	Lstat(name string) (Info, error)
	// List returns the names in a directory, sorted.
	List(name string) ([]string, error)
	// Lock waits until no other process has locked the directory. The lock ends
	// with Close or with the process.
	Lock(name string) (io.Closer, error)
}

// File is an open file or directory.
type File interface {
	io.Reader // of a file
	io.Writer // of a file that Create made
	Stat() (Info, error)
	Chmod(perm fs.FileMode) error
	Chown(uid, gid uint32) error
	// Sync returns when the file is on the disk: its content, mode and owner,
	// not its name. Of a directory: the names in it.
	Sync() error
	Close() error
}

// Info is what is known of a file without reading it.
type Info struct {
	Mode     fs.FileMode // type and permission bits
	Size     int64       // bytes
	UID, GID uint32
}

// Write puts data at a name, in place of what was there. Directories that are
// missing are made with mode 0755. The file is root's when the process is. A
// symlink at the name is replaced, not followed.
//
// What an interrupted Write may leave beside the file, the next one replaces.
func Write(f FS, name string, data []byte, perm fs.FileMode) error {
	switch info, err := f.Lstat(name); {
	case err == nil && info.Mode.IsDir():
		return fmt.Errorf("%s: a directory, expected a file", name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := path.Dir(name)
	if err := MkdirAll(f, dir, 0o755); err != nil {
		return err
	}
	temporary := Temporary(name)
	if err := f.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := replace(f, temporary, name, data, perm); err != nil {
		if gone := f.Remove(temporary); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return err
	}
	return Sync(f, dir)
}

// Temporary returns the name under which Write has a file until it is whole.
func Temporary(name string) string {
	return path.Join(path.Dir(name), "."+path.Base(name)+".new")
}

// replace makes a file under a temporary name and gives it the other.
func replace(f FS, temporary, name string, data []byte, perm fs.FileMode) (err error) {
	file, err := f.Create(temporary, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := fill(file, data, perm); err != nil {
		return err
	}
	if err := f.Rename(temporary, name); err != nil {
		return err
	}
	// FAT has the size of a file beside its name, and Linux gives the new name the size 0
	// until it writes the inode the next time (vfat_rename of fs/fat/namei_vfat.c). To sync
	// the directory does not: the file would be there after a power cut, and empty.
	return file.Sync()
}

// fill writes a file and returns when it is on the disk. Its mode is the final
// one only when its content is: until then only the owner reads it.
func fill(file File, data []byte, perm fs.FileMode) error {
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := own(file); err != nil {
		return err
	}
	if err := file.Chmod(perm); err != nil {
		return err
	}
	return file.Sync()
}

// own makes a file root's, unless this process is not root: a program that is
// tried out by a user.
func own(file File) error {
	err := file.Chown(0, 0)
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return nil
	}
	return err
}

// MkdirAll makes a directory with a mode, and those above it with mode 0755, if
// they are missing. When it returns they are on the disk, and so is the name of
// one that was there: whoever made it may have been killed before that.
func MkdirAll(f FS, dir string, perm fs.FileMode) error {
	there, err := isDir(f, dir)
	if err != nil {
		return err
	}
	parent := path.Dir(dir)
	if there && dir == parent {
		return nil
	}
	if there {
		return Sync(f, parent)
	}
	if dir == parent {
		return fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	if err := MkdirAll(f, parent, 0o755); err != nil {
		return err
	}
	if err := makeDir(f, dir, perm); err != nil {
		return err
	}
	return Sync(f, parent)
}

// makeDir makes a directory that isDir has not found.
func makeDir(f FS, dir string, perm fs.FileMode) error {
	err := f.Mkdir(dir, perm)
	if errors.Is(err, fs.ErrExist) { // of another process, or a symlink
		there, err := isDir(f, dir)
		if err == nil && !there {
			err = fmt.Errorf("%s: a symlink to what is not there, expected a directory", dir)
		}
		return err
	}
	if err != nil {
		return err
	}
	return Repair(f, dir, perm)
}

// isDir reports whether there is a directory, or a symlink to one. Anything
// else of that name is an error.
func isDir(f FS, name string) (bool, error) {
	file, err := f.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && !info.Mode.IsDir() {
		err = fmt.Errorf("%s: a file, expected a directory", name)
	}
	return true, err
}

// Repair gives a file or directory its mode, and root as its owner when the
// process is root, and returns when it is on the disk. What is right already
// is not changed.
func Repair(f FS, name string, perm fs.FileMode) (err error) {
	file, err := f.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.UID != 0 || info.GID != 0 {
		if err := own(file); err != nil {
			return err
		}
	}
	if info.Mode.Perm() != perm {
		if err := file.Chmod(perm); err != nil {
			return err
		}
	}
	return file.Sync()
}

// Sync returns when a file, or the names in a directory, are on the disk.
func Sync(f FS, name string) (err error) {
	file, err := f.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return file.Sync()
}

// Read returns the first limit bytes of a file, or all of a shorter one. Ask
// for one more than is allowed to learn of a file that is too large.
func Read(f FS, name string, limit int64) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode.IsDir() {
		return nil, fmt.Errorf("%s: a directory, expected a file", name)
	}
	return io.ReadAll(io.LimitReader(file, limit))
}
