package adjust

import (
	"fmt"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// editor changes a tree. Its paths are absolute in the system that the tree
// holds; symlinks on the way are followed, with the root of the tree as theirs.
type editor struct {
	tree  *fstree.Tree
	plan  *plan.Plan
	in    Inputs
	shape shape
	*strict.Findings
}

// maxText bounds the files of the source that are read, in bytes: accounts and
// units are text of a few KiB.
const maxText = 1 << 20

// find returns what is at a path, or nil. A path that cannot be followed names
// nothing.
func (e *editor) find(p string) *fstree.Entry {
	entry, err := e.tree.Follow(p)
	if err != nil {
		return nil
	}
	return entry
}

// lookup returns what is at a path without following its last element.
func (e *editor) lookup(p string) *fstree.Entry {
	dir := e.find(path.Dir(p))
	if dir == nil {
		return nil
	}
	return dir.Child(path.Base(p))
}

// read returns the text of a regular file, and whether there is one.
func (e *editor) read(p string) (string, bool, error) {
	entry := e.find(p)
	if entry == nil || !entry.IsRegular() {
		return "", false, nil
	}
	data, err := entry.Read(maxText)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", p, err)
	}
	return string(data), true, nil
}

// inode makes an inode with the plan's epoch, owned by root.
func (e *editor) inode(mode uint32) *fstree.Inode {
	n := &fstree.Inode{Mode: mode}
	n.SetMTime(e.plan.Epoch)
	return n
}

// mkdir returns the directory at a path, made with mode 0755 like its parents
// where it is missing.
func (e *editor) mkdir(p string) (*fstree.Entry, error) {
	entry, err := e.tree.Follow(p)
	switch {
	case err != nil:
		return nil, err
	case entry != nil && !entry.IsDir():
		return nil, fmt.Errorf("%s: is a %s, expected a directory", p, entry.TypeName())
	case entry != nil:
		return entry, nil
	}
	parent, err := e.mkdir(path.Dir(p))
	if err != nil {
		return nil, err
	}
	return parent.Add(path.Base(p), e.inode(fstree.TypeDir|0o755))
}

// put makes inode what is at a path, in place of anything but a directory.
func (e *editor) put(p string, inode *fstree.Inode) error {
	dir, err := e.mkdir(path.Dir(p))
	if err != nil {
		return err
	}
	if old := dir.Child(path.Base(p)); old != nil {
		if old.IsDir() {
			return fmt.Errorf("%s: is a directory, expected a file", p)
		}
		dir.Remove(old)
	}
	_, err = dir.Add(path.Base(p), inode)
	return err
}

// write makes a regular file of a text, owned by root, in place of what is
// there; through a symlink to a file it is that file. Other names of the old
// file keep the old text.
func (e *editor) write(p, text string, mode uint32) error {
	if old := e.find(p); old != nil && old.IsRegular() {
		p = "/" + old.Path()
	}
	inode := e.inode(fstree.TypeRegular | mode)
	setText(inode, text)
	return e.put(p, inode)
}

// rewrite is write for a file whose mode, owner and xattrs are the source's to
// say; mode is for the case that it is not there.
func (e *editor) rewrite(p, text string, mode uint32) error {
	old := e.find(p)
	if old == nil || !old.IsRegular() {
		return e.write(p, text, mode)
	}
	inode := e.inode(old.Mode)
	inode.UID, inode.GID, inode.Xattrs = old.UID, old.GID, old.Xattrs
	setText(inode, text)
	return e.put("/"+old.Path(), inode)
}

func setText(inode *fstree.Inode, text string) {
	inode.Size = int64(len(text))
	if text != "" {
		inode.Content = fstree.Bytes(text)
	}
}

// symlink makes a symlink in place of anything but a directory.
func (e *editor) symlink(p, target string) error {
	inode := e.inode(fstree.TypeSymlink | 0o777)
	inode.Link, inode.Size = target, int64(len(target))
	return e.put(p, inode)
}

// remove takes away what is at a path, with all below it. A symlink at the
// path goes, not what it leads to.
func (e *editor) remove(p string) {
	if entry := e.lookup(p); entry != nil {
		entry.Parent().Remove(entry)
	}
}

// empty takes away everything in a directory.
func (e *editor) empty(p string) {
	dir := e.find(p)
	if dir == nil || !dir.IsDir() {
		return
	}
	for _, c := range children(dir) {
		dir.Remove(c)
	}
}

// children returns the children of a directory as a list that stays as it is
// while the directory changes.
func children(dir *fstree.Entry) []*fstree.Entry {
	return append([]*fstree.Entry(nil), dir.Children()...)
}

// graft puts a removed entry and all below it into a directory.
func graft(dir *fstree.Entry, name string, removed *fstree.Entry) (*fstree.Entry, error) {
	entry, err := dir.Add(name, removed.Inode)
	if err != nil {
		return nil, err
	}
	for _, c := range removed.Children() {
		if _, err := graft(entry, c.Name, c); err != nil {
			return nil, err
		}
	}
	return entry, nil
}

// lines returns the lines of a text without their ends.
func lines(text string) []string {
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
