package btrfs

import (
	"iter"
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// PlacesOf finds where a file system has its data and its tree blocks. It reads the
// trees, not the data. Errors are of class fault.Input.
func PlacesOf(f *reader.FS) (*Places, error) {
	places := newPlaces(f.Super().Checksum)
	for _, c := range f.Chunks() {
		places.addChunk(c.Logical, c.Chunk)
	}
	if err := places.check(); err != nil {
		return nil, fault.New(fault.Input, hintCheck, "%w", err)
	}
	o := &oldReader{fs: f, places: places, skinny: f.Super().IncompatFlags&ondisk.IncompatSkinnyMetadata != 0}
	sums, stop := newSumReader(f, places.addSums)
	defer stop()
	o.sums = sums
	for item, err := range f.Items(ondisk.ExtentTree, ondisk.Key{}, lastKey) {
		if err == nil && (item.Key.Type == ondisk.TypeExtentItem || item.Key.Type == ondisk.TypeMetadataItem) {
			err = o.add(item)
		}
		if err != nil {
			return nil, err
		}
	}
	places.sortBlocks()
	if err := places.addNames(f); err != nil {
		return nil, err
	}
	return places, nil
}

// oldReader finds what the items of the extent tree name.
type oldReader struct {
	fs     *reader.FS
	places *Places
	sums   *sumReader
	skinny bool // the items of tree blocks have their level in the key
}

func (o *oldReader) add(item ondisk.Item) error {
	extent, level, refs, err := ondisk.DecodeExtentItem(item.Data, o.skinny)
	if err != nil {
		return fault.New(fault.Input, hintCheck, "extent %v: %w", item.Key, err)
	}
	at := ondisk.Logical(item.Key.ObjectID)
	switch {
	case extent.Flags&ondisk.ExtentFlagData != 0:
		err = o.addData(at, item.Key.Offset, refs)
	case o.fs.Super().NodeSize == ondisk.NodeSize:
		if item.Key.Type == ondisk.TypeMetadataItem {
			level = uint8(item.Key.Offset)
		}
		err = o.addBlock(reader.BlockRef{Bytenr: at, Generation: extent.Generation, Level: level})
	}
	if err != nil {
		return fault.New(fault.Input, hintCheck, "%w", err)
	}
	return nil
}

func (o *oldReader) addData(at ondisk.Logical, length uint64, refs []ondisk.InlineRef) error {
	sums, err := o.sums.of(at, length)
	if err != nil {
		return err
	}
	return o.places.addExtent(at, length, inFile(refs), sums)
}

// addBlock reads with which key a tree block begins.
func (o *oldReader) addBlock(ref reader.BlockRef) error {
	raw, header, err := o.fs.ReadBlock(ref)
	if err != nil || header.NrItems == 0 {
		return err
	}
	first, err := ondisk.DecodeKey(raw[ondisk.HeaderSize:])
	if err != nil {
		return err
	}
	o.places.addBlock(ref.Bytenr, header.Owner, header.Level, first)
	return nil
}

const hintCheck = "check it with mkimage check"

// inFile returns the byte of a file that an extent begins with, or 0 where another
// item has it.
func inFile(refs []ondisk.InlineRef) uint64 {
	for _, r := range refs {
		if r.Type == ondisk.TypeExtentDataRef {
			return r.Data.Offset
		}
	}
	return 0
}

// sumReader reads the checksums of a file system once, in the order of addresses.
type sumReader struct {
	next func() (ondisk.Item, error, bool)
	note func(at ondisk.Logical) // is told where items start
	size uint64                  // of one checksum
	at   uint64                  // the sector that rest begins with
	rest []byte
}

func newSumReader(f *reader.FS, note func(ondisk.Logical)) (s *sumReader, stop func()) {
	key := ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum}
	last := key
	last.Offset = math.MaxUint64
	s = &sumReader{note: note, size: uint64(f.Super().Checksum.Size())}
	s.next, stop = iter.Pull2(f.Items(ondisk.CsumTree, key, last))
	return s, stop
}

// of returns the checksums of the sectors of an extent, or nil where not all have
// one. Extents must come in the order of their addresses.
func (s *sumReader) of(at ondisk.Logical, length uint64) ([]byte, error) {
	var all []byte
	need := length / ondisk.SectorSize * s.size
	for start := uint64(at); uint64(len(all)) < need; start = uint64(at) + uint64(len(all))/s.size*ondisk.SectorSize {
		if ok, err := s.reach(start); !ok || err != nil {
			return nil, err
		}
		n := min(need-uint64(len(all)), uint64(len(s.rest)))
		all = append(all, s.rest[:n]...)
	}
	return all, nil
}

// reach drops what lies before a sector, and reports whether it has a checksum.
func (s *sumReader) reach(sector uint64) (bool, error) {
	for s.at+uint64(len(s.rest))/s.size*ondisk.SectorSize <= sector {
		item, err, more := s.next()
		if err != nil || !more {
			return false, err
		}
		s.note(ondisk.Logical(item.Key.Offset))
		s.at, s.rest = item.Key.Offset, item.Data[:uint64(len(item.Data))/s.size*s.size]
	}
	if s.at > sector {
		return false, nil
	}
	s.rest = s.rest[(sector-s.at)/ondisk.SectorSize*s.size:]
	s.at = sector
	return true, nil
}
