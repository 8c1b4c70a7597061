package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

// SnapshotCopying is some paths of a snapshot of btrfs and where they are copied
// to.
type SnapshotCopying struct {
	From     string                  // the directory of the snapshot, which is mounted and changes no more
	Paths    []string                // from the top of the snapshot, each with all below it
	To       string                  // as of Copying
	Progress func(done, total int64) // bytes of content that were copied; nil tells nobody
	Log      func(line string)       // what a person should know; nil tells nobody
}

// CopyFromSnapshot copies paths of a snapshot of btrfs to a directory, with all
// that package treecopy copies and the attributes of the directories above them,
// reads them back, and then gives the directory its name. On the same file system
// data is shared, which takes no room.
//
// A path that is not there, and a directory that is not empty, are faults before
// anything is written. After any other error what was copied stays beside under a
// name that says so; the same copying then begins anew.
func CopyFromSnapshot(ctx context.Context, c SnapshotCopying) (Copied, error) {
	if c.Log == nil {
		c.Log = func(string) {}
	}
	paths, err := cleaned(c.Paths)
	if err != nil {
		return Copied{}, err
	}
	from, err := os.Open(c.From)
	if err != nil {
		return Copied{}, fault.New(fault.Input, "", "snapshot %s: %w", c.From, cause(err))
	}
	defer from.Close()
	for _, p := range paths {
		if err := presentBelow(c.From, p); err != nil {
			return Copied{}, err
		}
	}
	paths = outermost(paths)
	o := treecopy.Options{KeepTop: true, Except: exceptAllBut(paths), Note: func(path, why string) { c.Log(path + ": " + why + ", is left out") }}
	files, bytes, err := treecopy.Measure(ctx, from, o)
	if err != nil {
		return Copied{}, fmt.Errorf("snapshot %s: %w", c.From, err)
	}
	d, err := newDestination(c.To, append([]string{c.From}, paths...)...)
	if err != nil {
		return Copied{}, err
	}
	defer d.close()
	if c.Progress != nil {
		done := int64(0)
		o.Progress = func(n int64) { done += n; c.Progress(min(done, bytes), bytes) }
	}
	if err := c.copy(ctx, from, d, o); err != nil {
		return Copied{}, d.failed(err)
	}
	return Copied{Dir: d.at, Files: files, Bytes: bytes}, d.finish()
}

// copy fills the staging directory, and reads it back.
func (c *SnapshotCopying) copy(ctx context.Context, from *os.File, d *destination, o treecopy.Options) error {
	if err := d.empty(); err != nil {
		return err
	}
	digests, err := treecopy.Copy(ctx, from, d.dir, o)
	if err != nil {
		return err
	}
	if err := d.sync(); err != nil {
		return err
	}
	o.Progress = nil
	different, err := treecopy.Compare(ctx, from, d.dir, digests, o)
	if err != nil {
		return err
	}
	if len(different) > 0 {
		return fault.New(fault.Mismatch, "look at dmesg for errors of the disk", "%d differences from the snapshot: %s", len(different), repository.Printable(repository.Listed(different)))
	}
	return nil
}

// exceptAllBut leaves out what is neither below one of some paths nor above one.
func exceptAllBut(paths []string) func(string) bool {
	return func(p string) bool {
		p = path.Join("/", p)
		for _, wanted := range paths {
			if repository.IsWithin(p, wanted) || repository.IsWithin(wanted, p) {
				return false
			}
		}
		return true
	}
}

// presentBelow is a fault unless a path is below a directory, through directories
// alone. It names what is near it.
func presentBelow(top, wanted string) error {
	root, err := os.OpenRoot(top)
	if err != nil {
		return fault.New(fault.Input, "", "snapshot %s: %w", top, cause(err))
	}
	defer root.Close()
	at := "."
	for part := range strings.SplitSeq(strings.Trim(wanted, "/"), "/") {
		if part == "" {
			return nil
		}
		dir := at
		at = path.Join(at, part)
		info, err := root.Lstat(dir)
		if err == nil && !info.IsDir() {
			return fault.New(fault.Input, "", "%s: is not in snapshot %s, where %s is no directory", repository.Printable(wanted), top, repository.Printable(path.Join("/", dir)))
		}
		if err == nil {
			_, err = root.Lstat(at)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return isAbsent(wanted, "snapshot "+top, path.Join("/", dir), nearIn(root, dir, part))
		}
		if err != nil {
			return fault.New(fault.Input, "", "snapshot %s: %s: %w", top, repository.Printable(at), cause(err))
		}
	}
	return nil
}

// nearIn looks for names in a directory that are near one.
func nearIn(root *os.Root, dir, name string) *nearest {
	near := newNearest(name)
	f, err := root.Open(dir)
	if err != nil {
		return near
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, n := range names {
			near.see(n)
		}
		if err != nil { // io.EOF, or what is seen is all there is to name
			return near
		}
	}
}

// cause is err without the name of a system call and of a path.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
