package repository

import (
	"context"
	"errors"
	"slices"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// maxDepth bounds how deep directories lie: a path has 4096 bytes, and things are
// restored by paths.
const maxDepth = 2048

// entry is one of the snapshot.
type entry struct {
	*reader.Node
	seq  int64  // in the order of the snapshot, from 1
	path string // absolute below what is restored
	way  bool   // a directory that is only above what was asked for
}

// inode is a file, of a snapshot or of a directory.
type inode struct{ device, number uint64 }

// inode returns which file an entry was a name of when it was backed up.
func (e *entry) inode() inode { return inode{e.DeviceID, e.Inode} }

// visitor is told what a walk comes by. Its errors end the walk.
type visitor interface {
	enter(e *entry) error                      // a directory, before what is in it; errPass passes that over
	leave(ctx context.Context, e *entry) error // and after that
	visit(ctx context.Context, e *entry) error // whatever is no directory

	// unread is told that a tree cannot be read, or not to its end.
	unread(path string, err error) error
}

// walker goes through a tree of a snapshot in its order. Sockets it passes over, as
// restic does: nobody listens on them.
type walker struct {
	repo     *reader.Repository
	includes []string // absolute, each with all that is below it; none is everything
	visitor  visitor
	entries  int64 // that were selected
	seq      int64 // the number of the last one
}

// walk goes through a whole tree.
func (w *walker) walk(ctx context.Context, tree reader.ID) error {
	return w.tree(ctx, tree, "", len(w.includes) == 0, 0)
}

// tree goes through the tree of a path. all says that everything in it is selected;
// otherwise what is included is, and the directories above are come by.
func (w *walker) tree(ctx context.Context, tree reader.ID, at string, all bool, depth int) error {
	if depth > maxDepth {
		return w.visitor.unread(at, firstboot.NewProblem(firstboot.CodeIncomplete, "", "is more than %d directories deep", maxDepth))
	}
	var seen names
	for n, err := range w.repo.Nodes(tree) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return w.visitor.unread(at, err)
		}
		if n.Type == "socket" || n.Type == "irregular" {
			continue
		}
		e := &entry{Node: n, path: at + "/" + n.Name}
		selected := all || w.included(e.path)
		e.way = !selected
		if !selected && (n.Type != "dir" || !w.above(e.path)) {
			continue
		}
		// What is below a directory has to be in it, not behind a symlink of its name.
		if seen.had(n.Name) {
			err = w.visitor.unread(e.path, damaged(e, errTwice))
		} else {
			err = w.entry(ctx, e, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names are those of a directory so far. restic sorts them: what comes in order needs
// no search.
type names struct {
	list  []string
	known map[string]bool // all of the list, once one was out of order
	last  string          // the greatest
}

// had adds a name, and reports whether it was there already.
func (n *names) had(name string) bool {
	if n.known == nil && (n.last < name || len(n.list) == 0) {
		n.list, n.last = append(n.list, name), name
		return false
	}
	if n.known == nil {
		n.known = make(map[string]bool, len(n.list))
		for _, s := range n.list {
			n.known[s] = true
		}
	}
	had := n.known[name]
	n.known[name] = true
	return had
}

// errTwice says that a directory has two entries of one name.
var errTwice = errors.New("is in its directory twice")

// entry counts an entry and shows it to the visitor.
func (w *walker) entry(ctx context.Context, e *entry, depth int) error {
	if !e.way {
		w.entries++
	}
	w.seq++
	e.seq = w.seq
	if e.Type != "dir" {
		return w.visitor.visit(ctx, e)
	}
	return w.directory(ctx, e, depth)
}

// errPass says that what is in a directory is passed over.
var errPass = errors.New("passed over")

// directory goes through a directory.
func (w *walker) directory(ctx context.Context, e *entry, depth int) error {
	if err := w.visitor.enter(e); err != nil {
		if errors.Is(err, errPass) {
			return nil
		}
		return err
	}
	err := w.tree(ctx, *e.Subtree, e.path, !e.way, depth+1)
	if left := w.visitor.leave(ctx, e); err == nil {
		err = left
	}
	return err
}

// included reports whether a path was asked for, or a directory that it is in.
func (w *walker) included(path string) bool {
	return slices.ContainsFunc(w.includes, func(p string) bool { return IsWithin(path, p) })
}

// above reports whether something below a path was asked for.
func (w *walker) above(path string) bool {
	return slices.ContainsFunc(w.includes, func(p string) bool { return IsWithin(p, path) })
}
