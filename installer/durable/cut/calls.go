package cut

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/6FaNcY9/mkimage/installer/durable"
)

// begin is called before each call.
func (f *FS) begin(op, name string) error {
	if f.called == nil {
		return nil
	}
	if err := f.called(call{op, name}); err != nil {
		return fmt.Errorf("%s: %s: %w", name, op, err)
	}
	return nil
}

// end is called when a call has changed something.
func (f *FS) end(op, name string) {
	if f.done != nil {
		f.done(call{op, name})
	}
}

// parent returns the directory that has a name, which may be missing in it.
func (f *FS) parent(name string) (dir *inode, base string, err error) {
	_, dir, err = f.find(path.Dir(name))
	if err == nil && !dir.dir {
		err = fmt.Errorf("%s: not a directory", path.Dir(name))
	}
	return dir, path.Base(name), err
}

// change changes a directory in memory.
func (n *inode) change(c change) {
	c.apply(n.entries)
	n.pending = append(n.pending, c)
}

// make enters a new inode. Its group is the directory's, as it may be.
func (f *FS) make(op, name string, n *inode) error {
	if err := f.begin(op, name); err != nil {
		return err
	}
	dir, base, err := f.parent(name)
	if err != nil {
		return err
	}
	if dir.entries[base] != 0 {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	n.meta.gid = dir.meta.gid
	n.metas = []meta{n.meta}
	id := f.unused()
	f.inodes[id] = n
	dir.change(change{base: id})
	f.end(op, name)
	return nil
}

// Create implements durable.FS.
func (f *FS) Create(name string, perm fs.FileMode) (durable.File, error) {
	n := &inode{meta: meta{perm: perm &^ umask}}
	if err := f.make("create", name, n); err != nil {
		return nil, err
	}
	return &file{f: f, n: n, name: name, writable: true}, nil
}

// Mkdir implements durable.FS.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	return f.make("mkdir", name, newDir(meta{perm: perm &^ umask}))
}

// Link implements durable.FS.
func (f *FS) Link(old, name string) error {
	if err := f.begin("link", name); err != nil {
		return err
	}
	id, n, err := f.find(old)
	if err != nil {
		return err
	}
	dir, base, err := f.parent(name)
	switch {
	case err != nil:
		return err
	case n.dir:
		return fmt.Errorf("%s: a directory: %w", old, fs.ErrPermission)
	case dir.entries[base] != 0:
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	dir.change(change{base: id})
	f.end("link", name)
	return nil
}

// Rename implements durable.FS, within a directory.
func (f *FS) Rename(old, name string) error {
	if err := f.begin("rename to", name); err != nil {
		return err
	}
	if path.Dir(old) != path.Dir(name) {
		return fmt.Errorf("%s: renamed from %s, expected the same directory", name, old)
	}
	id, n, err := f.find(old)
	if err != nil {
		return err
	}
	dir, base, err := f.parent(name)
	if err != nil {
		return err
	}
	n.unsized = f.fat && !n.dir
	if there := dir.entries[base]; there != 0 && f.inodes[there].dir {
		return fmt.Errorf("%s: a directory", name)
	}
	dir.change(change{path.Base(old): 0, base: id})
	f.end("rename to", name)
	return nil
}

// Remove implements durable.FS.
func (f *FS) Remove(name string) error {
	if err := f.begin("remove", name); err != nil {
		return err
	}
	_, n, err := f.find(name)
	if err != nil {
		return err
	}
	if len(n.entries) > 0 {
		return fmt.Errorf("%s: directory not empty", name)
	}
	dir, base, err := f.parent(name)
	if err != nil {
		return err
	}
	dir.change(change{base: 0})
	f.end("remove", name)
	return nil
}

// Lstat implements durable.FS.
func (f *FS) Lstat(name string) (durable.Info, error) {
	if err := f.begin("lstat", name); err != nil {
		return durable.Info{}, err
	}
	_, n, err := f.find(name)
	if err != nil {
		return durable.Info{}, err
	}
	return n.info(), nil
}

// List implements durable.FS.
func (f *FS) List(name string) ([]string, error) {
	if err := f.begin("list", name); err != nil {
		return nil, err
	}
	_, n, err := f.find(name)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// Lock implements durable.FS. A second lock is an error: it would wait for ever.
func (f *FS) Lock(name string) (io.Closer, error) {
	if err := f.begin("lock", name); err != nil {
		return nil, err
	}
	if _, _, err := f.find(name); err != nil {
		return nil, err
	}
	if f.locked[name] {
		return nil, fmt.Errorf("%s: locked already by this process", name)
	}
	f.locked[name] = true
	return &lock{f, name}, nil
}

type lock struct {
	f    *FS
	name string
}

// Close implements io.Closer.
func (l *lock) Close() error {
	delete(l.f.locked, l.name)
	return nil
}

// Open implements durable.FS.
func (f *FS) Open(name string) (durable.File, error) {
	if err := f.begin("open", name); err != nil {
		return nil, err
	}
	_, n, err := f.find(name)
	if err != nil {
		return nil, err
	}
	return &file{f: f, n: n, name: name}, nil
}

// file is an open inode.
type file struct {
	f        *FS
	n        *inode
	name     string
	at       int
	writable bool
	closed   bool
}

func (o *file) begin(op string) error {
	if o.closed {
		return fmt.Errorf("%s: %s: %w", o.name, op, fs.ErrClosed)
	}
	return o.f.begin(op, o.name)
}

func (o *file) Read(p []byte) (int, error) {
	if err := o.begin("read"); err != nil {
		return 0, err
	}
	if o.n.dir {
		return 0, fmt.Errorf("%s: a directory", o.name)
	}
	if o.at == len(o.n.data) {
		return 0, io.EOF
	}
	n := copy(p, o.n.data[o.at:])
	o.at += n
	return n, nil
}

// Write writes half of p when it is to fail: the disk is full.
func (o *file) Write(p []byte) (int, error) {
	err := o.begin("write")
	if !o.writable {
		return 0, fmt.Errorf("%s: %w", o.name, errors.Join(err, fs.ErrPermission))
	}
	if err != nil {
		p = p[:len(p)/2]
	}
	o.n.data, o.n.dirty = slices.Concat(o.n.data, p), true
	o.f.end("write", o.name)
	return len(p), err
}

func (o *file) Stat() (durable.Info, error) {
	if err := o.begin("stat"); err != nil {
		return durable.Info{}, err
	}
	return o.n.info(), nil
}

func (n *inode) info() durable.Info {
	i := durable.Info{Mode: n.meta.perm, Size: int64(len(n.data)), UID: n.meta.uid, GID: n.meta.gid}
	if n.dir {
		i.Mode |= fs.ModeDir
	}
	return i
}

func (o *file) Chmod(perm fs.FileMode) error {
	m := o.n.meta
	m.perm = perm
	return o.set("chmod", m)
}

func (o *file) Chown(uid, gid uint32) error {
	m := o.n.meta
	m.uid, m.gid = uid, gid
	return o.set("chown", m)
}

func (o *file) set(op string, m meta) error {
	if err := o.begin(op); err != nil {
		return err
	}
	o.n.meta = m
	o.n.metas = append(o.n.metas, m)
	o.f.end(op, o.name)
	return nil
}

func (o *file) Sync() error {
	if err := o.begin("sync"); err != nil {
		return err
	}
	o.n.sync()
	o.f.end("sync", o.name)
	return nil
}

// Close fails, when it is to, only for what was written.
func (o *file) Close() error {
	if o.closed {
		return fmt.Errorf("%s: %w", o.name, fs.ErrClosed)
	}
	o.closed = true
	if !o.writable {
		return nil
	}
	return o.f.begin("close", o.name)
}
