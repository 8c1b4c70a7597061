package btrfs

import (
	"math"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// maxFileSize is the longest file that can be cut into blocks without
// overflow; the kernel's limit is half a block more.
const maxFileSize = math.MaxInt64 - blockSize

// noID is the user and group number that means none to the kernel.
const noID = math.MaxUint32

// checkNodes refuses what the format cannot hold, before anything is written.
// What depends on the names together is found when they are written.
func (v *volume) checkNodes() error {
	for i, n := range v.order {
		if err := checkInode(n); err != nil {
			return err
		}
		if name := n.name(); i > 0 && len(name) > ondisk.MaxNameLen {
			return fault.New(fault.Input, "rename it", "%s: name of %d bytes, expected at most %d", n.path(), len(name), ondisk.MaxNameLen)
		}
	}
	return nil
}

func checkInode(n node) error {
	in := n.inode()
	refuse := func(format string, args ...any) error {
		return fault.New(fault.Input, "", "%s: "+format, append([]any{n.path()}, args...)...)
	}
	switch l := len(in.Link); {
	case in.Mode&^(fstree.TypeMask|fstree.PermMask) != 0 || ondisk.FileTypeOf(in.Mode) == ondisk.FileUnknown:
		return refuse("unknown file type in mode %#o", in.Mode)
	case in.IsSymlink() && (l == 0 || l >= ondisk.SectorSize):
		return refuse("symlink target of %d bytes, expected 1 to %d", l, ondisk.SectorSize-1)
	case in.IsSymlink() && strings.ContainsRune(in.Link, 0):
		return refuse("symlink target %q holds a NUL byte", in.Link)
	case in.Size < 0 || in.Size > maxFileSize:
		return refuse("size %d, expected 0 to %d", in.Size, int64(maxFileSize))
	case in.Nsec >= 1e9:
		return refuse("modification time with %d nanoseconds, expected less than a second", in.Nsec)
	case in.UID == noID || in.GID == noID:
		return refuse("owner %d:%d, expected numbers below %d", in.UID, in.GID, uint32(noID))
	}
	return checkXattrs(in.Xattrs, refuse)
}

func checkXattrs(xattrs []fstree.Xattr, refuse func(string, ...any) error) error {
	seen := map[string]bool{}
	for _, x := range xattrs {
		switch {
		case len(x.Name) == 0 || len(x.Name) > ondisk.MaxNameLen:
			return refuse("xattr name of %d bytes, expected 1 to %d", len(x.Name), ondisk.MaxNameLen)
		case strings.ContainsRune(x.Name, 0):
			return refuse("xattr name %q holds a NUL byte", x.Name)
		case seen[x.Name]:
			return refuse("xattr %s is there twice", x.Name)
		case ondisk.DirItemSize+len(x.Name)+len(x.Value) > maxItem:
			return refuse("xattr %s of %d bytes, expected at most %d with its name", x.Name, len(x.Value), maxItem-ondisk.DirItemSize-len(x.Name))
		case x.Name == compressionXattr && !validCompression(x.Value):
			return refuse("%s=%q, expected zstd, zlib, lzo, no or none", x.Name, x.Value)
		}
		seen[x.Name] = true
	}
	return nil
}
