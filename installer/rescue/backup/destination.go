package backup

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// margin is what stays free beside what is copied, in bytes.
const margin = 32 << 20

// destination is a directory that gets its name when all is in it.
type destination struct {
	at      string      // absolute
	staging string      // beside it
	old     fs.FileInfo // of an empty directory that is there; nil for none
	dir     *os.File    // staging, locked
}

// newDestination makes the directory in which is collected what goes to a
// directory that is new or empty. Of the same key it has the same name, so that
// the same copying goes on with what it had.
func newDestination(to string, key ...string) (*destination, error) {
	at, err := filepath.Abs(to)
	if err != nil {
		return nil, err
	}
	d := &destination{at: at}
	if err := d.look(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	d.staging = fmt.Sprintf("%s.incomplete-%x", at, sum[:4])
	return d, d.open()
}

// look refuses what a directory cannot be put in the place of.
func (d *destination) look() error {
	info, err := os.Lstat(d.at)
	if errors.Is(err, fs.ErrNotExist) {
		err = keepsOwners(filepath.Dir(d.at))
		if errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.Target, "mkdir -p "+filepath.Dir(d.at), "%s: there is no %s", d.at, filepath.Dir(d.at))
		}
		return err
	}
	if err != nil {
		return targetError(d.at, err)
	}
	if !info.IsDir() {
		return fault.New(fault.Target, "name a new directory", "%s: is there, and no directory", d.at)
	}
	if isTop(d.at) {
		return fault.New(fault.Target, "name a new directory in it, such as "+filepath.Join(d.at, "restored"), "%s: is the top of a file system or subvolume, expected a directory in one", d.at)
	}
	if names, err := firstNames(d.at); err != nil || len(names) > 0 {
		if err != nil {
			return targetError(d.at, err)
		}
		return fault.New(fault.Target, "name a new directory", "%s: is not empty, it has %s", d.at, repository.Printable(strings.Join(names, ", ")))
	}
	d.old = info
	return keepsOwners(filepath.Dir(d.at))
}

// open makes the staging directory, or takes that of an earlier copying, and
// keeps others out.
func (d *destination) open() error {
	err := os.Mkdir(d.staging, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return targetError(d.staging, err)
	}
	f, err := os.OpenFile(d.staging, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return targetError(d.staging, err)
	}
	info, err := f.Stat()
	if err == nil && owner(info) != os.Geteuid() {
		err = fault.New(fault.Target, "rm -rf "+d.staging, "%s: is of user %d, expected %d", d.staging, owner(info), os.Geteuid())
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fault.New(fault.Target, "", "%s: is being filled by another process", d.staging)
		}
	}
	if err == nil {
		err = f.Chmod(0o700)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	d.dir = f
	return nil
}

// close leaves what is not complete under its name, and removes that if nothing is
// in it.
func (d *destination) close() {
	_ = os.Remove(d.staging) // not if something is in it, and not after finish
	d.dir.Close()
}

// empty removes what an earlier copying has left.
func (d *destination) empty() error {
	names, err := d.dir.Readdirnames(-1)
	if err != nil {
		return targetError(d.staging, err)
	}
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(d.staging, name)); err != nil {
			return targetError(d.staging, err)
		}
	}
	return nil
}

// free returns how many bytes fit into the file system of a file. One that says nothing of
// its size is bounded by the memory alone: the root of an initramfs is one.
func free(f *os.File) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, err
	}
	if s.Blocks > 0 {
		return int64(s.Bavail) * s.Bsize, nil
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return firstboot.MemAvailable(string(text))
}

// room is a fault unless so many bytes more fit.
func (d *destination) room(bytes int64) error {
	free, err := free(d.dir)
	if err != nil {
		return targetError(d.staging, err)
	}
	if free < bytes+margin {
		return fault.New(fault.Target, "make room, or name a directory on another disk; or where files are sparse, and take less: --any-size", "%s: needs %d MiB more, and %d MiB are free", d.at, (bytes+margin+1<<20-1)>>20, free>>20)
	}
	return nil
}

// sync returns when all that was written is on the disk.
func (d *destination) sync() error {
	if err := unix.Syncfs(int(d.dir.Fd())); err != nil {
		return fault.New(fault.Target, "", "%s: cannot be written to its disk: %w", d.staging, err)
	}
	return nil
}

// finish gives the directory its name. rename(2) replaces nothing but an empty
// directory.
func (d *destination) finish() error {
	mode := fs.FileMode(0o755)
	if d.old != nil {
		mode = d.old.Mode()
		if st, ok := d.old.Sys().(*syscall.Stat_t); ok {
			if err := d.dir.Chown(int(st.Uid), int(st.Gid)); err != nil {
				return targetError(d.staging, err)
			}
		}
	}
	if err := d.dir.Chmod(mode); err != nil {
		return targetError(d.staging, err)
	}
	if err := d.sync(); err != nil {
		return err
	}
	if err := unix.Rename(d.staging, d.at); err != nil {
		return fault.New(fault.Target, "all is in "+d.staging, "%s: rename of what was copied: %w", d.at, err)
	}
	return d.sync()
}

// failed says where what was copied is, if there is something.
func (d *destination) failed(err error) error {
	names, listErr := firstNames(d.staging)
	if listErr != nil || len(names) == 0 {
		return err
	}
	return located(d.staging+" has what could be copied", err)
}

// Types of file systems that keep neither owners nor modes: linux/magic.h, and
// fs/ntfs3 of Linux.
const (
	typeFAT   = 0x4d44
	typeExFAT = 0x2011bab0
	typeNTFS3 = 0x7366746e
)

// keepsOwners is a fault where a directory is on a file system that has no room
// for what files of a system are.
func keepsOwners(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return targetError(dir, &fs.PathError{Op: "statfs", Path: dir, Err: err})
	}
	if name := ownerless(int64(s.Type)); name != "" {
		return fault.New(fault.Target, "name a directory on btrfs or ext4, or one in memory such as /tmp/restored", "%s: is on %s, which keeps neither owners nor modes", dir, name)
	}
	return nil
}

// ownerless returns the name of a type of file systems that keeps no owners; ""
// for others.
func ownerless(kind int64) string {
	return map[int64]string{typeFAT: "FAT", typeExFAT: "exFAT", typeNTFS3: "NTFS"}[kind]
}

// targetError is an error of the place that is written to.
func targetError(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		name, err = p.Path, p.Err
	}
	return fault.New(fault.Target, "", "%s: %w", name, err)
}

// firstNames returns some names of a directory.
func firstNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(mostNear)
	if len(names) > 0 || errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// isTop reports whether a directory cannot be exchanged by rename(2): something is
// mounted there, or it is a subvolume.
func isTop(dir string) bool {
	var st, parent unix.Statx_t
	const flags = unix.AT_SYMLINK_NOFOLLOW
	err := errors.Join(
		unix.Statx(unix.AT_FDCWD, dir, flags, unix.STATX_BASIC_STATS, &st),
		unix.Statx(unix.AT_FDCWD, filepath.Dir(dir), 0, unix.STATX_BASIC_STATS, &parent),
	)
	return err != nil || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 || st.Dev_major != parent.Dev_major || st.Dev_minor != parent.Dev_minor
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
