package bootrepair

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// The kinds of file systems that are looked for, as blkid calls them.
const (
	kindFAT   = "vfat"
	kindBtrfs = "btrfs"
)

// FileSystem is a file system that was found on a disk, whatever its table says.
type FileSystem struct {
	Kind        string // "vfat" or "btrfs"
	Start, Size int64  // bytes
	UUID, Label string // as blkid prints them
}

// String describes the file system in one line.
func (f FileSystem) String() string {
	return fmt.Sprintf("%s %q (%s), %d bytes at byte %d", f.Kind, f.Label, f.UUID, f.Size, f.Start)
}

func (f FileSystem) end() int64 { return f.Start + f.Size }

// scan looks for file systems where our layouts put partitions: at whole MiB. What lies
// within one that was found is content of it, such as an image in a home. A superblock
// counts if its copies agree and the trees that it names can be read from where it says
// that they are. What cannot be read is passed over, and counted.
func scan(ctx context.Context, d io.ReaderAt, end int64, progress Progress) (found []FileSystem, unread int, err error) {
	for at := int64(gpt.Alignment); at < end; {
		if err := ctx.Err(); err != nil {
			return nil, unread, err
		}
		f, err := lookAt(d, at, end)
		if err != nil {
			if unread++; unread > maxUnread {
				return nil, unread, err
			}
		}
		at += gpt.Alignment
		if f != nil {
			for len(found) > 0 && found[len(found)-1].Start >= f.Start { // lies within this one
				found = found[:len(found)-1]
			}
			found = append(found, *f)
			at = max(at, alignUp(f.end()))
		}
		progress.report(at, end)
	}
	return found, unread, nil
}

// maxUnread bounds the places that cannot be read: a disk that fails everywhere is not to
// be asked for a week.
const maxUnread = 100

func alignUp(n int64) int64 { return (n + gpt.Alignment - 1) / gpt.Alignment * gpt.Alignment }

// lookAt returns the file system that begins at a byte of a disk that ends at another one,
// or that has a copy of its superblock there; nil where there is none.
func lookAt(d io.ReaderAt, at, end int64) (*FileSystem, error) {
	block := make([]byte, ondisk.SuperSize)
	whole, err := readFull(d, block, at)
	if err != nil || !whole {
		return nil, err
	}
	if isFAT(block) {
		fat, err := espreader.Open(section(d, at, end-at), end-at)
		if err == nil {
			return &FileSystem{kindFAT, at, fat.Size(), fat.UUID(), fat.Label()}, nil
		}
	}
	if super := superblock(block); super != nil && super.Bytenr != ondisk.SuperMirrors[0] {
		start := at - int64(super.Bytenr)
		if start < gpt.Alignment {
			return nil, nil
		}
		return openBtrfs(d, super, start, end)
	}
	if whole, err := readFull(d, block, at+int64(ondisk.SuperMirrors[0])); err != nil || !whole {
		return nil, err
	}
	super := superblock(block)
	if super == nil || super.Bytenr != ondisk.SuperMirrors[0] {
		return nil, nil
	}
	return openBtrfs(d, super, at, end)
}

// isFAT reports whether a boot sector says that a FAT32 begins with it.
func isFAT(block []byte) bool {
	return block[510] == 0x55 && block[511] == 0xaa && string(block[82:90]) == "FAT32   "
}

// superblock decodes a block that is an intact superblock, nil of any other. Its place is
// one of those where copies stand.
func superblock(block []byte) *ondisk.Superblock {
	if binary.LittleEndian.Uint64(block[64:]) != ondisk.Magic {
		return nil
	}
	kind := ondisk.ChecksumType(binary.LittleEndian.Uint16(block[196:]))
	if !kind.Valid() || !kind.Verify(block) {
		return nil
	}
	super, err := ondisk.DecodeSuperblock(block)
	if err != nil {
		return nil
	}
	for _, m := range ondisk.SuperMirrors {
		if super.Bytenr == m {
			return super
		}
	}
	return nil
}

// openBtrfs returns the file system of a superblock that begins at a byte, nil where it is
// none: copies of the superblock that should be there are not or are another's, or its
// trees cannot be read.
func openBtrfs(d io.ReaderAt, super *ondisk.Superblock, start, end int64) (*FileSystem, error) {
	size := super.DevItem.TotalBytes
	if size < ondisk.SuperSize || size > uint64(end-start) {
		return nil, nil
	}
	agree, err := copiesAgree(d, super, start)
	if err != nil || !agree {
		return nil, err
	}
	fsys, err := reader.Open(section(d, start, int64(size)), int64(size))
	if err != nil {
		return nil, nil
	}
	if _, err := fsys.Subvolumes(); err != nil {
		return nil, nil
	}
	super = fsys.Super()
	return &FileSystem{kindBtrfs, start, int64(size), ids.UUID(super.FSID).String(), super.Label}, nil
}

// copiesAgree reports whether all copies of a superblock that the device has room for are
// of this file system, or damaged: one that is no superblock at all, or another's, shows
// that the first one is left over from before or lies in a file.
func copiesAgree(d io.ReaderAt, super *ondisk.Superblock, start int64) (bool, error) {
	block := make([]byte, ondisk.SuperSize)
	for _, at := range ondisk.SuperMirrors {
		if uint64(at)+ondisk.SuperSize > super.DevItem.TotalBytes {
			break
		}
		whole, err := readFull(d, block, start+int64(at))
		if err != nil || !whole {
			return false, err
		}
		if binary.LittleEndian.Uint64(block[64:]) != ondisk.Magic {
			return false, nil
		}
		other := superblock(block)
		if other != nil && (other.Bytenr != at || other.FSID != super.FSID || other.DevItem.UUID != super.DevItem.UUID || other.DevItem.TotalBytes != super.DevItem.TotalBytes) {
			return false, nil
		}
	}
	return true, nil
}
