package btrfs

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// fileExtents is the content of a regular file as the tree describes it.
type fileExtents struct {
	items  []extentItem
	inline inlineFile // used when size is not 0
	own    int        // index in extentTable from which extents were made for this file
}

// extentItem is a regular or preallocated EXTENT_DATA item to be.
type extentItem struct {
	fileOffset uint64
	length     uint64 // in the file
	extent     int    // index in extentTable
	offset     uint64 // into the uncompressed extent
	prealloc   bool
}

// inlineFile is a file whose content stands in the tree.
type inlineFile struct {
	data       []byte
	size       uint64 // uncompressed
	compressed bool
}

// bytes returns what counts as allocated for the file, uncompressed.
func (f *fileExtents) bytes() uint64 {
	total := f.inline.size
	for i := range f.items {
		total += f.items[i].length
	}
	return total
}

// sharedBlocks finds the place of a block by the hash of its content. Workers
// ask it, the writer fills it.
type sharedBlocks struct {
	mu    sync.RWMutex
	bySum map[[sha256.Size]byte]sharedBlock
}

// sharedBlock is where a block was placed.
type sharedBlock struct {
	extent int
	offset uint64
}

func (s *sharedBlocks) has(sum [sha256.Size]byte) bool {
	_, ok := s.find(sum)
	return ok
}

func (s *sharedBlocks) find(sum [sha256.Size]byte) (sharedBlock, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.bySum[sum]
	return b, ok
}

func (s *sharedBlocks) put(sum [sha256.Size]byte, b sharedBlock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bySum[sum] = b
}

// takeFile places the blocks of a file as they come out of the pipeline.
func (v *volumeWriter) takeFile(n node) (fileExtents, error) {
	f := fileExtents{own: len(v.extents.list)}
	if !readsContent(n) {
		return f, nil
	}
	start := v.done
	for last := false; !last; {
		b, err := v.pipe.next(v.ctx)
		if err != nil {
			v.pipe.abandon(b)
			return f, err
		}
		if b.entry != n.real {
			return f, fmt.Errorf("pipeline: block of %s where %s was expected", b.entry.Path(), n.path())
		}
		if err := v.takeBlock(&f, b); err != nil {
			v.pipe.abandon(b)
			return f, err
		}
		v.reached(start + b.offset + int64(b.length))
		last = b.last
		if last && b.file != nil {
			if err := b.file.Close(); err != nil {
				return f, err
			}
		}
		v.pipe.free <- b
	}
	v.reached(start + n.real.Size)
	return f, nil
}

// takeBlock puts a block where the next one belongs, or refers to an equal one
// that was placed before.
func (v *volumeWriter) takeBlock(f *fileExtents, b *block) error {
	if b.length == 0 {
		return nil
	}
	v.result.DataBytes += int64(b.length)
	if b.inline {
		v.inline = append(v.inline[:0], b.stored...)
		f.inline = inlineFile{data: v.inline, size: uint64(b.length), compressed: b.compressed}
		return nil
	}
	length := uint64(roundUp(b.length, ondisk.SectorSize))
	if b.share {
		if at, ok := v.shared.find(b.sum); ok {
			v.result.SharedBytes += int64(b.length)
			f.add(extentItem{fileOffset: uint64(b.offset), length: length, extent: at.extent, offset: at.offset}, v.extents)
			return nil
		}
	}
	at, err := v.placeBlock(f, b, length)
	if err != nil {
		return err
	}
	if b.share {
		v.shared.put(b.sum, at)
	}
	f.add(extentItem{fileOffset: uint64(b.offset), length: length, extent: at.extent, offset: at.offset}, v.extents)
	return nil
}

// maxPlainExtent is the longest extent that is not compressed. The kernel makes
// them up to 128 MiB, but balance moves an extent only as a whole, into chunks
// that it makes a tenth of the device long: in a small image longer ones could
// not be moved.
const maxPlainExtent = 8 << 20

// placeBlock writes a block into free space and returns its place. Plain
// blocks that follow each other in the file and on the device become one
// extent.
func (v *volumeWriter) placeBlock(f *fileExtents, b *block, length uint64) (sharedBlock, error) {
	size := uint64(len(b.stored))
	logical, physical, kept := v.space.allocData(size, b.sums)
	v.result.StoredBytes += int64(size)
	if kept {
		v.result.KeptBytes += int64(size)
	}
	if err := v.data.write(b.stored, physical); err != nil {
		return sharedBlock{}, err
	}
	v.csums.add(logical, b.sums)
	if b.compressed {
		return sharedBlock{extent: v.extents.add(dataExtent{logical: logical, length: size, ram: length})}, nil
	}
	if at, ok := v.grow(f, b, logical); ok {
		return at, nil
	}
	return sharedBlock{extent: v.extents.add(dataExtent{logical: logical, length: size})}, nil
}

// grow lengthens the file's last extent by a plain block, if the block follows
// it in the file and in the same chunk. An extent of another file is not
// touched: its items are written already.
func (v *volumeWriter) grow(f *fileExtents, b *block, logical ondisk.Logical) (sharedBlock, bool) {
	if len(f.items) == 0 {
		return sharedBlock{}, false
	}
	last := f.items[len(f.items)-1]
	if last.extent < f.own || last.extent != len(v.extents.list)-1 {
		return sharedBlock{}, false
	}
	e := &v.extents.list[last.extent]
	size := uint64(len(b.stored))
	inFile := last.fileOffset+last.length == uint64(b.offset) && last.offset+last.length == e.length
	onDevice := e.logical+ondisk.Logical(e.length) == logical && v.space.find(e.logical) == v.space.find(logical)
	if e.ram > 0 || !inFile || !onDevice || e.length+size > maxPlainExtent {
		return sharedBlock{}, false
	}
	at := sharedBlock{extent: last.extent, offset: e.length}
	e.length += size
	return at, true
}

// add appends an item, or lengthens the last one when both are one run of a
// plain extent.
func (f *fileExtents) add(item extentItem, t *extentTable) {
	if n := len(f.items); n > 0 && t.list[item.extent].ram == 0 {
		last := &f.items[n-1]
		if last.extent == item.extent && last.fileOffset+last.length == item.fileOffset && last.offset+last.length == item.offset {
			last.length += item.length
			return
		}
	}
	f.items = append(f.items, item)
}

// writeExtents emits the EXTENT_DATA items of a file and counts its references.
func (v *volumeWriter) writeExtents(ino uint64, f fileExtents) error {
	if f.inline.size > 0 {
		return v.writeInline(ino, f.inline)
	}
	for _, item := range f.items {
		e := v.extents.list[item.extent]
		data := ondisk.FileExtent{
			Generation: generation, Kind: ondisk.ExtentRegular, RAMBytes: e.length,
			DiskBytenr: e.logical, DiskNumBytes: e.length, Offset: item.offset, NumBytes: item.length,
		}
		if e.ram > 0 {
			data.RAMBytes, data.Compression = e.ram, ondisk.CompressZstd
		}
		if item.prealloc {
			data.Kind = ondisk.ExtentPrealloc
		}
		v.buf = data.Append(v.buf[:0])
		if err := v.emit(ino, ondisk.TypeExtentData, item.fileOffset, v.buf); err != nil {
			return err
		}
		v.extents.refer(item.extent, extentRef{vol: v.vol, ino: ino, offset: item.fileOffset - item.offset, count: 1})
	}
	return nil
}

func (v *volumeWriter) writeInline(ino uint64, f inlineFile) error {
	data := ondisk.FileExtent{Generation: generation, Kind: ondisk.ExtentInline, RAMBytes: f.size, Inline: f.data}
	if f.compressed {
		data.Compression = ondisk.CompressZstd
	}
	v.buf = data.Append(v.buf[:0])
	return v.emit(ino, ondisk.TypeExtentData, 0, v.buf)
}
