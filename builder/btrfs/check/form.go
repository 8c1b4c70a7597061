package check

import (
	"math"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// checkForm checks everything about an item of a subvolume that can be seen in
// the item alone.
func (c *checker) checkForm(l *leaf, item ondisk.Item) {
	place := l.at(item.Key)
	switch item.Key.Type {
	case ondisk.TypeInodeItem:
		c.inodeForm(place, item)
	case ondisk.TypeInodeRef:
		refs, err := ondisk.DecodeInodeRefs(item.Data)
		if err != nil || len(refs) == 0 {
			c.log.add(place, "%d names: %v", len(refs), err)
		}
		for _, r := range refs {
			c.nameForm(place, r.Name)
		}
	case ondisk.TypeInodeExtref:
		refs, err := ondisk.DecodeInodeExtrefs(item.Data)
		if err != nil || len(refs) == 0 {
			c.log.add(place, "%d names: %v", len(refs), err)
		}
		for _, r := range refs {
			c.nameForm(place, r.Name)
			if hash := ondisk.ExtrefHash(r.Parent, r.Name); hash != item.Key.Offset {
				c.log.add(place, "name %q in directory %d has hash %d, the key has another", r.Name, r.Parent, hash)
			}
		}
	case ondisk.TypeDirItem, ondisk.TypeDirIndex, ondisk.TypeXattrItem:
		c.entriesForm(place, item)
	case ondisk.TypeExtentData:
		e, err := ondisk.DecodeFileExtent(item.Data)
		if err != nil {
			c.log.add(place, "%v", err)
			return
		}
		c.extentForm(place, item, &e)
	case ondisk.TypeVerityDesc, ondisk.TypeVerityMerkle, ondisk.TypeOrphanItem:
	default:
		c.log.add(place, "does not belong in a subvolume")
	}
}

func (c *checker) nameForm(place itemPlace, name string) {
	if strings.ContainsAny(name, "/\x00") {
		c.log.add(place, "name %q holds a slash or a zero byte", name)
	}
}

// Inode flags that the kernel knows; it refuses a leaf with others.
const knownInodeFlags = ondisk.InodeVerity | ondisk.InodeRootItemInit | 1<<12 - 1

func (c *checker) inodeForm(place itemPlace, item ondisk.Item) {
	if len(item.Data) != ondisk.InodeItemSize || item.Key.Offset != 0 {
		c.log.add(place, "has %d bytes at offset %d, expected %d at 0", len(item.Data), item.Key.Offset, ondisk.InodeItemSize)
		return
	}
	i, err := ondisk.DecodeInodeItem(item.Data)
	if err != nil {
		c.log.add(place, "%v", err)
		return
	}
	kind := ondisk.FileTypeOf(i.Mode)
	if i.Mode>>16 != 0 || kind == ondisk.FileUnknown {
		c.log.add(place, "mode %#o, expected a file type and permissions", i.Mode)
	}
	if gen := c.super.Generation; i.Generation > gen || i.Transid > gen {
		c.log.add(place, "generation %d and transid %d, the superblock has %d", i.Generation, i.Transid, gen)
	}
	if kind == ondisk.FileDir && i.Nlink > 1 {
		c.log.add(place, "directory with nlink %d, expected 1", i.Nlink)
	}
	if i.Flags&^knownInodeFlags != 0 {
		c.log.add(place, "flags %#x, known ones are %#x", i.Flags, knownInodeFlags)
	}
	if kind == ondisk.FileSymlink && i.Flags&(ondisk.InodeImmutable|ondisk.InodeAppend) != 0 {
		c.log.add(place, "symbolic link with flags %#x, which hold IMMUTABLE or APPEND", i.Flags)
	}
	if i.Rdev != 0 && kind != ondisk.FileChar && kind != ondisk.FileBlock {
		c.log.add(place, "device number %d, but mode %#o", i.Rdev, i.Mode)
	}
	for _, t := range []ondisk.Timespec{i.Atime, i.Ctime, i.Mtime, i.Otime} {
		if t.Nsec >= 1e9 {
			c.log.add(place, "time with %d nanoseconds", t.Nsec)
		}
	}
}

// entriesForm checks directory entries and extended attributes.
func (c *checker) entriesForm(place itemPlace, item ondisk.Item) {
	entries, err := ondisk.DecodeDirItems(item.Data)
	if err != nil || len(entries) == 0 {
		c.log.add(place, "%d entries: %v", len(entries), err)
		return
	}
	if item.Key.Type == ondisk.TypeDirIndex && (len(entries) != 1 || item.Key.Offset < 2) {
		c.log.add(place, "%d entries, expected one at an index of at least 2", len(entries))
	}
	for i := range entries {
		e := &entries[i]
		if hash := ondisk.NameHash(e.Name); item.Key.Type != ondisk.TypeDirIndex && hash != item.Key.Offset {
			c.log.add(place, "name %q has hash %d, the key has another", e.Name, hash)
		}
		if e.Transid > c.super.Generation {
			c.log.add(place, "name %q: transid %d, the superblock has %d", e.Name, e.Transid, c.super.Generation)
		}
		for j := range i {
			if entries[j].Name == e.Name {
				c.log.add(place, "name %q stands twice", e.Name)
			}
		}
		if item.Key.Type == ondisk.TypeXattrItem {
			c.xattrForm(place, e)
		} else {
			c.entryForm(place, e)
		}
	}
}

func (c *checker) xattrForm(place itemPlace, e *ondisk.DirItem) {
	if e.Type != ondisk.FileXattr || e.Location != (ondisk.Key{}) {
		c.log.add(place, "xattr %q: type %d and location %v, expected %d and none", e.Name, e.Type, e.Location, ondisk.FileXattr)
	}
}

func (c *checker) entryForm(place itemPlace, e *ondisk.DirItem) {
	c.nameForm(place, e.Name)
	if e.Name == "." || e.Name == ".." {
		c.log.add(place, "name %q", e.Name)
	}
	if e.Type == ondisk.FileUnknown || e.Type >= ondisk.FileXattr || len(e.Data) != 0 {
		c.log.add(place, "name %q: type %d with %d bytes of data, expected 1 to %d with none", e.Name, e.Type, len(e.Data), ondisk.FileXattr-1)
	}
	switch at := e.Location; at.Type {
	case ondisk.TypeInodeItem:
		if at.Offset != 0 || at.ObjectID < ondisk.FirstFree || at.ObjectID > ondisk.LastFree {
			c.log.add(place, "name %q: location %v, expected an inode", e.Name, at)
		}
	case ondisk.TypeRootItem:
		// The offset is that of the root item, -1 or 0: nobody looks at it.
		if !ondisk.IsSubvolume(at.ObjectID) || e.Type != ondisk.FileDir {
			c.log.add(place, "name %q: location %v of type %d, expected a subvolume as a directory", e.Name, at, e.Type)
		}
	default:
		c.log.add(place, "name %q: location %v, expected an inode or a subvolume", e.Name, at)
	}
}

// extentForm checks a file extent item. The limits are those of the kernel's
// check_extent_data_item.
func (c *checker) extentForm(place itemPlace, item ondisk.Item, e *ondisk.FileExtent) {
	c.compressed[e.Compression] = true
	if item.Key.Offset%ondisk.SectorSize != 0 {
		c.log.add(place, "file offset not a multiple of %d", ondisk.SectorSize)
	}
	if e.Generation > c.super.Generation {
		c.log.add(place, "generation %d, the superblock has %d", e.Generation, c.super.Generation)
	}
	if e.Kind == ondisk.ExtentInline {
		switch n := uint64(len(e.Inline)); {
		case item.Key.Offset != 0:
			c.log.add(place, "inline extent at a file offset other than 0")
		case n == 0 || e.RAMBytes == 0 || e.RAMBytes > ondisk.SectorSize:
			c.log.add(place, "inline extent of %d bytes for %d, expected 1 to %d", n, e.RAMBytes, ondisk.SectorSize)
		case e.Compression == ondisk.CompressNone && n != e.RAMBytes:
			c.log.add(place, "inline extent of %d bytes, ram_bytes %d", n, e.RAMBytes)
		}
		return
	}
	for _, v := range []uint64{uint64(e.DiskBytenr), e.DiskNumBytes, e.Offset, e.NumBytes, e.RAMBytes} {
		if v%ondisk.SectorSize != 0 {
			c.log.add(place, "%d, expected a multiple of %d", v, ondisk.SectorSize)
		}
	}
	if e.NumBytes == 0 || e.NumBytes > math.MaxUint64-item.Key.Offset || e.NumBytes > math.MaxUint64-e.Offset {
		c.log.add(place, "length %d", e.NumBytes)
	}
	if e.DiskBytenr == 0 {
		if e.Kind != ondisk.ExtentRegular || e.DiskNumBytes != 0 {
			c.log.add(place, "hole of type %d with %d bytes on disk", e.Kind, e.DiskNumBytes)
		}
		return
	}
	c.storedForm(place, e)
}

// storedForm checks the lengths of an extent that has bytes on disk.
func (c *checker) storedForm(place itemPlace, e *ondisk.FileExtent) {
	if e.DiskNumBytes == 0 || e.Offset > e.RAMBytes || e.NumBytes > e.RAMBytes-e.Offset {
		c.log.add(place, "bytes %d+%d of an extent of %d (%d on disk)", e.Offset, e.NumBytes, e.RAMBytes, e.DiskNumBytes)
	}
	if e.Compression == ondisk.CompressNone {
		if e.Offset > e.DiskNumBytes || e.NumBytes > e.DiskNumBytes-e.Offset {
			c.log.add(place, "bytes %d+%d of %d on disk", e.Offset, e.NumBytes, e.DiskNumBytes)
		}
		return
	}
	if e.Kind == ondisk.ExtentPrealloc {
		c.log.add(place, "preallocated, yet compressed")
	}
	if e.RAMBytes > ondisk.MaxCompress || e.DiskNumBytes > ondisk.MaxCompress {
		c.log.add(place, "compressed extent of %d bytes (%d on disk), expected at most %d", e.RAMBytes, e.DiskNumBytes, ondisk.MaxCompress)
	}
}
