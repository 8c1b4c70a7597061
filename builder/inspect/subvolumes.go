package inspect

import (
	"cmp"
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Subvolume is a subvolume or snapshot and what it refers to. What several
// share is counted in each.
type Subvolume struct {
	ID         uint64   `json:"id"`
	Path       string   `json:"path"` // from the top level
	UUID       ids.UUID `json:"uuid"`
	ReadOnly   bool     `json:"read_only"`
	SnapshotOf string   `json:"snapshot_of,omitempty"` // path of its origin
	Files      int64    `json:"files"`                 // regular ones
	Bytes      int64    `json:"bytes"`                 // of their content, holes left out
	Stored     int64    `json:"stored"`                // what that takes on the disk
}

// Ratio returns what is stored for each byte of content, 1 for nothing.
func (s Subvolume) Ratio() float64 {
	if s.Bytes == 0 {
		return 1
	}
	return float64(s.Stored) / float64(s.Bytes)
}

func (i *inspection) subvolumes() error {
	if i.root == nil {
		return nil
	}
	list, err := i.root.Subvolumes()
	if err != nil {
		i.unread("subvolumes", err)
		return nil
	}
	paths := map[ids.UUID]string{}
	for _, s := range list {
		paths[s.UUID] = s.Path
	}
	for _, s := range list {
		out := Subvolume{ID: s.ID, Path: s.Path, UUID: s.UUID, ReadOnly: s.ReadOnly}
		if !s.ParentUUID.IsZero() {
			out.SnapshotOf = paths[s.ParentUUID]
		}
		if err := i.measure(&out); err != nil {
			i.unread("subvolume "+s.Path, err)
		}
		i.image.Subvolumes = append(i.image.Subvolumes, out)
		if err := i.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// measure adds up the files and extents of a subvolume's tree. An extent that
// several files share is stored once.
func (i *inspection) measure(s *Subvolume) error {
	seen := map[ondisk.Logical]bool{}
	last := ondisk.Key{ObjectID: math.MaxUint64, Type: math.MaxUint8, Offset: math.MaxUint64}
	for item, err := range i.root.Items(s.ID, ondisk.Key{}, last) {
		if err = cmp.Or(err, i.ctx.Err()); err != nil {
			return err
		}
		switch item.Key.Type {
		case ondisk.TypeInodeItem:
			inode, err := ondisk.DecodeInodeItem(item.Data)
			if err != nil {
				return err
			}
			if inode.Mode&fstree.TypeMask == fstree.TypeRegular {
				s.Files++
			}
		case ondisk.TypeExtentData:
			e, err := ondisk.DecodeFileExtent(item.Data)
			if err != nil {
				return err
			}
			s.add(&e, seen)
		}
	}
	return nil
}

func (s *Subvolume) add(e *ondisk.FileExtent, seen map[ondisk.Logical]bool) {
	switch {
	case e.Kind == ondisk.ExtentInline:
		s.Bytes += int64(e.RAMBytes)
		s.Stored += int64(len(e.Inline))
	case e.DiskBytenr == 0: // a hole
	default:
		s.Bytes += int64(e.NumBytes)
		if !seen[e.DiskBytenr] {
			seen[e.DiskBytenr] = true
			s.Stored += int64(e.DiskNumBytes)
		}
	}
}
