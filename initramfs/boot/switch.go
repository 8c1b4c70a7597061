package boot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// moved are the mounts that the system gets from the initramfs.
var moved = []string{"/dev", "/proc", "/sys", "/run"}

// errCommitted marks a failure after which the initramfs is gone.
var errCommitted = errors.New("the initramfs was left already")

// moveMounts moves them from one root directory to another, where their mount points
// are made. After an error those that were moved are where they were.
func moveMounts(from, to string) error {
	for _, dir := range moved {
		if err := mountPoint(to + dir); err != nil {
			return err
		}
	}
	for i, dir := range moved {
		if err := unix.Mount(from+dir, to+dir, "", unix.MS_MOVE, ""); err != nil {
			for _, back := range moved[:i] {
				_ = unix.Mount(to+back, from+back, "", unix.MS_MOVE, "")
			}
			return fmt.Errorf("move %s to %s: %w", from+dir, to+dir, err)
		}
	}
	return nil
}

// switchRoot makes root the root directory, frees the memory of the initramfs
// and executes init there. argv[0] is init. It returns only with an error;
// before errCommitted the boot can be tried again.
func switchRoot(root, init string, argv, env []string) error {
	old, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/: %w", err)
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to /: %w, %w", root, err, errCommitted)
	}
	if err := errors.Join(unix.Chroot("."), unix.Chdir("/")); err != nil {
		return fmt.Errorf("chroot: %w, %w", err, errCommitted)
	}
	empty(old)
	return fmt.Errorf("execute %s: %w, %w", init, unix.Exec(init, argv, env), errCommitted)
}

// mountPoint makes dir where it is missing. A symlink is refused: it would lead
// out of the new root.
func mountPoint(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if st, err := os.Lstat(dir); err != nil || !st.IsDir() {
		return fmt.Errorf("%s: is no directory, expected a mount point", dir)
	}
	return nil
}

// empty deletes what is in the directory fd if that is the memory that the
// kernel unpacked the initramfs into, and closes it. Nothing on another device
// is touched. Failures waste memory, no more.
func empty(fd int) {
	var sfs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(fd, &sfs) == nil && unix.Fstat(fd, &st) == nil &&
		(sfs.Type == unix.RAMFS_MAGIC || sfs.Type == unix.TMPFS_MAGIC) {
		emptyDir(fd, st.Dev)
		return
	}
	unix.Close(fd)
}

// emptyDir deletes what is below the directory fd on device dev, and closes fd.
func emptyDir(fd int, dev uint64) {
	f := os.NewFile(uintptr(fd), "initramfs")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Dev != dev {
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			_ = unix.Unlinkat(fd, name, 0)
			continue
		}
		sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			emptyDir(sub, dev)
			_ = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
		}
	}
}
