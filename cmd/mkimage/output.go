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

// Modes of outputs, before the umask. A file system may hold password hashes and
// keys: of a directory or an archive nobody knows.
const (
	modeSecret = 0o600
	modePlain  = 0o666
)

// createOutput creates the partial file of a name that checkOutput has passed:
// of size bytes, all zeros.
func createOutput(name string, size int64, mode fs.FileMode) (*output, error) {
	f, err := openPartial(name+partialSuffix, mode)
	if err != nil {
		return nil, err
	}
	o := &output{name: name, file: f, early: early{file: f}}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(spaceHint(err), o.discard())
	}
	return o, nil
}

// openPartial creates a partial file and locks it. Another run that begins may
// take it for a leftover until it is locked: then both try again.
func openPartial(partial string, mode fs.FileMode) (*os.File, error) {
	for {
		if err := removeLeftover(partial); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fault.New(fault.Target, "", "%w", err)
		}
		err = lockFile(f)
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = nil // then nothing keeps two runs apart
		}
		switch {
		case err == nil && hasName(f, partial):
			return f, nil
		case err != nil && !errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("%s: lock: %w", partial, err), f.Close())
		}
		f.Close()
	}
}

// lockFile takes the lock of a file that is being written, which ends with the
// process.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// hasName reports whether a file is still what its name leads to.
func hasName(f *os.File, name string) bool {
	here, err := os.Lstat(name)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(info, here)
}

// checkOutput refuses everything but a regular file and a name that is free in
// a directory that exists. The hint is for a name that is a directory's.
func checkOutput(name, hint string) error {
	dir := filepath.Dir(name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Target, "mkdir -p "+shellWord(dir), "%s: no such directory", dir)
	}
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && name != "":
		return nil
	case err != nil:
		return fault.New(fault.Target, "", "%w", err)
	case info.IsDir():
		return fault.New(fault.Target, hint, "%s: is a directory", name)
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
	f, err := os.OpenFile(partial, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
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
	switch err := lockFile(f); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return fault.New(fault.Target, "wait for it, or name another output", "%s: another run is writing it", partial)
	case err != nil:
		return fault.New(fault.Target, "remove it if no other run is writing it", "%s: lock: %w", partial, err)
	case !hasName(f, partial): // it was finished, or removed, meanwhile
		return nil
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
	if err != nil {
		return errors.Join(spaceHint(err), o.discard())
	}
	return o.rename()
}

// rename gives a file that is complete and on the disk its name. When that
// fails, the partial file is gone afterwards.
func (o *output) rename() error {
	if err := os.Rename(o.file.Name(), o.name); err != nil {
		return errors.Join(err, o.discard())
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
