package health

import (
	"context"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// DamagedFile is a file of whose content something is lost.
type DamagedFile struct {
	Subvolume string `json:"subvolume"` // path from the top level; "" is that
	// Path is from the subvolume: the first name of a file that has several; "inode N"
	// where no name can be read.
	Path   string  `json:"path"`
	Ranges []Range `json:"ranges"` // the first maxRanges, in order
}

// Range is a part of a file, in bytes, of whole sectors: the last one may go beyond
// the end.
type Range struct {
	Start  int64 `json:"start"`
	Length int64 `json:"length"`
}

const (
	maxFiles  = 1000
	maxRanges = 100
	// maxDepth bounds a path: PATH_MAX / 2, which none that the kernel accepts exceeds.
	maxDepth = 2048
)

// nameFiles finds the files that use sectors, which are in order, in all subvolumes.
// What of them no file uses, such as one that was deleted, has no name.
func (b *Btrfs) nameFiles(ctx context.Context, fsys *reader.FS, lost []ondisk.Logical) error {
	subvolumes, err := fsys.Subvolumes()
	if err != nil { // the root tree is damaged: the findings say so
		subvolumes = nil
	}
	subvolumes = append([]reader.Subvolume{{ID: ondisk.FSTree}}, subvolumes...)
	for _, s := range subvolumes {
		n := namer{fs: fsys, subvolume: s, lost: lost}
		if err := n.walk(ctx); err != nil {
			return err
		}
		b.FileNum += int64(n.count)
		b.Files = append(b.Files, n.files[:min(len(n.files), maxFiles-len(b.Files))]...)
	}
	return nil
}

// namer finds the damaged files of a subvolume.
type namer struct {
	fs        *reader.FS
	subvolume reader.Subvolume
	lost      []ondisk.Logical

	ino    uint64 // of the file that is looked at
	ranges []Range
	files  []DamagedFile
	count  int
}

// walk goes through all extents of files. What cannot be read of the tree is left
// out: the check has told of it.
func (n *namer) walk(ctx context.Context) error {
	for item, err := range n.fs.Items(n.subvolume.ID, ondisk.Key{}, ondisk.Key{ObjectID: math.MaxUint64, Type: math.MaxUint8, Offset: math.MaxUint64}) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			break
		}
		if item.Key.Type != ondisk.TypeExtentData {
			continue
		}
		if item.Key.ObjectID != n.ino {
			n.end()
			n.ino = item.Key.ObjectID
		}
		if e, err := ondisk.DecodeFileExtent(item.Data); err == nil {
			n.extent(int64(item.Key.Offset), e)
		}
	}
	n.end()
	return nil
}

// extent adds what of a part of a file is lost.
func (n *namer) extent(at int64, e ondisk.FileExtent) {
	if e.Kind != ondisk.ExtentRegular || e.DiskBytenr == 0 || e.DiskBytenr+ondisk.Logical(e.DiskNumBytes) < e.DiskBytenr {
		return
	}
	from, _ := slices.BinarySearch(n.lost, e.DiskBytenr)
	to, _ := slices.BinarySearch(n.lost, e.DiskBytenr+ondisk.Logical(e.DiskNumBytes))
	for _, sector := range n.lost[from:to] {
		if e.Compression != ondisk.CompressNone {
			n.add(Range{at, int64(e.NumBytes)}) // one sector spoils all
			return
		}
		in := int64(sector-e.DiskBytenr) - int64(e.Offset)
		if in >= 0 && in < int64(e.NumBytes) {
			n.add(Range{at + in, min(ondisk.SectorSize, int64(e.NumBytes)-in)})
		}
	}
}

func (n *namer) add(r Range) {
	if i := len(n.ranges) - 1; i >= 0 && n.ranges[i].Start+n.ranges[i].Length == r.Start {
		n.ranges[i].Length += r.Length
	} else if len(n.ranges) < maxRanges {
		n.ranges = append(n.ranges, r)
	}
}

// end ends a file.
func (n *namer) end() {
	if len(n.ranges) == 0 {
		return
	}
	n.count++
	if len(n.files) < maxFiles {
		n.files = append(n.files, DamagedFile{Subvolume: n.subvolume.Path, Path: n.path(n.ino), Ranges: n.ranges})
	}
	n.ranges = nil
}

// path returns the path of an inode.
func (n *namer) path(ino uint64) string {
	var parts []string
	for at := ino; at != ondisk.FirstFree; {
		parent, name, err := n.name(at)
		if err != nil || len(parts) > maxDepth {
			return "inode " + strconv.FormatUint(ino, 10)
		}
		parts = append(parts, name)
		at = parent
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// name returns the first name of an inode, and the directory that has it.
func (n *namer) name(ino uint64) (parent uint64, name string, err error) {
	from := ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeRef}
	to := ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeExtref, Offset: math.MaxUint64}
	for item, err := range n.fs.Items(n.subvolume.ID, from, to) {
		if err != nil {
			return 0, "", err
		}
		if item.Key.Type == ondisk.TypeInodeExtref {
			if refs, err := ondisk.DecodeInodeExtrefs(item.Data); err == nil && len(refs) > 0 {
				return refs[0].Parent, refs[0].Name, nil
			}
		} else if refs, err := ondisk.DecodeInodeRefs(item.Data); err == nil && len(refs) > 0 {
			return item.Key.Offset, refs[0].Name, nil
		}
	}
	return 0, "", fs.ErrNotExist
}
