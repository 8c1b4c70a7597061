package imgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// CompareOptions says in what a mounted file system may differ from a tree.
// All paths are relative to the compared directory.
type CompareOptions struct {
	// Elsewhere are directories whose children are kept in another subvolume:
	// here they must be empty.
	Elsewhere []string
	// Extra are paths that exist without being in the tree, such as a nested
	// subvolume or a swapfile. They and all below them are passed over.
	Extra []string
	// IgnoreRoot leaves out the attributes of the compared directory itself.
	IgnoreRoot bool
	// MoreHoles allows zeros that the source has as data to be holes. Without
	// it holes must be exactly the whole sectors outside the source's segments.
	MoreHoles bool
}

// CompareMounted fails the test when what the kernel shows in mountDir is not
// what sub, a directory of tree, says: names, content, type, mode, owner,
// modification time, xattrs, device number, hard links, size and holes. A nil
// sub stands for the root. It reports at most 20 differences.
func CompareMounted(t testing.TB, tree *fstree.Tree, sub *fstree.Entry, mountDir string, o CompareOptions) {
	t.Helper()
	if sub == nil {
		sub = tree.Root()
	}
	for _, d := range compareMounted(sub, mountDir, o) {
		t.Errorf("%s: %s", mountDir, d)
	}
}

// maxDifferences is how many differences a comparison tells one by one.
const maxDifferences = 20

func compareMounted(sub *fstree.Entry, mountDir string, o CompareOptions) []string {
	c := &comparison{
		options: o,
		kernel:  map[*fstree.Inode]*kernelInode{}, tree: map[inodeID]*fstree.Inode{},
		want: make([]byte, compareChunk), got: make([]byte, compareChunk),
	}
	c.entry(sub, mountDir, "")
	c.linkCounts()
	if c.left > 0 {
		c.found = append(c.found, fmt.Sprintf("and %d more differences", c.left))
	}
	return c.found
}

// comparison is the state of one walk.
type comparison struct {
	options   CompareOptions
	found     []string
	left      int // differences not told
	kernel    map[*fstree.Inode]*kernelInode
	tree      map[inodeID]*fstree.Inode
	want, got []byte
}

// inodeID is an inode as the kernel tells it: a subvolume has a device number
// of its own.
type inodeID struct{ dev, ino uint64 }

type kernelInode struct {
	inodeID
	path  string // the first name met
	names uint64 // met in the tree
	links uint64 // told by the kernel
}

func (c *comparison) differ(rel, format string, args ...any) {
	if len(c.found) == maxDifferences {
		c.left++
		return
	}
	c.found = append(c.found, fmt.Sprintf("%q: ", rel)+fmt.Sprintf(format, args...))
}

// entry compares one entry and all below it. rel is its path for the reader,
// "" for the compared directory.
func (c *comparison) entry(e *fstree.Entry, path, rel string) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		c.differ(rel, "lstat: %v", err)
		return
	}
	if st.Mode&fstree.TypeMask != e.Type() {
		c.differ(rel, "type: got %o, expected %o", st.Mode&fstree.TypeMask, e.Type())
		return
	}
	if rel == "" && c.options.IgnoreRoot {
		c.children(e, path, rel)
		return
	}
	if !e.IsDir() && !c.firstName(e, &st, rel) {
		return
	}
	c.attributes(e, &st, rel)
	c.xattrs(e, path, rel)
	switch {
	case e.IsDir():
		c.children(e, path, rel)
	case e.IsSymlink():
		if got, err := os.Readlink(path); err != nil || got != e.Link {
			c.differ(rel, "symlink: got %q (%v), expected %q", got, err, e.Link)
		}
	case e.IsRegular() && st.Size == e.Size:
		c.content(e, path, rel)
	}
}

// firstName enters a name into the hard link groups of both sides and reports
// whether its inode is to be looked at, being new.
func (c *comparison) firstName(e *fstree.Entry, st *unix.Stat_t, rel string) bool {
	id := inodeID{st.Dev, st.Ino}
	if k := c.kernel[e.Inode]; k != nil {
		k.names++
		if k.inodeID != id {
			c.differ(rel, "is inode %d, but its hard link %q is inode %d", st.Ino, k.path, k.ino)
		}
		return false
	}
	c.kernel[e.Inode] = &kernelInode{inodeID: id, path: rel, names: 1, links: uint64(st.Nlink)}
	if other := c.tree[id]; other != nil {
		c.differ(rel, "is a hard link of %q, expected an inode of its own", c.kernel[other].path)
	} else {
		c.tree[id] = e.Inode
	}
	return true
}

func (c *comparison) linkCounts() {
	var wrong []*kernelInode
	for _, k := range c.kernel {
		if k.names != k.links {
			wrong = append(wrong, k)
		}
	}
	slices.SortFunc(wrong, func(a, b *kernelInode) int { return slices.Compare([]byte(a.path), []byte(b.path)) })
	for _, k := range wrong {
		c.differ(k.path, "link count: got %d, expected %d", k.links, k.names)
	}
}

func (c *comparison) attributes(e *fstree.Entry, st *unix.Stat_t, rel string) {
	if got, want := st.Mode&fstree.PermMask, e.Mode&fstree.PermMask; got != want {
		c.differ(rel, "mode: got %04o, expected %04o", got, want)
	}
	if st.Uid != e.UID || st.Gid != e.GID {
		c.differ(rel, "owner: got %d:%d, expected %d:%d", st.Uid, st.Gid, e.UID, e.GID)
	}
	if st.Mtim.Sec != e.Sec || st.Mtim.Nsec != int64(e.Nsec) {
		c.differ(rel, "modification time: got %d.%09d, expected %d.%09d", st.Mtim.Sec, st.Mtim.Nsec, e.Sec, e.Nsec)
	}
	if e.IsDevice() {
		got := fstree.MakeRdev(unix.Major(st.Rdev), unix.Minor(st.Rdev))
		if got != e.Rdev {
			c.differ(rel, "device: got %d:%d, expected %d:%d", got.Major(), got.Minor(), e.Rdev.Major(), e.Rdev.Minor())
		}
	}
	if (e.IsRegular() || e.IsSymlink()) && st.Size != e.Size {
		c.differ(rel, "size: got %d, expected %d", st.Size, e.Size)
	}
}

// children compares the names in a directory and goes on with those on both
// sides.
func (c *comparison) children(e *fstree.Entry, path, rel string) {
	d, err := os.Open(path)
	if err != nil {
		c.differ(rel, "open: %v", err)
		return
	}
	names, err := d.Readdirnames(-1)
	d.Close()
	if err != nil {
		c.differ(rel, "read directory: %v", err)
	}
	there := make(map[string]bool, len(names))
	for _, n := range names {
		there[n] = true
	}
	children := e.Children()
	if slices.Contains(c.options.Elsewhere, rel) {
		children = nil
	}
	for _, child := range children {
		if !there[child.Name] {
			c.differ(filepath.Join(rel, child.Name), "is missing")
			continue
		}
		delete(there, child.Name)
		c.entry(child, path+"/"+child.Name, filepath.Join(rel, child.Name))
	}
	c.extra(rel, there)
}

func (c *comparison) extra(rel string, names map[string]bool) {
	var extra []string
	for n := range names {
		if p := filepath.Join(rel, n); !slices.Contains(c.options.Extra, p) {
			extra = append(extra, p)
		}
	}
	slices.Sort(extra)
	for _, p := range extra {
		c.differ(p, "is not in the tree")
	}
}
