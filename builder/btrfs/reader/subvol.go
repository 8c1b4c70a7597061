package reader

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Subvolume describes one subvolume or snapshot.
type Subvolume struct {
	ID         uint64
	ParentID   uint64 // the subvolume whose directory names it
	Path       string // from the top level, without a leading slash
	UUID       ids.UUID
	ParentUUID ids.UUID // what it is a snapshot of; zero if it is none
	ReadOnly   bool
	Generation uint64
	Otime      time.Time // when it was made
}

// maxDirDepth bounds the way from a directory up to the root of its
// subvolume. Directories deeper than this cannot be named by a path of
// PATH_MAX bytes; a longer way means a circle.
const maxDirDepth = 4096

// Subvolumes lists the subvolumes, sorted by path, without the top level
// itself. Those that were deleted but not yet cleaned away are left out.
func (f *FS) Subvolumes() ([]Subvolume, error) {
	byID := map[uint64]*Subvolume{ondisk.FSTree: {ID: ondisk.FSTree}}
	links := map[uint64]ondisk.RootRef{}
	last := ondisk.Key{ObjectID: ondisk.LastFree, Type: math.MaxUint8, Offset: math.MaxUint64}
	for item, err := range f.Items(ondisk.RootTree, ondisk.Key{ObjectID: ondisk.FirstFree}, last) {
		if err != nil {
			return nil, err
		}
		switch item.Key.Type {
		case ondisk.TypeRootItem:
			root, err := ondisk.DecodeRootItem(item.Data)
			if err != nil {
				return nil, fault.New(fault.Input, hintDamaged, "subvolume %d: %w", item.Key.ObjectID, err)
			}
			if root.Refs > 0 {
				byID[item.Key.ObjectID] = describeSubvolume(item.Key.ObjectID, &root)
			}
		case ondisk.TypeRootBackref:
			ref, err := decodeRootRef(item.Data)
			if err != nil {
				return nil, fault.New(fault.Input, hintDamaged, "subvolume %d: %w", item.Key.ObjectID, err)
			}
			if s := byID[item.Key.ObjectID]; s != nil && s.ParentID == 0 {
				s.ParentID, links[s.ID] = item.Key.Offset, ref
			}
		}
	}
	var list []Subvolume
	for _, id := range slices.Sorted(maps.Keys(links)) {
		full, err := f.subvolumePath(id, byID, links)
		if err != nil {
			return nil, fault.New(fault.Input, hintDamaged, "subvolume %d: path: %w", id, err)
		}
		byID[id].Path = full
		list = append(list, *byID[id])
	}
	slices.SortFunc(list, func(a, b Subvolume) int { return cmp.Compare(a.Path, b.Path) })
	return list, nil
}

func describeSubvolume(id uint64, root *ondisk.RootItem) *Subvolume {
	return &Subvolume{
		ID: id, UUID: root.UUID, ParentUUID: root.ParentUUID, ReadOnly: root.Flags&ondisk.RootReadOnly != 0,
		Generation: root.Generation, Otime: timeOf(root.Otime),
	}
}

// subvolumePath joins the names from subvolume id up to the top level.
func (f *FS) subvolumePath(id uint64, byID map[uint64]*Subvolume, links map[uint64]ondisk.RootRef) (string, error) {
	full := ""
	for range len(links) + 1 {
		if id == ondisk.FSTree {
			return full, nil
		}
		link, ok := links[id]
		if !ok {
			return "", fmt.Errorf("tree %d has no ROOT_BACKREF", id)
		}
		parent := byID[id].ParentID
		if byID[parent] == nil {
			return "", fmt.Errorf("parent %d is not a subvolume", parent)
		}
		dir, err := f.directoryPath(parent, link.DirID)
		if err != nil {
			return "", err
		}
		full = path.Join(dir, link.Name, full)
		id = parent
	}
	return "", errors.New("subvolumes form a circle")
}

// directoryPath returns the path of a directory inside its subvolume.
func (f *FS) directoryPath(tree, ino uint64) (string, error) {
	full := ""
	for range maxDirDepth {
		if ino == ondisk.FirstFree {
			return full, nil
		}
		parent, name, err := f.soleName(tree, ino)
		if err != nil {
			return "", err
		}
		full = path.Join(name, full)
		ino = parent
	}
	return "", fmt.Errorf("tree %d: directory more than %d levels deep", tree, maxDirDepth)
}

// soleName returns the one name of a directory. That it has only one is what
// makes directories a tree, and walks through them end.
func (f *FS) soleName(tree, ino uint64) (parent uint64, name string, err error) {
	from := ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeRef}
	to := ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeExtref, Offset: math.MaxUint64}
	names := 0
	for item, err := range f.Items(tree, from, to) {
		if err != nil {
			return 0, "", err
		}
		if item.Key.Type == ondisk.TypeInodeExtref {
			names++
			break
		}
		refs, err := ondisk.DecodeInodeRefs(item.Data)
		if err != nil {
			return 0, "", fmt.Errorf("directory inode %d: %w", ino, err)
		}
		for _, ref := range refs {
			parent, name = item.Key.Offset, ref.Name
			names++
		}
		if names > 1 {
			break
		}
	}
	if names != 1 {
		return 0, "", fmt.Errorf("tree %d: directory inode %d has no name or several, expected one", tree, ino)
	}
	return parent, name, checkName(name)
}

// checkName refuses names that no file system operation can have made, and
// that would lead whoever copies the files out of their folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("name %q, expected none with a slash or a zero byte", name)
	}
	return nil
}

func decodeRootRef(b []byte) (ondisk.RootRef, error) {
	ref, err := ondisk.DecodeRootRef(b)
	if err != nil {
		return ref, err
	}
	return ref, checkName(ref.Name)
}

// DefaultSubvolume returns the id of the subvolume that is mounted where none
// is named.
func (f *FS) DefaultSubvolume() (uint64, error) {
	key := ondisk.Key{ObjectID: ondisk.RootTreeDir, Type: ondisk.TypeDirItem, Offset: ondisk.NameHash("default")}
	data, ok, err := f.find(ondisk.RootTree, key)
	if err != nil {
		return 0, err
	}
	if !ok {
		return ondisk.FSTree, nil
	}
	items, err := ondisk.DecodeDirItems(data)
	if err != nil {
		return 0, fault.New(fault.Input, hintDamaged, "default subvolume: %w", err)
	}
	for _, item := range items {
		if item.Name == "default" && item.Location.Type == ondisk.TypeRootItem && ondisk.IsSubvolume(item.Location.ObjectID) {
			return item.Location.ObjectID, nil
		}
	}
	return 0, fault.New(fault.Input, hintDamaged, "default subvolume: its entry names no subvolume")
}

// Subvolume opens the subvolume at a path from the top level; "" and "/" are
// the top level itself.
func (f *FS) Subvolume(name string) (*Volume, error) {
	clean := strings.Trim(name, "/")
	if clean == "" {
		return f.VolumeByID(ondisk.FSTree)
	}
	list, err := f.Subvolumes()
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.Path == clean {
			return f.VolumeByID(s.ID)
		}
	}
	return nil, fault.New(fault.Input, "list the subvolumes with: btrfs subvolume list", "subvolume %q: %w", clean, fs.ErrNotExist)
}

// VolumeByID opens the subvolume of this id; the top level is 5.
func (f *FS) VolumeByID(id uint64) (*Volume, error) {
	if !ondisk.IsSubvolume(id) {
		return nil, fault.New(fault.Input, "", "tree %d is not a subvolume", id)
	}
	root, err := f.Root(id)
	if err != nil {
		return nil, err
	}
	if root.Refs == 0 {
		return nil, fault.New(fault.Input, "", "subvolume %d is deleted: %w", id, fs.ErrNotExist)
	}
	v := &Volume{fs: f, tree: id}
	if v.root, err = f.inodeOf(id, ondisk.FirstFree); err != nil {
		return nil, err
	}
	if !v.root.isDir() {
		return nil, fault.New(fault.Input, hintDamaged, "subvolume %d: mode %o of its root, expected a directory", id, v.root.inode.Mode)
	}
	return v, nil
}
