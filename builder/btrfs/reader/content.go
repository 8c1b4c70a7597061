package reader

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// File is an open regular file. It reads, seeks and reads at offsets; ReadAt
// may be called concurrently.
type File struct {
	*io.SectionReader
	info *info
}

// Stat describes the file.
func (f *File) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close does nothing.
func (f *File) Close() error { return nil }

func newFile(f *FS, o *object, info *info) fs.File {
	if !o.isRegular() {
		return &special{info}
	}
	return &File{SectionReader: io.NewSectionReader(newContent(f, o), 0, int64(o.inode.Size)), info: info}
}

// special is an open device, fifo or socket: there is nothing to read here.
type special struct{ info *info }

func (s *special) Stat() (fs.FileInfo, error) { return s.info, nil }
func (s *special) Close() error               { return nil }
func (s *special) Read([]byte) (int, error)   { return 0, pathError("read", s.info.name, errNotRegular) }

// content reads the bytes of an inode.
type content struct {
	fs     *FS
	object *object

	mu       sync.Mutex
	unpacked []byte         // the last extent that was decompressed
	from     ondisk.Logical // where it stands; 0 for none
}

func newContent(f *FS, o *object) *content { return &content{fs: f, object: o} }

// extent is a file extent that passed its checks.
type extent struct {
	ondisk.FileExtent
	start, length int64 // in the file
}

func (e *extent) end() int64   { return e.start + e.length }
func (e *extent) isHole() bool { return e.Kind != ondisk.ExtentInline && e.DiskBytenr == 0 }

// hasZeros reports whether the extent reads as zeros.
func (e *extent) hasZeros() bool { return e.Kind == ondisk.ExtentPrealloc || e.isHole() }

// parseExtent decodes and checks one EXTENT_DATA item.
func (o *object) parseExtent(item ondisk.Item) (extent, error) {
	fe, err := ondisk.DecodeFileExtent(item.Data)
	if err != nil {
		return extent{}, o.damaged("%v: %w", item.Key, err)
	}
	e := extent{FileExtent: fe}
	if fe.Kind == ondisk.ExtentInline {
		err = e.checkInline(item.Key.Offset)
	} else {
		err = e.checkRegular(item.Key.Offset)
	}
	if err != nil {
		return extent{}, o.damaged("%v: %w", item.Key, err)
	}
	return e, nil
}

func (e *extent) checkInline(start uint64) error {
	if start != 0 || e.RAMBytes > ondisk.MaxCompress {
		return fmt.Errorf("inline extent of %d bytes, expected at most %d at the start of a file", e.RAMBytes, ondisk.MaxCompress)
	}
	if e.Compression == ondisk.CompressNone && uint64(len(e.Inline)) != e.RAMBytes {
		return fmt.Errorf("inline extent with %d bytes of data, expected %d", len(e.Inline), e.RAMBytes)
	}
	e.length = int64(e.RAMBytes)
	return nil
}

func (e *extent) checkRegular(start uint64) error {
	if (start|e.NumBytes|e.Offset|e.DiskNumBytes|uint64(e.DiskBytenr))%ondisk.SectorSize != 0 {
		return fmt.Errorf("extent with lengths or places that are not multiples of %d", ondisk.SectorSize)
	}
	if e.NumBytes == 0 || e.NumBytes > math.MaxInt64 || start > math.MaxInt64-e.NumBytes {
		return fmt.Errorf("extent of %d bytes at %d", e.NumBytes, start)
	}
	e.start, e.length = int64(start), int64(e.NumBytes)
	if e.isHole() {
		return nil
	}
	whole := e.DiskNumBytes
	if e.Compression != ondisk.CompressNone {
		whole = e.RAMBytes
		if e.RAMBytes > ondisk.MaxCompress || e.DiskNumBytes > ondisk.MaxCompress {
			return fmt.Errorf("compressed extent of %d bytes for %d, expected at most %d", e.DiskNumBytes, e.RAMBytes, ondisk.MaxCompress)
		}
	}
	if e.Offset > whole || e.NumBytes > whole-e.Offset {
		return fmt.Errorf("%d bytes from %d of an extent of %d bytes", e.NumBytes, e.Offset, whole)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	size := int64(c.object.inode.Size)
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, fs.ErrInvalid)
	}
	if off >= size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > size-off {
		p, end = p[:size-off], io.EOF
	}
	clear(p)
	if err := c.fill(p, off); err != nil {
		return 0, err
	}
	return len(p), end
}

// fill writes the extents that meet [off, off+len(p)) into p, which is zeros.
func (c *content) fill(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	o, end := c.object, off+int64(len(p))
	from := ondisk.Key{ObjectID: o.ino, Type: ondisk.TypeExtentData, Offset: uint64(off)}
	to := ondisk.Key{ObjectID: o.ino, Type: ondisk.TypeExtentData, Offset: uint64(end - 1)}
	before, ok, err := c.fs.floor(o.tree, from)
	if err != nil {
		return err
	}
	if ok && before.Key.ObjectID == from.ObjectID && before.Key.Type == from.Type {
		from = before.Key
	}
	var last int64 // where the extent before ended
	for item, err := range c.fs.Items(o.tree, from, to) {
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
		low, high := max(e.start, off), min(e.end(), end)
		if low >= high || e.hasZeros() {
			continue
		}
		if err := c.readExtent(p[low-off:high-off], &e, low-e.start); err != nil {
			return fmt.Errorf("%s: %w", o, err)
		}
	}
	return nil
}

// readExtent fills p from the bytes of e that begin at skip. A file without
// checksums has none for any of its extents; compressed ones always have.
func (c *content) readExtent(p []byte, e *extent, skip int64) error {
	hasSums := c.object.inode.Flags&ondisk.InodeNoDataSum == 0
	if e.Kind == ondisk.ExtentInline && e.Compression == ondisk.CompressNone {
		copy(p, e.Inline[skip:])
		return nil
	}
	if e.Compression == ondisk.CompressNone {
		return c.fs.readData(e.DiskBytenr+ondisk.Logical(e.Offset)+ondisk.Logical(skip), p, hasSums)
	}
	data, err := c.unpack(e, hasSums)
	if err != nil {
		return err
	}
	copy(p, data[int64(e.Offset)+skip:])
	return nil
}

// unpack returns the whole uncompressed extent. The last one is kept, since
// readers that go through a file come back for its next part.
func (c *content) unpack(e *extent, hasSums bool) ([]byte, error) {
	if e.Kind == ondisk.ExtentInline {
		return c.fs.unpack.decompress(e.Compression, e.Inline, e.RAMBytes)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from == e.DiskBytenr && uint64(len(c.unpacked)) == e.RAMBytes {
		return c.unpacked, nil
	}
	packed := make([]byte, e.DiskNumBytes)
	if err := c.fs.readData(e.DiskBytenr, packed, hasSums); err != nil {
		return nil, err
	}
	data, err := c.fs.unpack.decompress(e.Compression, packed, e.RAMBytes)
	if err != nil {
		return nil, fmt.Errorf("extent at logical %d: %w", e.DiskBytenr, err)
	}
	c.unpacked, c.from = data, e.DiskBytenr
	return data, nil
}
