package flash

import (
	"errors"
	"io"
	"io/fs"
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
)

// chunkSet is a set of chunks of an image, by number.
type chunkSet []bool

func newChunkSet(size int64) chunkSet { return make(chunkSet, (size+chunkSize-1)/chunkSize) }

// add adds all chunks that a range touches.
func (s chunkSet) add(offset, length int64) {
	if length <= 0 || offset < 0 {
		return
	}
	for i := offset / chunkSize; i <= (offset+length-1)/chunkSize && i < int64(len(s)); i++ {
		s[i] = true
	}
}

func (s chunkSet) has(offset int64) bool { return s[offset/chunkSize] }

// touches reports whether a range touches a chunk of the set.
func (s chunkSet) touches(offset, length int64) bool {
	for i := offset / chunkSize; length > 0 && i <= (offset+length-1)/chunkSize && i < int64(len(s)); i++ {
		if s[i] {
			return true
		}
	}
	return false
}

// errFormat says that a partition holds no file system whose free space we can
// tell.
var errFormat = errors.New("is neither FAT32 nor btrfs")

// owned adds to a set the chunks that the file system of a partition owns: where
// they hold zeros, the zeros mean something. It looks the closer at what lies in
// chunks that are known to be zeros. On an error nothing is known of it.
func owned(image io.ReaderAt, start, size int64, free, into chunkSet) error {
	part := io.NewSectionReader(image, start, size)
	if fat, err := espreader.Open(part, size); err == nil {
		return ownedFAT(fat, start, into)
	}
	if btrfs, err := reader.Open(part, size); err == nil {
		return ownedBtrfs(btrfs, start, free, into)
	}
	return errFormat
}

// ownedFAT adds boot sectors, FATs and the clusters of all files. Of a FAT of a
// large partition most is zeros: old bytes there would be clusters that no file
// has, or that two have.
func ownedFAT(f *espreader.FS, start int64, into chunkSet) error {
	into.add(start, f.Size()-f.Clusters()*f.ClusterSize())
	return fs.WalkDir(f, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		extents, err := f.Extents(name)
		for _, e := range extents {
			into.add(start+e.Physical, e.Length)
		}
		return err
	})
}

// ownedBtrfs adds the data extents. Tree blocks and superblocks are never zeros.
// Preallocated extents, such as a swapfile, read as zeros whatever is there.
func ownedBtrfs(f *reader.FS, start int64, free, into chunkSet) error {
	from, to := ondisk.Key{}, ondisk.Key{ObjectID: math.MaxUint64, Type: 255, Offset: math.MaxUint64}
	for item, err := range f.Items(ondisk.ExtentTree, from, to) {
		if err != nil {
			return err
		}
		if item.Key.Type != ondisk.TypeExtentItem {
			continue
		}
		copies, err := f.Copies(ondisk.Logical(item.Key.ObjectID), int64(item.Key.Offset))
		if err != nil {
			return err
		}
		fresh := false // it touches a chunk that is known to be zeros
		for _, c := range copies {
			fresh = fresh || free.touches(start+int64(c), int64(item.Key.Offset))
		}
		// One that is all read from the image is not asked about, but for the large
		// ones: reading may find zeros in those.
		if !fresh && item.Key.Offset < uint64(chunkSize) {
			for _, c := range copies {
				into.add(start+int64(c), int64(item.Key.Offset))
			}
			continue
		}
		extent, _, refs, err := ondisk.DecodeExtentItem(item.Data, false)
		if err != nil {
			return err
		}
		if extent.Flags&ondisk.ExtentFlagData == 0 || allPreallocated(f, ondisk.Logical(item.Key.ObjectID), extent.Refs, refs) {
			continue
		}
		for _, c := range copies {
			into.add(start+int64(c), int64(item.Key.Offset))
		}
	}
	return nil
}

// allPreallocated reports whether every reference to a data extent is known, and
// of one that was never written.
func allPreallocated(f *reader.FS, at ondisk.Logical, count uint64, refs []ondisk.InlineRef) bool {
	known := uint64(0)
	for _, ref := range refs {
		known += uint64(ref.Data.Count)
	}
	if known != count { // others are in items of their own
		return false
	}
	found := 0
	for _, ref := range refs {
		if ref.Type != ondisk.TypeExtentDataRef {
			return false
		}
		key := ondisk.Key{ObjectID: ref.Data.ObjectID, Type: ondisk.TypeExtentData}
		last := key
		last.Offset = math.MaxUint64
		for item, err := range f.Items(ref.Data.Root, key, last) {
			if err != nil {
				return false
			}
			e, err := ondisk.DecodeFileExtent(item.Data)
			if err != nil || e.Kind != ondisk.ExtentInline && e.DiskBytenr == at && e.Kind != ondisk.ExtentPrealloc {
				return false
			}
			if e.Kind == ondisk.ExtentPrealloc && e.DiskBytenr == at {
				found++
			}
		}
	}
	return found > 0
}
