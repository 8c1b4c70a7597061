package treecopy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Flags of chattr(1), of include/uapi/linux/fs.h.
const (
	flagSync      = 0x8
	flagImmutable = 0x10
	flagAppend    = 0x20
	flagNoDump    = 0x40
	flagNoAtime   = 0x80
	flagNoComp    = 0x400
	flagDirSync   = 0x10000
	flagNoCow     = 0x800000

	// Those that say how data is stored must be there before it is. That
	// compression is wanted says the attribute btrfs.compression, with the kind.
	storageFlags = flagNoComp | flagNoCow
	plainFlags   = flagSync | flagNoDump | flagNoAtime | flagDirSync
	// Those that forbid changes come last.
	lastFlags = flagImmutable | flagAppend
	allFlags  = storageFlags | plainFlags | lastFlags
)

// lateFlags are flags that a file gets when everything else is done.
type lateFlags struct {
	dir   *dir
	name  string // "" for the directory itself
	flags uint32
}

// setStorage gives a file that is empty the flags and the attribute that say how
// its data is stored. What it has inherited of compression goes first: with it the
// kernel refuses to store a file without copy-on-write.
func setStorage(path string, src, dst int) error {
	value, err := xattr(func(b []byte) (int, error) { return unix.Fgetxattr(src, compressionAttr, b) })
	has := err == nil // else it has none, or is no file of btrfs
	if err := unix.Fremovexattr(dst, compressionAttr); err != nil && !errors.Is(err, unix.ENODATA) {
		return fail(path, "remove "+compressionAttr, err)
	}
	if err := setFlags(path, src, dst, storageFlags); err != nil || !has {
		return err
	}
	return fail(path, "set "+compressionAttr, unix.Fsetxattr(dst, compressionAttr, value, 0))
}

const compressionAttr = "btrfs.compression"

// setFlags makes some of a file's flags those that the source has. A source
// whose file system knows no flags has none.
func setFlags(path string, src, dst int, which uint32) error {
	want, err := unix.IoctlGetUint32(src, unix.FS_IOC_GETFLAGS)
	if err != nil {
		want = 0
	}
	have, err := unix.IoctlGetUint32(dst, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return fail(path, "get flags", err)
	}
	if (have^want)&which == 0 {
		return nil
	}
	return fail(path, "set flags", setFlagsTo(dst, have&^which|want&which))
}

func addFlags(path string, fd int, flags uint32) error {
	have, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = setFlagsTo(fd, have|flags)
	}
	return fail(path, "set flags", err)
}

// setFlagsTo sets the flags. The kernel reads an int, whatever FS_IOC_SETFLAGS
// says.
func setFlagsTo(fd int, flags uint32) error {
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(int32(flags)))
}

// setLate sets the flags after which nothing can be changed: directories after
// what is in them.
func (c *copier) setLate() error {
	for _, l := range c.late {
		d, err := openBelow(c.w.dst, l.dir, unix.O_RDONLY|unix.O_NOATIME)
		if err != nil {
			return err
		}
		fd := d
		if l.name != "" {
			if fd, err = openat(d, l.name, unix.O_RDONLY); err != nil {
				unix.Close(d)
				return fail(l.dir.child(l.name), "open", err)
			}
			unix.Close(d)
		}
		err = addFlags(l.dir.child(l.name), fd, l.flags)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

// setByDescriptor sets attributes in the one order in which none undoes
// another: a change of owner drops set-user-ID and capabilities, and what is
// written changes the time. It returns the flags that are left to be set.
func setByDescriptor(path string, src, dst int, st *unix.Stat_t, btrfs bool) (late uint32, err error) {
	if err := unix.Fchown(dst, int(st.Uid), int(st.Gid)); err != nil {
		return 0, fail(path, "chown", err)
	}
	if err := unix.Fchmod(dst, st.Mode&0o7777); err != nil {
		return 0, fail(path, "chmod", err)
	}
	if err := copyXattrs(descriptor(src), descriptor(dst), btrfs); err != nil {
		return 0, fail(path, "extended attributes", err)
	}
	if btrfs {
		which := uint32(plainFlags)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			which |= storageFlags
		}
		if err := setFlags(path, src, dst, which); err != nil {
			return 0, err
		}
		if flags, err := unix.IoctlGetUint32(src, unix.FS_IOC_GETFLAGS); err == nil {
			late = flags & lastFlags
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return late, fail(path, "set times", unix.UtimesNanoAt(dst, "", times, unix.AT_EMPTY_PATH))
}

// setByName sets the attributes of what cannot be opened, being no file with
// content: through its directory.
func setByName(d *dir, name string, st *unix.Stat_t, btrfs bool) error {
	path := d.child(name)
	if err := unix.Fchownat(d.dst, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fail(path, "chown", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(d.dst, name, st.Mode&0o7777, 0); err != nil {
			return fail(path, "chmod", err)
		}
	}
	if err := copyXattrs(byName(d.src, name), byName(d.dst, name), btrfs); err != nil {
		return fail(path, "extended attributes", err)
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return fail(path, "set times", unix.UtimesNanoAt(d.dst, name, times, unix.AT_SYMLINK_NOFOLLOW))
}

// attributed is a file that has extended attributes.
type attributed struct {
	list   func(b []byte) (int, error)
	get    func(name string, b []byte) (int, error)
	set    func(name string, value []byte) error
	remove func(name string) error
}

func descriptor(fd int) attributed {
	return attributed{
		func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) },
		func(name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) },
		func(name string) error { return unix.Fremovexattr(fd, name) },
	}
}

// byName goes through the link of the directory's descriptor in /proc, since
// there is no call for a name in a directory before Linux 6.13.
func byName(dir int, name string) attributed {
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir, name)
	return attributed{
		func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(name string, b []byte) (int, error) { return unix.Lgetxattr(path, name, b) },
		func(name string, value []byte) error { return unix.Lsetxattr(path, name, value, 0) },
		func(name string) error { return unix.Lremovexattr(path, name) },
	}
}

// copyXattrs makes the extended attributes of one file those of another. What a
// new file gets by itself, as the default ACL of its directory, goes.
func copyXattrs(src, dst attributed, btrfs bool) error {
	want, err := xattrNames(src)
	if err != nil {
		return err
	}
	have, err := xattrNames(dst)
	if err != nil {
		return err
	}
	for name := range have {
		if !want[name] && name != "security.selinux" {
			if err := dst.remove(name); err != nil && !errors.Is(err, unix.ENODATA) {
				return fmt.Errorf("remove %q: %w", name, err)
			}
		}
	}
	for name := range want {
		if isOfBtrfs(name) && !btrfs {
			continue
		}
		value, err := xattr(func(b []byte) (int, error) { return src.get(name, b) })
		if err == nil {
			err = dst.set(name, value)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

// isOfBtrfs reports whether an extended attribute says how btrfs stores a file.
func isOfBtrfs(name string) bool { return strings.HasPrefix(name, "btrfs.") }

func xattrNames(f attributed) (map[string]bool, error) {
	list, err := xattr(f.list)
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		names[string(name)] = true
	}
	return names, nil
}

// xattr reads what has a size that is to be asked for first.
func xattr(read func(b []byte) (int, error)) ([]byte, error) {
	for {
		n, err := read(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		if n, err = read(b); err == nil {
			return b[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) { // it has grown
			return nil, err
		}
	}
}
