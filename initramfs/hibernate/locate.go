package hibernate

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

const page = swaparea.PageSize // the unit of offsets

// Locate returns where a swapfile on btrfs begins on its device, as the
// kernel's hibernation and systemd count it. That page is read from the device:
// a place whose header is not that of the file is an error.
func Locate(path string) (Place, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Place{}, unwrapPath(err)
	}
	defer f.Close()
	if err := needFileOnBtrfs(f); err != nil {
		return Place{}, err
	}
	fd := f.Fd()
	if n, err := deviceCount(fd); err != nil || n != 1 {
		return Place{}, either(err, "the file system has %d devices, expected 1", n)
	}
	logical, err := firstExtent(fd)
	if err != nil {
		return Place{}, err
	}
	devID, physical, err := physicalOf(fd, logical)
	if err != nil {
		return Place{}, err
	}
	p, err := placeOn(fd, devID, physical)
	if err != nil {
		return Place{}, err
	}
	return p, checkHeader(f, p)
}

// unwrapPath takes the path out of an error, which the caller has put before
// it already.
func unwrapPath(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}

// either returns err, or what the format says when it is nil.
func either(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

func needFileOnBtrfs(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("is no regular file")
	}
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &sfs); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	if sfs.Type != unix.BTRFS_SUPER_MAGIC {
		return fmt.Errorf("is on a file system of type %#x, expected btrfs", sfs.Type)
	}
	return nil
}

// physicalOf maps a logical address to its one place.
func physicalOf(fd uintptr, at ondisk.Logical) (devID uint64, p ondisk.Physical, err error) {
	start, chunk, err := chunkOf(fd, at, searchBuffer)
	if err != nil {
		return 0, 0, err
	}
	return mapChunk(start, chunk, at)
}

// mapChunk maps an address in a chunk that begins at start.
func mapChunk(start ondisk.Logical, c ondisk.Chunk, at ondisk.Logical) (devID uint64, p ondisk.Physical, err error) {
	if at < start || uint64(at-start) >= c.Length {
		return 0, 0, fmt.Errorf("logical address %d is in no chunk", at)
	}
	if profile := c.Type & ondisk.GroupProfileMask; profile != 0 || len(c.Stripes) != 1 {
		return 0, 0, fmt.Errorf("is in a chunk with %d copies or parts, expected profile single", len(c.Stripes))
	}
	p = c.Stripes[0].Offset + ondisk.Physical(at-start)
	if p < c.Stripes[0].Offset || p%page != 0 || p > 1<<62 {
		return 0, 0, fmt.Errorf("physical address %d is no page of a device", p)
	}
	return c.Stripes[0].DevID, p, nil
}

func placeOn(fd uintptr, devID uint64, at ondisk.Physical) (Place, error) {
	device, err := devicePath(fd, devID)
	if err != nil {
		return Place{}, err
	}
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return Place{}, fmt.Errorf("%s: %w", device, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return Place{}, fmt.Errorf("%s is no block device", device)
	}
	return Place{device, unix.Major(st.Rdev), unix.Minor(st.Rdev), int64(at) / page}, nil
}

// checkHeader compares the first page of the file with the page at its place.
func checkHeader(f io.ReaderAt, p Place) error {
	want := make([]byte, page)
	if _, err := f.ReadAt(want, 0); err != nil {
		return fmt.Errorf("header: %w", unwrapPath(err))
	}
	have, err := readPage(p.Device, p.Offset*page)
	if err != nil {
		return err
	}
	return compareHeaders(want, have, p)
}

// compareHeaders checks the header page of a file and what its place holds. Two
// swap areas differ in their UUIDs at least, so that one left over by an
// earlier file does not pass.
func compareHeaders(want, have []byte, p Place) error {
	h, err := swaparea.Decode(have)
	switch {
	case err != nil:
		return fmt.Errorf("%v: %w", p, err)
	case h.Hibernated():
		return fmt.Errorf("%v: holds a hibernated system", p)
	case !bytes.Equal(have, want):
		return fmt.Errorf("%v: holds the header of another swap area", p)
	}
	return nil
}

// readPage reads what stands on a device at a place that is a multiple of a page.
func readPage(device string, at int64) (b []byte, err error) {
	d, err := rawdisk.Open(device, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	b = make([]byte, page)
	_, err = d.ReadAt(b, at)
	return b, err
}
