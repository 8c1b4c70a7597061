// Package rawdisk opens disks, partitions and images of them, and reads what
// stands on the medium.
//
// The kernel keeps what is read of a block device in the page cache of its
// node. A file system that is mounted writes past that cache, and so does the
// kernel when it hibernates: who reads through it can get what stood there
// yesterday. Block devices are therefore read and written with O_DIRECT
// (open(2)); files have one cache for all, and need none of it.
package rawdisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// minBlock is the least that is read at once, a multiple of the sectors of
	// 512 and of 4096 bytes that disks have, and what memory is aligned to.
	minBlock = 4096
	// maxRead is the most that is read at once, and must be a multiple of the
	// block.
	maxRead = 1 << 20
)

// Disk is an open block device or file. Its methods may be called
// concurrently.
type Disk struct {
	file    *os.File
	size    int64
	block   int64     // of direct access, in bytes; 0 of a file
	buffers sync.Pool // *[]byte of maxRead bytes, aligned
}

// Open opens a block device or a file, flag being os.O_RDONLY or os.O_RDWR.
func Open(name string, flag int) (*Disk, error) {
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	d := &Disk{file: f}
	if err := d.prepare(flag); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return d, nil
}

// prepare finds the size and turns to direct access.
func (d *Disk) prepare(flag int) error {
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return unix.EISDIR
	}
	// Seeking finds the size of block devices too; Stat does not.
	if d.size, err = d.file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if info.Mode()&(os.ModeDevice|os.ModeCharDevice) != os.ModeDevice {
		return nil
	}
	fd := d.file.Fd()
	sector, err := unix.IoctlGetUint32(int(fd), unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("size of a sector: %w", err)
	}
	d.block = max(minBlock, int64(sector))
	if maxRead%d.block != 0 {
		return fmt.Errorf("sectors of %d bytes, expected a power of two up to %d", sector, maxRead)
	}
	if _, err := unix.FcntlInt(fd, unix.F_SETFL, flag|unix.O_DIRECT); err != nil {
		return fmt.Errorf("direct access: %w", err)
	}
	d.buffers.New = func() any {
		b := alignedBuffer(maxRead, int(d.block))
		return &b
	}
	return nil
}

// alignedBuffer returns size bytes that begin at a multiple of align, as the
// kernel asks for. What Go has allocated stays where it is.
func alignedBuffer(size, align int) []byte {
	b := make([]byte, size+align)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (align - 1)
	return b[skip : skip+size : skip+size]
}

// Size returns the size in bytes, which it had when it was opened.
func (d *Disk) Size() int64 { return d.size }

// Name returns the name it was opened by.
func (d *Disk) Name() string { return d.file.Name() }

// Stat describes the file or device, as that of os.File.
func (d *Disk) Stat() (fs.FileInfo, error) { return d.file.Stat() }

// SyscallConn gives access to the descriptor, as that of os.File. It is for
// package sparse, which asks for the holes of a file.
func (d *Disk) SyscallConn() (syscall.RawConn, error) { return d.file.SyscallConn() }

// Sync waits until what was written is on the medium.
func (d *Disk) Sync() error { return d.file.Sync() }

// Close closes it.
func (d *Disk) Close() error { return d.file.Close() }

// ReadAt implements io.ReaderAt, for any place and length.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if d.block == 0 || off < 0 {
		return d.file.ReadAt(p, off) // which refuses what is negative
	}
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	n := 0
	for n < len(p) {
		got, err := d.readBlocks(p[n:], off+int64(n), *buf)
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readBlocks reads the blocks around what begins at off into buf, as many as
// it takes or holds, and returns how much of p they fill. That is all of it, or
// something, or there is an error.
func (d *Disk) readBlocks(p []byte, off int64, buf []byte) (int, error) {
	if off >= d.size {
		return 0, io.EOF
	}
	start := off - off%d.block
	skip := int(off - start)
	want := len(buf)
	if n := skip + len(p); n < want {
		want = (n + int(d.block) - 1) / int(d.block) * int(d.block)
	}
	// The last block may be a part of one, of whole sectors.
	want = int(min(int64(want), d.size-start))
	got, err := d.file.ReadAt(buf[:want], start)
	n := copy(p, buf[min(skip, got):got])
	if n == len(p) || err == nil && n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteAt implements io.WriterAt. To a block device it writes whole blocks of
// 4096 bytes, or of a sector where that is larger, at multiples of it.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	if d.block == 0 || off < 0 {
		return d.file.WriteAt(p, off)
	}
	if int64(len(p))%d.block != 0 || off%d.block != 0 || off > d.size-int64(len(p)) {
		return 0, fmt.Errorf("%s: write of %d bytes at %d: expected blocks of %d bytes within %d", d.Name(), len(p), off, d.block, d.size)
	}
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	n := 0
	for n < len(p) {
		part := (*buf)[:copy(*buf, p[n:])]
		got, err := d.file.WriteAt(part, off+int64(n))
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
