package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// Restoring is what is restored, and where to.
type Restoring struct {
	Snapshot string   // ID
	From     string   // the directory of the snapshot whose content comes into To; "" is the top
	To       string   // is made if it is missing
	Includes []string // absolute below From, each with all that is below it; none is everything
}

// Restore restores all that is missing or wrong in To, and returns how much that is
// with what was right already. progress is told how far it is, one call at a time; nil
// tells nobody.
//
// Data is read in the order in which it lies on the backup disk, each blob once for
// some ten thousand files. Of a file that is there already each blob is compared, and
// what is wrong is written: after a power cut a file may look right and hold zeros.
// Each has its owner, mode, times and extended attributes when all of it is written.
// Holes stay holes. Names that were of one file are linked where the snapshot has the
// same content for them. To itself is left as it is, and nothing is synced.
//
// What cannot be read of the backup is left out: the error names it, a CodeDamaged,
// CodeDisk or CodeIncomplete, once all else is restored. Where the disk of To is full
// or fails, and where the backup disk gives nothing more, it ends at once; the former
// are errors of the system.
func (repo *Repository) Restore(ctx context.Context, r Restoring, progress func(Counts)) (Counts, error) {
	opened, tree, err := repo.tree(ctx, r.Snapshot, r.From)
	if err != nil {
		return Counts{}, err
	}
	w, err := newWriter(repo, opened, r.To, progress)
	if err != nil {
		return Counts{}, err
	}
	defer unix.Close(w.top)
	return w.restore(ctx, tree, r.Includes)
}

// restore restores what a tree has of what is included.
func (w *writer) restore(ctx context.Context, tree reader.ID, includes []string) (Counts, error) {
	walk := &walker{repo: w.repo, includes: includes, visitor: w}
	err := walk.walk(ctx, tree)
	if err == nil {
		err = w.flush(ctx)
	}
	if ctx.Err() != nil {
		return Counts{}, context.Cause(ctx)
	}
	if err != nil {
		return Counts{}, err
	}
	return Counts{walk.entries, w.bytes}, w.lost.problem(w.origin)
}

// writer is a visitor that writes what it comes by. Directories are made at once, and
// whatever has no content; the data of files is collected in a window, and read at once.
type writer struct {
	origin *Repository
	repo   *reader.Repository
	top    int               // the directory
	fresh  bool              // nothing was in it
	strip  bool              // what is made may have extended attributes that it should not
	links  map[inode]*wanted // files of several names, by the first
	bytes  int64             // of all files that it came by
	most   limits
	window
	meter
	lost
	dying
}

// newWriter makes the directory, and opens it.
func newWriter(repo *Repository, opened *reader.Repository, to string, progress func(Counts)) (*writer, error) {
	if err := unix.Mkdir(to, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "mkdir", Path: to, Err: err}
	}
	top, err := openAt(unix.AT_FDCWD, to, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: to, Err: err}
	}
	w := &writer{origin: repo, repo: opened, top: top, links: map[inode]*wanted{}, most: windowed, meter: meter{tell: progress}, dying: dying{now: time.Now}}
	names, err := os.ReadDir(to)
	if err == nil {
		w.fresh = len(names) == 0
		w.strip, err = inherits(to)
	}
	if err != nil {
		unix.Close(top)
		return nil, err
	}
	w.strip = w.strip || !w.fresh
	return w, nil
}

// inherits reports whether what is made in a directory gets an access list.
func inherits(dir string) (bool, error) {
	names, err := xattrsAt(dir).names()
	return slices.Contains(names, "system.posix_acl_default"), err
}

// enter makes a directory, which nobody else enters until it is complete. Where it cannot
// be made there may be something else in its place, such as a symlink to elsewhere: all
// that belongs into it is lost with it.
func (w *writer) enter(e *entry) error {
	err := retried(func() error { return unix.Mkdirat(w.top, e.below(), 0o700) })
	if errors.Is(err, unix.EEXIST) {
		err = w.again(e)
	}
	if err == nil && w.strip { // it may be another's, or have inherited less
		err = unix.Fchmodat(w.top, e.below(), 0o700, 0)
	}
	if err == nil {
		return nil
	}
	return cmp.Or(w.check(e, err), errPass)
}

// again takes a directory that is there, or puts one in the place of something else.
func (w *writer) again(e *entry) error {
	st := unix.Stat_t{}
	if err := unix.Fstatat(w.top, e.below(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if typeName(st.Mode) == "dir" {
		return nil
	}
	if err := unix.Unlinkat(w.top, e.below(), 0); err != nil {
		return err
	}
	return unix.Mkdirat(w.top, e.below(), 0o700)
}

// leave leaves a directory for the end of the window: writing into it changes its time.
func (w *writer) leave(ctx context.Context, e *entry) error {
	w.left = append(w.left, e)
	return w.flushFull(ctx)
}

// visit makes an entry, or has it made by the window.
func (w *writer) visit(ctx context.Context, e *entry) error {
	var err error
	if e.Type == "file" {
		err = w.file(ctx, e)
	} else {
		err = w.check(e, w.special(e))
	}
	if err != nil {
		return err
	}
	return w.flushFull(ctx)
}

// unread notes that what is in a directory cannot be restored.
func (w *writer) unread(path string, err error) error {
	w.lose(cmp.Or(path, "/"), err)
	return w.dying.seen(err, w.origin)
}

// special makes what has no content.
func (w *writer) special(e *entry) error {
	err := w.make(e)
	if errors.Is(err, unix.EEXIST) {
		if err = w.remove(e); err == nil {
			err = w.make(e)
		}
	}
	if err != nil {
		return err
	}
	w.meter.add(0, 1)
	return w.meta(e, -1)
}

// make makes what is neither a directory nor a regular file.
func (w *writer) make(e *entry) error {
	kind := uint32(unix.S_IFIFO)
	switch e.Type {
	case "symlink":
		return retried(func() error { return unix.Symlinkat(e.Target, w.top, e.below()) })
	case "dev":
		kind = unix.S_IFBLK
	case "chardev":
		kind = unix.S_IFCHR
	case "fifo":
	default:
		return fmt.Errorf("is of the type %.20q, which is not known", e.Type)
	}
	return retried(func() error { return unix.Mknodat(w.top, e.below(), kind|0o600, int(e.Device)) })
}

// remove removes what is in the place of an entry, unless it is a directory with
// something in it.
func (w *writer) remove(e *entry) error {
	err := unix.Unlinkat(w.top, e.below(), 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(w.top, e.below(), unix.AT_REMOVEDIR)
	}
	return err
}

// below returns the path of an entry below the top.
func (e *entry) below() string { return e.path[1:] }

// ofSystem are the errors that say that the file system of the target is full or fails,
// for whatever else comes, too.
var ofSystem = []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.ENODEV, unix.EUCLEAN, unix.ENOMEM}

// fatal returns an error about an entry if all else would fail as well.
func fatal(e *entry, err error) error {
	if slices.ContainsFunc(ofSystem, func(of error) bool { return errors.Is(err, of) }) {
		return &fs.PathError{Op: "restore", Path: Printable(e.path), Err: err}
	}
	return nil
}

// check notes an error about an entry, unless all else would fail as well.
func (w *writer) check(e *entry, err error) error {
	if err == nil {
		return nil
	}
	if stop := fatal(e, err); stop != nil {
		return stop
	}
	w.lose(e.path, err)
	return nil
}
