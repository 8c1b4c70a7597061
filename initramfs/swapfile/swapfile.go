// Package swapfile makes the swapfile of a btrfs: one that the kernel swaps and
// hibernates to, in the place of the one that was there, and finds out where on the
// device it is.
//
// The file system is mounted by the caller. Which size is right, and whether a session
// sleeps in the old file, is for the caller too.
package swapfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// noCow is FS_NOCOW_FL of the kernel's include/uapi/linux/fs.h.
const noCow = 0x00800000

// Suffix is that of a swapfile that is not finished.
const Suffix = ".new"

// Device is the device of a file system, past the page cache: the kernel writes swap
// headers and file systems without it.
type Device interface {
	io.ReaderAt
	Size() int64 // bytes
}

// Request says which swapfile is made.
type Request struct {
	Top  string // where the top level of the file system is mounted, for writing
	Path string // of the swapfile, from there
	Size int64  // bytes, of whole pages
	// Anew makes it also where the one that is there is large enough. Where there is no
	// room for both, the old one goes first: nothing but swapped pages is in it.
	Anew bool
	// Open opens the device for reading. The function that it returns closes it.
	Open func() (Device, func() error, error)
}

// Made is the swapfile that is there at the end.
type Made struct {
	Had  int64    // size of the one that was there, in bytes; 0 without one
	UUID ids.UUID // in its header: that of the one that was there
	// File is the new one, nil where the old one was left.
	File *reader.Swapfile
}

// TooLarge is the error of a swapfile that would leave too little room for all else.
type TooLarge struct {
	Free, Keep int64 // bytes: what is free, and what must stay so
	Had        int64 // size of the swapfile that is left as it was
}

// Error says how much room there is.
func (e *TooLarge) Error() string {
	return fmt.Sprintf("%d bytes are free, %d must stay so", e.Free, e.Keep)
}

// Replace puts a swapfile into the place of the one that is there, unless that is large
// enough. Until the new one is known to be good and is on the disk, the old one stays,
// but see Request.Anew.
// Where there is no room, the error is a *TooLarge, or of class fault.Target.
func Replace(r Request) (*Made, error) {
	name := filepath.Join(r.Top, r.Path)
	if err := os.Remove(name + Suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	has, uuid, err := old(name)
	if err != nil {
		return nil, err
	}
	done := &Made{Had: has, UUID: uuid}
	if has >= r.Size && !r.Anew {
		return done, nil
	}
	if err := r.makeRoom(name, has); err != nil {
		return nil, err
	}
	if done.File, err = r.make(uuid); err != nil {
		return nil, errors.Join(err, os.Remove(name+Suffix))
	}
	if err := os.Rename(name+Suffix, name); err != nil {
		return nil, errors.Join(err, os.Remove(name+Suffix))
	}
	return done, syncFileSystem(filepath.Dir(name))
}

// old returns size and UUID of the swapfile that is there, 0 for the size when it is
// none. Who names it by its UUID finds the new one, too.
func old(name string) (size int64, uuid ids.UUID, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = unix.Getrandom(uuid[:], 0)
		return 0, uuid, err
	}
	if err != nil {
		return 0, uuid, err
	}
	defer f.Close()
	page := make([]byte, swaparea.PageSize)
	if _, err := f.ReadAt(page, 0); err == nil {
		if h, err := swaparea.Decode(page); err == nil {
			return h.Size(), h.UUID, nil
		}
	}
	_, err = unix.Getrandom(uuid[:], 0)
	return 0, uuid, err
}

// makeRoom refuses what does not fit beside the old swapfile of size has, nor into its
// place where that may go.
func (r *Request) makeRoom(name string, has int64) error {
	err := checkRoom(filepath.Dir(name), r.Size, has)
	full := (*TooLarge)(nil)
	if !errors.As(err, &full) || !r.Anew || r.Size > full.Free+has-full.Keep {
		return err
	}
	if err := os.Remove(name); err != nil {
		return err
	}
	return syncFileSystem(filepath.Dir(name))
}

// checkRoom refuses a file that leaves too little room for all others.
func checkRoom(dir string, size, had int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", dir, err)
	}
	free, keep := int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize/config.SwapKeepsFree
	if size > free-keep {
		return &TooLarge{Free: free, Keep: keep, Had: had}
	}
	return nil
}

// make makes a swapfile and reads it back from the device, past all that the kernel
// remembers of it.
func (r *Request) make(uuid ids.UUID) (*reader.Swapfile, error) {
	name := filepath.Join(r.Top, r.Path) + Suffix
	if err := write(name, r.Size, uuid); errors.Is(err, unix.ENOSPC) {
		return nil, fault.New(fault.Target, "", "%w", err)
	} else if err != nil {
		return nil, err
	}
	// What the file is made of is in the trees only from here on.
	if err := syncFileSystem(filepath.Dir(name)); err != nil {
		return nil, err
	}
	d, done, err := r.Open()
	if err != nil {
		return nil, err
	}
	defer done()
	made, _, err := Map(d, r.Path+Suffix)
	if err != nil {
		return nil, err
	}
	page, err := ReadPage(d, made.Offset)
	if err != nil {
		return nil, err
	}
	if h, err := swaparea.Decode(page); err != nil || h.UUID != uuid || h.Size() != r.Size {
		return nil, fmt.Errorf("header at offset %d: %+v (%v), expected UUID %s and %d bytes", made.Offset, h, err, uuid, r.Size)
	}
	return made, nil
}

// Map finds a swapfile, by its path from the top level, of the file system on a device
// that need not be mounted, and returns that level, too. Where the file seems to be
// shared there are both a place and an error: a kernel may have hibernated to it all the
// same. A panic is an error like any other: not to know the place must not keep the
// machine from booting.
func Map(d Device, name string) (s *reader.Swapfile, top *reader.Volume, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "", "swapfile %s: panic: %v", name, p)
		}
	}()
	f, err := reader.Open(d, d.Size())
	if err != nil {
		return nil, nil, err
	}
	if top, err = f.Subvolume(""); err != nil {
		return nil, nil, err
	}
	s, err = top.MapSwapfile(name)
	return s, top, err
}

// ReadPage reads a page of swap space by its number on the device.
func ReadPage(d Device, offset int64) ([]byte, error) {
	if offset < 0 || offset > d.Size()/swaparea.PageSize-1 {
		return nil, fmt.Errorf("page %d is beyond the end of the device", offset)
	}
	page := make([]byte, swaparea.PageSize)
	if _, err := d.ReadAt(page, offset*swaparea.PageSize); err != nil {
		return nil, err
	}
	return page, nil
}

// write makes a file that the kernel swaps to: not copied on write, and without holes.
func write(name string, size int64, uuid ids.UUID) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(fill(f, size, uuid), f.Close())
}

func fill(f *os.File, size int64, uuid ids.UUID) error {
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return fmt.Errorf("%s: flags: %w", f.Name(), err)
	}
	// It takes effect on an empty file only.
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|noCow); err != nil {
		return fmt.Errorf("%s: flags: %w", f.Name(), err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		return fmt.Errorf("%s: allocate %d bytes: %w", f.Name(), size, err)
	}
	if _, err := f.WriteAt(swaparea.New(size, uuid, ""), 0); err != nil {
		return err
	}
	return f.Sync()
}

// syncFileSystem writes out the file system that a file or directory is in.
func syncFileSystem(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}
