package efivar

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Open returns the variables in a directory: that of efivarfs, or any that
// holds files like its own. Where efivarfs is not, the error is a *Warning.
func Open(dir string) (*Vars, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	// Where nothing is mounted the directory is one of sysfs.
	if err != nil || uint32(st.Type) == unix.SYSFS_MAGIC {
		return nil, noVariables(dir, err)
	}
	return New(&folder{dir, uint32(st.Type) == unix.EFIVARFS_MAGIC}), nil
}

// immutable is the flag of a file that nobody can change or remove
// (FS_IMMUTABLE_FL in linux/fs.h).
const immutable = 0x10

// folder is a directory of the kernel.
type folder struct {
	name string
	efi  bool // it is efivarfs
}

// open opens a file below the directory, and none elsewhere.
func (d *folder) open(name string, flag int) (*os.File, error) {
	r, err := os.OpenRoot(d.name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.OpenFile(name, flag, 0o644)
}

// List implements Dir.
func (d *folder) List() ([]string, error) {
	entries, err := os.ReadDir(d.name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Read implements Dir.
func (d *folder) Read(name string) ([]byte, error) {
	f, err := d.open(name, os.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, attributesSize+maxVariable+1))
}

// Write implements Dir. A file that it made, and could not write, is removed.
func (d *folder) Write(name string, data []byte) error {
	flag := os.O_WRONLY | unix.O_NONBLOCK
	if !d.efi { // which has no length to cut: a write replaces all
		flag |= os.O_TRUNC
	}
	restore, err := d.mutable(name)
	switch {
	case err == nil:
		defer restore()
	case errors.Is(err, fs.ErrNotExist):
		flag |= os.O_CREATE | os.O_EXCL
	default:
		return err
	}
	f, err := d.open(name, flag)
	if err != nil {
		return err
	}
	fd := int(f.Fd())
	err = errors.Join(writeOnce(func() (int, error) { return unix.Write(fd, data) }, len(data)), f.Close())
	if err != nil && flag&os.O_CREATE != 0 {
		_ = d.Remove(name) // it is empty, and to efivarfs not there
	}
	return err
}

// maxTries is how often a write is tried that was interrupted. Firmware that
// gives up says the same as the kernel of a signal, so there must be an end.
const maxTries = 10

// writeOnce writes size bytes, all of them in one call.
func writeOnce(write func() (int, error), size int) error {
	var err error
	for range maxTries {
		var n int
		if n, err = write(); err == nil && n < size {
			return io.ErrShortWrite
		}
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return err
}

// Remove implements Dir.
func (d *folder) Remove(name string) error {
	restore, err := d.mutable(name)
	if err != nil {
		return err
	}
	r, err := os.OpenRoot(d.name)
	if err != nil {
		return err
	}
	defer r.Close()
	if err = r.Remove(name); err != nil {
		restore()
	}
	return err
}

// mutable takes away the flag with which the kernel protects most variables from
// rm -rf, and returns what puts it back. File systems that know no such flag
// have none to take away.
func (d *folder) mutable(name string) (restore func(), err error) {
	f, err := d.open(name, os.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	none := func() {}
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || flags&immutable == 0 {
		return none, nil
	}
	if err := setFlags(f, flags&^immutable); err != nil {
		return nil, err
	}
	return func() {
		// The kernel may have made the file anew, so it is opened again. Where this
		// fails the variable is less protected, and no worse.
		if f, err := d.open(name, os.O_RDONLY|unix.O_NONBLOCK); err == nil {
			_ = setFlags(f, flags)
			f.Close()
		}
	}, nil
}

func setFlags(f *os.File, flags uint32) error {
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags))
}
