package backup

import (
	"context"
	"io/fs"
	"path"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// Entry is what a directory of a snapshot has.
type Entry struct {
	Name  string // any bytes that a name can have
	Type  string // "file", "dir", "symlink", "dev", "chardev", "fifo" or "socket"
	Size  int64  // of a file, in bytes
	MTime time.Time
	Mode  fs.FileMode // permissions, with set-user-ID, set-group-ID and sticky
}

// Browse calls a function with each entry of a directory of a snapshot, as they
// come and sorted by name; no more than one is held. It ends with the error of the
// function. What is no directory is a fault of the class Input, which names what
// there is.
func (b *Backup) Browse(ctx context.Context, snapshot, dir string, call func(Entry) error) error {
	dir = path.Join("/", dir)
	if err := b.has(snapshot); err != nil {
		return err
	}
	n, err := b.repo.Lookup(ctx, snapshot, dir)
	switch {
	case err != nil:
		return err
	case n == nil:
		return b.absent(ctx, snapshot, dir)
	case n.Type != "dir":
		return fault.New(fault.Input, "", "%s: in snapshot %.8s it is of the type %s, expected a directory", repository.Printable(dir), snapshot, n.Type)
	}
	return b.repo.List(ctx, n, func(n *reader.Node) error { return call(entryOf(n)) })
}

func entryOf(n *reader.Node) Entry {
	const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	return Entry{Name: n.Name, Type: n.Type, Size: int64(min(n.Size, 1<<62)), MTime: n.MTime, Mode: fs.FileMode(n.Mode) & bits}
}

// present is a fault unless all paths are in a snapshot.
func (b *Backup) present(ctx context.Context, snapshot string, paths []string) error {
	for _, p := range paths {
		n, err := b.repo.Lookup(ctx, snapshot, p)
		if err != nil {
			return err
		}
		if n == nil {
			return b.absent(ctx, snapshot, p)
		}
	}
	return nil
}

// absent is the fault of a path that a snapshot does not have. It names what is
// near it in the directory that there is still.
func (b *Backup) absent(ctx context.Context, snapshot, wanted string) error {
	for lost := wanted; lost != "/"; lost = path.Dir(lost) {
		dir, near := path.Dir(lost), newNearest(path.Base(lost))
		n, err := b.repo.Lookup(ctx, snapshot, dir)
		if err != nil {
			return err
		}
		if n == nil || n.Type != "dir" {
			continue
		}
		err = b.repo.List(ctx, n, func(n *reader.Node) error {
			near.see(n.Name)
			return nil
		})
		if err != nil {
			return err
		}
		return isAbsent(wanted, "snapshot "+snapshot[:8], dir, near)
	}
	return isAbsent(wanted, "snapshot "+snapshot[:8], "/", newNearest(""))
}
