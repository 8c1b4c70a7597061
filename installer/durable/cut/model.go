// Package cut finds out what a power cut makes of files. It is for tests.
//
// An FS is a file system in memory that knows, apart from what programs see,
// what is on the disk for certain and what may be. A Run has code write to it
// and looks at each state that a power cut may leave: all that POSIX lets a
// file system do, which orders nothing but what fsync orders.
//
//   - Content that was written and not synced may be lost, zeros, or there in
//     part. So may mode and owner.
//   - On FAT, a file that was renamed and not synced may be empty.
//   - A name that was made, renamed or removed in a directory that was not synced
//     after it may have changed or not, each apart from the others. A rename
//     within a directory is one change.
//
// What it does not do: symlinks, renames between directories, and disks that
// lose what they said was written.
package cut

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/installer/durable"
)

// umask is that of the processes, as systemd and Linux give it to the first.
const umask = 0o022

// root is the number of the inode of /.
const root = 1

// inode is a file or a directory.
type inode struct {
	dir     bool
	meta    meta
	data    []byte         // never changed in place
	entries map[string]int // inodes by name

	metas   []meta // that may be on the disk; the first one was synced
	synced  []byte // content at the last sync
	dirty   bool   // data was written since
	unsized bool   // on FAT: renamed since, so that the size may be lost
	certain map[string]int
	pending []change // since the last sync
}

type meta struct {
	perm     fs.FileMode
	uid, gid uint32
}

// change is what one call does with a directory: names and their inodes, 0 for
// none. A rename has two.
type change map[string]int

func (c change) apply(entries map[string]int) {
	for name, id := range c {
		if id == 0 {
			delete(entries, name)
		} else {
			entries[name] = id
		}
	}
}

// FS is a file system in memory. It implements durable.FS, for one process with
// one thread.
type FS struct {
	inodes map[int]*inode
	locked map[string]bool
	fat    bool // see FAT

	called func(call) error // before each call; nil for nobody
	done   func(call)       // after each call that has changed something
}

// call is a call of the code under test.
type call struct{ op, name string }

func (c call) String() string { return c.op + " " + c.name }

var _ durable.FS = (*FS)(nil)

// New returns an empty file system.
func New() *FS {
	f := &FS{inodes: map[int]*inode{}, locked: map[string]bool{}}
	f.inodes[root] = newDir(meta{perm: 0o755})
	return f
}

// FAT makes the file system one that has the size of a file beside its name: one that
// is renamed is empty after a power cut, unless it was synced since.
func (f *FS) FAT() { f.fat = true }

func newDir(m meta) *inode {
	return &inode{dir: true, meta: m, metas: []meta{m}, entries: map[string]int{}, certain: map[string]int{}}
}

// Put makes a file that is on the disk, and the directories above it.
func (f *FS) Put(name, text string, perm fs.FileMode, uid uint32) {
	f.dirs(path.Dir(name))
	m := meta{perm: perm, uid: uid, gid: uid}
	f.add(name, &inode{meta: m, data: []byte(text)})
	f.settle()
}

// PutDir makes a directory that is on the disk, and those above it. What is made
// in it has its group.
func (f *FS) PutDir(name string, perm fs.FileMode, gid uint32) {
	f.dirs(name)
	_, n, _ := f.find(name)
	n.meta = meta{perm: perm, gid: gid}
	f.settle()
}

func (f *FS) dirs(name string) {
	if _, _, err := f.find(name); err == nil {
		return
	}
	f.dirs(path.Dir(name))
	f.add(name, newDir(meta{perm: 0o755}))
}

// add enters a new inode in a directory, which must be there.
func (f *FS) add(name string, n *inode) {
	id := f.unused()
	f.inodes[id] = n
	_, dir, _ := f.find(path.Dir(name))
	dir.entries[path.Base(name)] = id
}

func (f *FS) unused() int { return slices.Max(slices.Collect(maps.Keys(f.inodes))) + 1 }

// settle has everything on the disk.
func (f *FS) settle() {
	for _, n := range f.inodes {
		n.sync()
	}
}

func (n *inode) sync() {
	n.metas, n.synced, n.dirty, n.unsized = []meta{n.meta}, n.data, false, false
	n.certain, n.pending = maps.Clone(n.entries), nil
}

// Text returns the content of a file that is there.
func (f *FS) Text(name string) (string, bool) {
	_, n, err := f.find(name)
	if err != nil || n.dir {
		return "", false
	}
	return string(n.data), true
}

// Names returns every name, sorted; those of directories end with a slash.
func (f *FS) Names() []string {
	var list []string
	var walk func(at string, n *inode)
	walk = func(at string, n *inode) {
		for name, id := range n.entries {
			child := f.inodes[id]
			if child.dir {
				list = append(list, at+name+"/")
				walk(at+name+"/", child)
			} else {
				list = append(list, at+name)
			}
		}
	}
	walk("/", f.inodes[root])
	slices.Sort(list)
	return list
}

// find returns the number of an inode and the inode.
func (f *FS) find(name string) (int, *inode, error) {
	if !path.IsAbs(name) {
		return 0, nil, fmt.Errorf("%s: expected an absolute name", name)
	}
	id := root
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if part == "" {
			continue
		}
		n := f.inodes[id]
		if !n.dir {
			return 0, nil, fmt.Errorf("%s: not a directory", name)
		}
		if id = n.entries[part]; id == 0 {
			return 0, nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
	}
	return id, f.inodes[id], nil
}

// clone returns a file system that shares nothing that changes.
func (f *FS) clone() *FS {
	c := &FS{inodes: map[int]*inode{}, locked: map[string]bool{}, fat: f.fat}
	for id, n := range f.inodes {
		d := *n
		d.entries, d.certain = maps.Clone(n.entries), maps.Clone(n.certain)
		d.metas, d.pending = slices.Clone(n.metas), slices.Clone(n.pending)
		c.inodes[id] = &d
	}
	c.forget()
	return c
}

// forget removes inodes that no name can have any more.
func (f *FS) forget() {
	seen := map[int]bool{}
	var walk func(id int)
	walk = func(id int) {
		if id == 0 || seen[id] {
			return
		}
		seen[id] = true
		for next := range f.inodes[id].next() {
			walk(next)
		}
	}
	walk(root)
	maps.DeleteFunc(f.inodes, func(id int, _ *inode) bool { return !seen[id] })
}

// next yields the inodes that have or may have a name in n, in an order that
// depends on the names alone.
func (n *inode) next() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for _, names := range append([]change{n.entries, n.certain}, n.pending...) {
			for _, name := range slices.Sorted(maps.Keys(names)) {
				if !yield(names[name]) {
					return
				}
			}
		}
	}
}

// key is equal for file systems that no program and no power cut tells apart.
func (f *FS) key() string {
	var b bytes.Buffer
	numbers := map[int]int{0: 0}
	var walk func(id int)
	walk = func(id int) {
		if _, known := numbers[id]; known {
			return
		}
		numbers[id] = len(numbers)
		n := f.inodes[id]
		for next := range n.next() {
			walk(next)
		}
		fmt.Fprintf(&b, "%d %t %v %v %t %q %q", numbers[id], n.dir, n.meta, n.metas, n.dirty, n.data, n.synced)
		for _, names := range append([]change{n.entries, n.certain}, n.pending...) {
			b.WriteString(" {")
			for _, name := range slices.Sorted(maps.Keys(names)) {
				fmt.Fprintf(&b, "%q=%d ", name, numbers[names[name]])
			}
			b.WriteString("}")
		}
		b.WriteByte('\n')
	}
	walk(root)
	return b.String()
}
