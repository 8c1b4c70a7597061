package reader

import (
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// object is an inode in a subvolume.
type object struct {
	tree, ino uint64
	inode     ondisk.InodeItem
	stub      bool // stands for a subvolume that does not belong here; empty
}

// stubInode is the inode number of directories that stand in a snapshot where
// the original has a nested subvolume (the kernel's EMPTY_SUBVOL_DIR).
const stubInode = 2

// Unix file types, as in mode.
const (
	modeType    = 0o170000
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeSymlink = 0o120000
)

func (o *object) isDir() bool     { return o.inode.Mode&modeType == modeDir }
func (o *object) isRegular() bool { return o.inode.Mode&modeType == modeRegular }
func (o *object) isSymlink() bool { return o.inode.Mode&modeType == modeSymlink }

// hasContent reports whether extents hold bytes of the object.
func (o *object) hasContent() bool { return o.isRegular() || o.isSymlink() }

// String names the object in errors.
func (o *object) String() string { return fmt.Sprintf("subvolume %d, inode %d", o.tree, o.ino) }

// damaged makes an error about what the object holds.
func (o *object) damaged(format string, args ...any) error {
	return fault.New(fault.Input, hintDamaged, "%s: %w", o, fmt.Errorf(format, args...))
}

// inodeOf reads an inode.
func (f *FS) inodeOf(tree, ino uint64) (*object, error) {
	o := &object{tree: tree, ino: ino}
	data, ok, err := f.find(tree, ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeItem})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, o.damaged("there is no INODE_ITEM")
	}
	if o.inode, err = ondisk.DecodeInodeItem(data); err != nil {
		return nil, o.damaged("%w", err)
	}
	if o.inode.Size > math.MaxInt64 {
		return nil, o.damaged("size %d, expected at most %d", o.inode.Size, int64(math.MaxInt64))
	}
	return o, nil
}

// lookup finds a name in a directory. An unknown name is fs.ErrNotExist.
func (f *FS) lookup(dir *object, name string) (*object, error) {
	if !dir.isDir() {
		return nil, errNotDir
	}
	if dir.stub || len(name) > ondisk.MaxNameLen {
		return nil, fs.ErrNotExist
	}
	key := ondisk.Key{ObjectID: dir.ino, Type: ondisk.TypeDirItem, Offset: ondisk.NameHash(name)}
	data, ok, err := f.find(dir.tree, key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fs.ErrNotExist
	}
	items, err := ondisk.DecodeDirItems(data)
	if err != nil {
		return nil, dir.damaged("%w", err)
	}
	for i := range items {
		if items[i].Name == name {
			return f.follow(dir, &items[i])
		}
	}
	return nil, fs.ErrNotExist
}

// follow returns what a directory entry points at.
func (f *FS) follow(dir *object, entry *ondisk.DirItem) (*object, error) {
	target := entry.Location.ObjectID
	switch entry.Location.Type {
	case ondisk.TypeInodeItem:
		o, err := f.inodeOf(dir.tree, target)
		if err != nil || !o.isDir() {
			return o, err
		}
		parent, name, err := f.soleName(dir.tree, target)
		if err != nil {
			return nil, o.damaged("%w", err)
		}
		if parent != dir.ino || name != entry.Name {
			return nil, o.damaged("directory entry %q in inode %d, its INODE_REF says %q in %d", entry.Name, dir.ino, name, parent)
		}
		return o, nil
	case ondisk.TypeRootItem:
		ours, err := f.ownsSubvolume(dir, target, entry.Name)
		if err != nil {
			return nil, err
		}
		if !ours {
			return stubOf(dir), nil
		}
		v, err := f.VolumeByID(target)
		if err != nil {
			return nil, err
		}
		return v.root, nil
	}
	return nil, dir.damaged("entry %q points at %v, expected an inode or a subvolume", entry.Name, entry.Location)
}

// ownsSubvolume reports whether the entry is where subvolume id stands. It is
// not in a snapshot of the directory that holds it.
func (f *FS) ownsSubvolume(dir *object, id uint64, name string) (bool, error) {
	if !ondisk.IsSubvolume(id) {
		return false, dir.damaged("entry %q points at tree %d, expected a subvolume", name, id)
	}
	matches, parents := false, 0
	from := ondisk.Key{ObjectID: id, Type: ondisk.TypeRootBackref}
	to := ondisk.Key{ObjectID: id, Type: ondisk.TypeRootBackref, Offset: math.MaxUint64}
	for item, err := range f.Items(ondisk.RootTree, from, to) {
		if err != nil {
			return false, err
		}
		ref, err := decodeRootRef(item.Data)
		if err != nil {
			return false, dir.damaged("entry %q: %w", name, err)
		}
		if parents++; parents > 1 {
			return false, dir.damaged("entry %q: subvolume %d has several parents, expected one", name, id)
		}
		matches = item.Key.Offset == dir.tree && ref.DirID == dir.ino && ref.Name == name
	}
	return matches, nil
}

// stubOf returns the empty directory that stands in dir for a subvolume that
// is elsewhere, with the kernel's attributes for it.
func stubOf(dir *object) *object {
	return &object{tree: dir.tree, ino: stubInode, stub: true, inode: ondisk.InodeItem{
		Nlink: 1, Mode: modeDir | 0o755, UID: dir.inode.UID, GID: dir.inode.GID,
		Atime: dir.inode.Atime, Mtime: dir.inode.Mtime, Ctime: dir.inode.Ctime, Otime: dir.inode.Mtime,
	}}
}

// entries reads a directory in the order of its DIR_INDEX items.
func (f *FS) entries(dir *object) ([]ondisk.DirItem, error) {
	if !dir.isDir() {
		return nil, errNotDir
	}
	if dir.stub {
		return nil, nil
	}
	var list []ondisk.DirItem
	from := ondisk.Key{ObjectID: dir.ino, Type: ondisk.TypeDirIndex}
	to := ondisk.Key{ObjectID: dir.ino, Type: ondisk.TypeDirIndex, Offset: math.MaxUint64}
	for item, err := range f.Items(dir.tree, from, to) {
		if err != nil {
			return nil, err
		}
		found, err := ondisk.DecodeDirItems(item.Data)
		if err != nil {
			return nil, dir.damaged("%v: %w", item.Key, err)
		}
		if len(found) != 1 {
			return nil, dir.damaged("%v: %d entries, expected one", item.Key, len(found))
		}
		if err := checkName(found[0].Name); err != nil {
			return nil, dir.damaged("%v: %w", item.Key, err)
		}
		list = append(list, found[0])
	}
	return list, nil
}

func timeOf(t ondisk.Timespec) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }
