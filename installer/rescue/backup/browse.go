package backup

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// Entry is what a directory of a snapshot has.
type Entry struct {
	Name  string // each byte that is not UTF-8 is U+FFFD
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
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var self repository.Line
	err := b.repo.List(ctx, snapshot, dir, func(l repository.Line) {
		if l.Path == dir {
			self = l
		}
		if path.Dir(l.Path) != dir || l.Path == dir || ctx.Err() != nil {
			return
		}
		if err := call(entryOf(l)); err != nil {
			stop(err)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	switch {
	case err != nil:
		return err
	case dir == "/" || self.Type == "dir":
		return nil
	case self.Type != "":
		return fault.New(fault.Input, "", "%s: in snapshot %.8s it is of the type %s, expected a directory", repository.Printable(dir), snapshot, self.Type)
	}
	return b.absent(ctx, snapshot, dir)
}

func entryOf(l repository.Line) Entry {
	const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	return Entry{Name: path.Base(l.Path), Type: l.Type, Size: int64(min(l.Size, 1<<62)), MTime: l.MTime, Mode: fs.FileMode(l.Mode) & bits}
}

// present is a fault unless all paths are in a snapshot.
func (b *Backup) present(ctx context.Context, snapshot string, paths []string) error {
	missing := map[string]bool{}
	for _, p := range paths {
		if !utf8.ValidString(p) || strings.ContainsRune(p, utf8.RuneError) {
			return fault.New(fault.Input, "copy the directory that has it", "%s: is not UTF-8", repository.Printable(p))
		}
		missing[p] = p != "/"
	}
	args := append([]string{"ls", snapshot}, paths...)
	err := b.repo.Command(ctx, repository.Messages(func(l repository.Line) { delete(missing, l.Path) }, "node"), args...)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if missing[p] {
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
		there := dir == "/"
		err := b.repo.List(ctx, snapshot, dir, func(l repository.Line) {
			there = there || l.Path == dir
			if path.Dir(l.Path) == dir && l.Path != dir {
				near.see(path.Base(l.Path))
			}
		})
		if err != nil {
			return err
		}
		if there {
			return isAbsent(wanted, "snapshot "+snapshot[:8], dir, near)
		}
	}
	return isAbsent(wanted, "snapshot "+snapshot[:8], "/", newNearest(""))
}
