package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// partialSuffix is added to the name of an output file until it is complete.
const partialSuffix = ".partial"

// output is a file that appears under its name only when it is complete.
//
// It is written as NAME.partial, synced and renamed. What an earlier run left
// there is replaced, unless that run still holds its lock. Of the file's
// metadata nothing is taken over from a file that it replaces.
type output struct {
	name string
	file *os.File
	done bool // published or discarded
	early
}

// createOutput checks that name can become a regular file and creates its
// partial file of size bytes, all zeros.
func createOutput(name string, size int64) (*output, error) {
	if err := checkOutput(name); err != nil {
		return nil, err
	}
	partial := name + partialSuffix
	if err := removeLeftover(partial); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fault.New(fault.Target, "", "%w", err)
	}
	o := &output{name: name, file: f, early: early{file: f}}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, errors.Join(fmt.Errorf("%s: lock: %w", partial, err), o.discard())
	}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(spaceHint(err), o.discard())
	}
	return o, nil
}

// checkOutput refuses everything but a regular file and a name that is free in
// a directory that exists.
func checkOutput(name string) error {
	dir := filepath.Dir(name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Target, "mkdir -p "+dir, "%s: no such directory", dir)
	}
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && name != "":
		return nil
	case err != nil:
		return fault.New(fault.Target, "", "%w", err)
	case info.IsDir():
		return fault.New(fault.Target, "name a file in it: -o "+filepath.Join(name, "fs.img"), "%s: is a directory", name)
	case info.Mode()&fs.ModeDevice != 0:
		return fault.New(fault.Target, "write a file first, then copy it to the device", "%s: is a device", name)
	case info.Mode()&fs.ModeSymlink != 0:
		return fault.New(fault.Target, "remove it, or name the file it points to", "%s: is a symbolic link", name)
	case !info.Mode().IsRegular():
		return fault.New(fault.Target, "", "%s: is not a regular file", name)
	}
	return nil
}

// removeLeftover removes the partial file of a run that was killed.
func removeLeftover(partial string) error {
	f, err := os.OpenFile(partial, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New(fault.Target, "remove it", "%w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fault.New(fault.Target, "remove it", "%s: is not a regular file", partial)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fault.New(fault.Target, "wait for it, or name another output", "%s: another run is writing it", partial)
	}
	if err := os.Remove(partial); err != nil {
		return fault.New(fault.Target, "", "%w", err)
	}
	return nil
}

// WriteAt writes to the partial file.
func (o *output) WriteAt(p []byte, off int64) (int, error) {
	n, err := o.file.WriteAt(p, off)
	if err != nil {
		return n, spaceHint(err)
	}
	o.wrote(off, n)
	return n, nil
}

// publish cuts the file to size bytes, brings it to the disk and gives it its
// name. Whatever fails, the partial file is gone afterwards.
func (o *output) publish(size int64) error {
	err := o.file.Truncate(size)
	if err == nil {
		err = o.file.Sync()
	}
	if err == nil {
		err = os.Rename(o.file.Name(), o.name)
	}
	if err != nil {
		return errors.Join(spaceHint(err), o.discard())
	}
	o.done = true
	return errors.Join(o.file.Close(), syncDir(filepath.Dir(o.name)))
}

// discard removes the partial file. It does nothing after publish, or a second
// time.
func (o *output) discard() error {
	if o.done {
		return nil
	}
	o.done = true
	return errors.Join(os.Remove(o.file.Name()), o.file.Close())
}

// syncDir makes a rename in a directory last.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems of other systems (9p, FUSE) cannot sync a directory.
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}

// spaceHint says what to do when the host's disk is full.
func spaceHint(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fault.New(fault.Internal, "free space there, or name an output on another disk", "%w", err)
	case errors.Is(err, unix.EFBIG):
		return fault.New(fault.Internal, "raise the limit (ulimit -f), or name an output on a file system that holds large files", "%w", err)
	}
	return err
}

// A run of bytes is handed to the disk when it reaches earlyWindow, or when the
// next write is elsewhere and it has at least earlyLeast: the disk works in
// large requests, and little waits beside what the kernel keeps dirty anyway.
const (
	earlyWindow = 8 << 20
	earlyLeast  = 1 << 20
)

// early starts the writeback of what was written while the run goes on, so
// that the sync at its end finds little left to do.
type early struct {
	file     *os.File
	mu       sync.Mutex
	from, to int64 // the run of bytes written last and not yet handed over
}

// wrote notes n bytes at offset off.
func (e *early) wrote(off int64, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if off != e.to {
		e.start(earlyLeast)
		e.from, e.to = off, off
	}
	e.to += int64(n)
	e.start(earlyWindow)
}

// start hands the run over if it has at least so many bytes.
func (e *early) start(least int64) {
	if e.to-e.from < least {
		return
	}
	// A hint: where it is not supported, the sync at the end does it all.
	_ = unix.SyncFileRange(int(e.file.Fd()), e.from, e.to-e.from, unix.SYNC_FILE_RANGE_WRITE)
	e.from = e.to
}
