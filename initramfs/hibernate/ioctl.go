package hibernate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// ioctls of the kernel, from include/uapi/linux/fs.h and btrfs.h.
const (
	fsFiemap     = 0xc020660b // FS_IOC_FIEMAP
	btrfsDevInfo = 0xd000941e // BTRFS_IOC_DEV_INFO
	btrfsFSInfo  = 0x8400941f // BTRFS_IOC_FS_INFO
	btrfsSearch  = 0xc0709411 // BTRFS_IOC_TREE_SEARCH_V2
)

// ioctl passes a buffer whose size must be that of the ioctl's structure.
func ioctl(fd uintptr, name string, request uintptr, b []byte) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(&b[0]))); errno != 0 {
		return fmt.Errorf("%s: %w", name, errno)
	}
	return nil
}

// struct fiemap and struct fiemap_extent (include/uapi/linux/fiemap.h).
const (
	fiemapSize       = 32
	fiemapExtentSize = 56
	fiemapSync       = 1 << 0 // FIEMAP_FLAG_SYNC

	// What an extent must not be: FIEMAP_EXTENT_UNKNOWN, _DELALLOC, _ENCODED,
	// _DATA_ENCRYPTED, _NOT_ALIGNED, _DATA_INLINE, _DATA_TAIL.
	extentWithoutPlace = 1<<1 | 1<<2 | 1<<3 | 1<<7 | 1<<8 | 1<<9 | 1<<10
)

// firstExtent returns the logical address of a file's first byte: what btrfs
// calls physical in its answer.
func firstExtent(fd uintptr) (ondisk.Logical, error) {
	b := make([]byte, fiemapSize+fiemapExtentSize)
	le := binary.LittleEndian
	le.PutUint64(b[8:], page)        // fm_length, from fm_start 0
	le.PutUint32(b[16:], fiemapSync) // fm_flags
	le.PutUint32(b[24:], 1)          // fm_extent_count
	if err := ioctl(fd, "FIEMAP", fsFiemap, b); err != nil {
		return 0, err
	}
	return decodeFiemap(b)
}

func decodeFiemap(b []byte) (ondisk.Logical, error) {
	le := binary.LittleEndian
	if n := le.Uint32(b[20:]); n != 1 { // fm_mapped_extents
		return 0, fmt.Errorf("begins with a hole")
	}
	e := b[fiemapSize:]
	if start := le.Uint64(e); start != 0 { // fe_logical: within the file
		return 0, fmt.Errorf("begins with a hole of %d bytes", start)
	}
	if flags := le.Uint32(e[40:]); flags&extentWithoutPlace != 0 {
		return 0, fmt.Errorf("first extent has no fixed place on the device (flags %#x): is it compressed or copied on write?", flags)
	}
	return ondisk.Logical(le.Uint64(e[8:])), nil
}

// struct btrfs_ioctl_fs_info_args has 1024 bytes, begun by max_id and
// num_devices.
func deviceCount(fd uintptr) (uint64, error) {
	b := make([]byte, 1024)
	err := ioctl(fd, "FS_INFO", btrfsFSInfo, b)
	return binary.LittleEndian.Uint64(b[8:]), err
}

// devicePath returns the path of a device. struct btrfs_ioctl_dev_info_args has
// 4096 bytes, begun by devid and ended by 1024 bytes of path.
func devicePath(fd uintptr, devID uint64) (string, error) {
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint64(b, devID)
	if err := ioctl(fd, "DEV_INFO", btrfsDevInfo, b); err != nil {
		return "", err
	}
	path, _, _ := bytes.Cut(b[4096-1024:], []byte{0})
	return string(path), nil
}

// struct btrfs_ioctl_search_args_v2 and struct btrfs_ioctl_search_header.
const (
	searchItems  = 64  // nr_items of the key, before its padding
	searchSize   = 104 // buf_size
	searchFixed  = 112 // what stands before the items
	searchHeader = 32
	searchBuffer = 64 << 10 // at least one chunk: a header, and 48 + 32 bytes
)

// chunkOf returns the chunk that may hold an address: the last one that does
// not begin behind it. The kernel fills a buffer of so many bytes at a time. It
// needs CAP_SYS_ADMIN.
func chunkOf(fd uintptr, at ondisk.Logical, buffer int) (start ondisk.Logical, c ondisk.Chunk, err error) {
	b := make([]byte, searchFixed+buffer)
	from, found := uint64(0), false
	for {
		putSearch(b, from, uint64(at))
		if err := ioctl(fd, "TREE_SEARCH_V2", btrfsSearch, b); err != nil {
			return 0, c, err
		}
		n := binary.LittleEndian.Uint32(b[searchItems:])
		if n == 0 {
			break
		}
		if start, c, err = lastChunk(b[searchFixed:], n); err != nil {
			return 0, c, err
		}
		if found = true; uint64(start) >= uint64(at) || uint64(start) < from {
			break
		}
		from = uint64(start) + 1
	}
	if !found {
		return 0, c, fmt.Errorf("logical address %d is in no chunk", at)
	}
	return start, c, nil
}

// putSearch asks for the items of chunks that begin from one address to
// another.
func putSearch(b []byte, from, to uint64) {
	le := binary.LittleEndian
	for i, v := range []uint64{ondisk.ChunkTree, ondisk.FirstChunkTree, ondisk.FirstChunkTree, from, to, 0, math.MaxUint64} {
		le.PutUint64(b[8*i:], v)
	}
	le.PutUint32(b[56:], uint32(ondisk.TypeChunkItem))
	le.PutUint32(b[60:], uint32(ondisk.TypeChunkItem))
	le.PutUint32(b[searchItems:], math.MaxUint32)
	le.PutUint64(b[searchSize:], uint64(len(b)-searchFixed))
}

// lastChunk returns the last of the n items that a search has found.
func lastChunk(b []byte, n uint32) (start ondisk.Logical, c ondisk.Chunk, err error) {
	le := binary.LittleEndian
	var item []byte
	for range n {
		if len(b) < searchHeader {
			return 0, c, fmt.Errorf("chunk tree: answer ends early")
		}
		length := le.Uint32(b[28:])
		if uint64(length) > uint64(len(b)-searchHeader) {
			return 0, c, fmt.Errorf("chunk tree: item of %d bytes, expected at most %d", length, len(b)-searchHeader)
		}
		start = ondisk.Logical(le.Uint64(b[16:]))
		item, b = b[searchHeader:searchHeader+length], b[searchHeader+length:]
	}
	c, _, err = ondisk.DecodeChunk(item)
	return start, c, err
}
