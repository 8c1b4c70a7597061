package treecopy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// visitor is what is done with a tree that is walked. Its methods are called
// concurrently, but enter, listed, entry and leave of one directory in this order.
type visitor interface {
	// enter is called for a directory in another one, before its content;
	// errLeftOut leaves it out.
	enter(d *dir, in *dir) error
	// listed is told what the source has in a directory, that is open.
	listed(d *dir, names []string) error
	// entry is called for what is no directory.
	entry(ctx context.Context, d *dir, name string, st *unix.Stat_t) error
	// leave is called when all that is in a directory is done.
	leave(d *dir, src, dst int) error
}

// errLeftOut says that a directory is passed over.
var errLeftOut = errors.New("left out")

// dir is a directory of the walk.
type dir struct {
	parent    *dir // nil at the top
	name      string
	volume    uint32 // which subvolume of the tree it is in
	dev       uint64 // of the source
	subvolume bool   // it is the top of a nested one
	st        unix.Stat_t
	src, dst  int          // open while there are batches
	batches   atomic.Int32 // that need src and dst
	left      atomic.Int32 // what is to be done before it is finished
}

// path returns the path from the top of the tree, "." for the top.
func (d *dir) path() string { return d.child("") }

// child returns the path of what is in a directory.
func (d *dir) child(name string) string {
	for ; d.parent != nil; d = d.parent {
		if name == "" {
			name = d.name
		} else {
			name = d.name + "/" + name
		}
	}
	if name == "" {
		return "."
	}
	return name
}

// job is a part of the walk: some entries of a directory that is open, or, if
// it has none, all of one that is to be opened.
type job struct {
	dir     *dir
	entries []entry
}

// entry is a name in a directory, which is not one itself.
type entry struct {
	name string
	st   unix.Stat_t
}

// Limits of a batch: large files are one each, small ones share the trouble.
const (
	batchEntries = 64
	batchBytes   = 1 << 20
)

// walker walks a tree in the source, and the same paths in the destination.
type walker struct {
	o        Options
	src, dst int
	v        visitor
	volumes  *Digests
	jobs     stack
	notes    sync.Mutex
}

// run walks the tree and returns the first error.
func (w *walker) run(ctx context.Context) error {
	top := &dir{}
	if err := unix.Fstat(w.src, &top.st); err != nil {
		return fail(".", "stat", err)
	}
	top.dev = top.st.Dev
	top.volume = w.volumes.volume("")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, w.jobs.stop)
	defer stop()
	w.jobs.push(job{dir: top})
	workers := w.o.Workers
	if workers <= 0 {
		workers = min(max(2, runtime.GOMAXPROCS(0)), 8)
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				j, ok := w.jobs.pop()
				if !ok {
					return
				}
				if err := w.one(ctx, j); err != nil {
					cancel(err)
				}
				w.jobs.done()
			}
		})
	}
	group.Wait()
	w.drop()
	return context.Cause(ctx)
}

// drop closes what a walk that was stopped has left open.
func (w *walker) drop() {
	for _, j := range w.jobs.list {
		if len(j.entries) > 0 {
			w.release(j.dir)
		}
	}
}

func (w *walker) one(ctx context.Context, j job) error {
	if err := ctx.Err(); err != nil {
		if len(j.entries) > 0 {
			w.release(j.dir)
		}
		return err
	}
	if len(j.entries) == 0 {
		return w.read(j.dir)
	}
	defer w.release(j.dir)
	for i := range j.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.v.entry(ctx, j.dir, j.entries[i].name, &j.entries[i].st); err != nil {
			return err
		}
	}
	return w.done(j.dir)
}

// release closes a directory when the last of its batches is done.
func (w *walker) release(d *dir) {
	if d.batches.Add(-1) == 0 {
		unix.Close(d.src)
		unix.Close(d.dst)
	}
}

// read lists a directory, enters the directories in it, and makes batches of
// the rest.
func (w *walker) read(d *dir) (err error) {
	d.left.Store(1) // this reading itself
	d.batches.Store(1)
	if d.src, err = openBelow(w.src, d, unix.O_RDONLY|unix.O_NOATIME); err != nil {
		return err
	}
	if d.dst, err = openBelow(w.dst, d, unix.O_RDONLY|unix.O_NOATIME); err != nil {
		unix.Close(d.src)
		return err
	}
	jobs, err := w.list(d)
	for _, j := range jobs {
		if len(j.entries) > 0 {
			d.batches.Add(1)
		}
	}
	w.jobs.push(jobs...)
	w.release(d)
	if err != nil {
		return err
	}
	return w.done(d)
}

// list returns what is to be done in a directory: directories first, so that
// the batches, which are taken from the end, are done before them and the
// directory is closed.
func (w *walker) list(d *dir) (jobs []job, err error) {
	names, err := namesIn(d.src)
	if err != nil {
		return nil, fail(d.path(), "read directory", err)
	}
	if err := w.v.listed(d, names); err != nil {
		return nil, err
	}
	var batches []job
	var batch []entry
	size := int64(0)
	for _, name := range names {
		if w.o.Except != nil && w.o.Except(d.child(name)) {
			continue
		}
		e := entry{name: name}
		if err := unix.Fstatat(d.src, name, &e.st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, fail(d.child(name), "stat", err)
		}
		if e.st.Mode&unix.S_IFMT == unix.S_IFDIR {
			sub, err := w.directory(d, &e)
			if err != nil {
				return nil, err
			}
			if sub != nil {
				jobs = append(jobs, job{dir: sub})
			}
			continue
		}
		batch, size = append(batch, e), size+e.st.Size
		if len(batch) == batchEntries || size >= batchBytes {
			batches = append(batches, job{d, batch})
			batch, size = nil, 0
		}
	}
	if len(batch) > 0 {
		batches = append(batches, job{d, batch})
	}
	d.left.Add(int32(len(jobs) + len(batches)))
	return append(jobs, batches...), nil
}

// directory enters a directory, unless it is left out.
func (w *walker) directory(in *dir, e *entry) (*dir, error) {
	d := &dir{parent: in, name: e.name, volume: in.volume, dev: in.dev, st: e.st}
	if e.st.Dev != in.dev {
		fd, err := openat(in.src, e.name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return nil, fail(d.path(), "open", err)
		}
		d.subvolume = isSubvolume(fd) && !isMountPoint(fd)
		unix.Close(fd)
		if !d.subvolume {
			w.note(d.path(), "another file system")
			return nil, nil
		}
		d.dev, d.volume = e.st.Dev, w.volumes.volume(d.path())
	}
	switch err := w.v.enter(d, in); {
	case errors.Is(err, errLeftOut):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return d, nil
}

// done counts that a part of a directory is done. After the last one the
// directory is finished, which is a part of the one above it.
func (w *walker) done(d *dir) error {
	for ; d != nil && d.left.Add(-1) == 0; d = d.parent {
		if err := w.finish(d); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) finish(d *dir) error {
	src, err := openBelow(w.src, d, unix.O_RDONLY|unix.O_NOATIME)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	dst, err := openBelow(w.dst, d, unix.O_RDONLY|unix.O_NOATIME)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	return w.v.leave(d, src, dst)
}

func (w *walker) note(path, why string) {
	if w.o.Note != nil {
		w.notes.Lock()
		defer w.notes.Unlock()
		w.o.Note(path, why)
	}
}

// namesIn returns the names in a directory that is open, in its own order.
func namesIn(fd int) ([]string, error) {
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(copied), "")
	defer f.Close()
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	return f.Readdirnames(-1)
}

// fail is an error that names a path and what was done to it, or nil.
func fail(path, what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%q: %s: %w", path, what, err)
}

// errorsOf returns the first error.
func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
