package reader

import (
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// ExtentKind says where the bytes of an Extent are.
type ExtentKind uint8

// Kinds of extents.
const (
	ExtentData     ExtentKind = iota // on the device
	ExtentInline                     // in the tree
	ExtentPrealloc                   // reserved on the device, reads as zeros
	ExtentHole                       // nowhere, reads as zeros
)

// String returns the kind in one word.
func (k ExtentKind) String() string {
	names := [...]string{"data", "inline", "prealloc", "hole"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Extent is a part of a file. The last four fields are zero for holes and
// inline extents.
type Extent struct {
	FileOffset  int64
	Length      int64 // in the file
	Kind        ExtentKind
	Compression ondisk.Compression
	Logical     ondisk.Logical  // start of the whole extent on the device
	Physical    ondisk.Physical // the same, of the first copy
	DiskLength  int64           // stored bytes of the whole extent
	Offset      int64           // of this part into the whole, uncompressed
}

// Extents returns the parts of the file of this name, which may be a symlink,
// from its start to its size rounded up to sectors, holes included. Prealloc
// beyond the size comes last.
func (v *Volume) Extents(name string) ([]Extent, error) {
	o, err := v.resolve(name, false)
	if err != nil {
		return nil, pathError("extents", name, err)
	}
	if !o.hasContent() {
		return nil, pathError("extents", name, errNotRegular)
	}
	list, err := v.fs.extents(o)
	if err != nil {
		return nil, pathError("extents", name, err)
	}
	return list, nil
}

// fileExtents calls visit for all extents of an object, in order, after the
// checks of each and of their order.
func (f *FS) fileExtents(o *object, visit func(*extent) error) error {
	var last int64
	from := ondisk.Key{ObjectID: o.ino, Type: ondisk.TypeExtentData}
	to := ondisk.Key{ObjectID: o.ino, Type: ondisk.TypeExtentData, Offset: math.MaxUint64}
	for item, err := range f.Items(o.tree, from, to) {
		if err != nil {
			return err
		}
		e, err := o.parseExtent(item)
		if err != nil {
			return err
		}
		if e.start < last {
			return o.damaged("%v: overlaps the extent that ends at %d", item.Key, last)
		}
		last = e.end()
		if err := visit(&e); err != nil {
			return err
		}
	}
	return nil
}

func (f *FS) extents(o *object) ([]Extent, error) {
	var list []Extent
	var next int64
	err := f.fileExtents(o, func(e *extent) error {
		if e.start > next {
			list = append(list, Extent{FileOffset: next, Length: e.start - next, Kind: ExtentHole})
		}
		part, err := f.describe(o, e)
		list = append(list, part)
		next = e.end()
		return err
	})
	if err != nil {
		return nil, err
	}
	if size := int64(o.inode.Size); next < size {
		rest := size - next
		if over := size % ondisk.SectorSize; over != 0 && rest < math.MaxInt64-ondisk.SectorSize {
			rest += ondisk.SectorSize - over
		}
		list = append(list, Extent{FileOffset: next, Length: rest, Kind: ExtentHole})
	}
	return list, nil
}

func (f *FS) describe(o *object, e *extent) (Extent, error) {
	part := Extent{FileOffset: e.start, Length: e.length, Compression: e.Compression}
	switch {
	case e.Kind == ondisk.ExtentInline:
		part.Kind = ExtentInline
		return part, nil
	case e.isHole():
		part.Kind, part.Compression = ExtentHole, ondisk.CompressNone
		return part, nil
	case e.Kind == ondisk.ExtentPrealloc:
		part.Kind = ExtentPrealloc
	}
	copies, err := f.Copies(e.DiskBytenr, int64(e.DiskNumBytes))
	if err != nil {
		return part, o.damaged("%w", err)
	}
	part.Logical, part.Physical = e.DiskBytenr, copies[0]
	part.DiskLength, part.Offset = int64(e.DiskNumBytes), int64(e.Offset)
	return part, nil
}
