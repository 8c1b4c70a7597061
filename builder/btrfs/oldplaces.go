package btrfs

import (
	"iter"
	"math"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// PlacesOf finds where a file system has its data. It reads the trees, not the
// data. Errors are of class fault.Input.
func PlacesOf(f *reader.FS) (*Places, error) {
	places := newPlaces(f.Super().Checksum)
	for _, c := range f.Chunks() {
		places.addChunk(c.Logical, c.Chunk)
	}
	if err := places.check(); err != nil {
		return nil, fault.New(fault.Input, hintCheck, "%w", err)
	}
	sums, stop := newSumReader(f)
	defer stop()
	skinny := f.Super().IncompatFlags&ondisk.IncompatSkinnyMetadata != 0
	last := ondisk.Key{ObjectID: math.MaxUint64, Type: math.MaxUint8, Offset: math.MaxUint64}
	for item, err := range f.Items(ondisk.ExtentTree, ondisk.Key{}, last) {
		if err != nil {
			return nil, err
		}
		if item.Key.Type != ondisk.TypeExtentItem {
			continue
		}
		extent, _, refs, err := ondisk.DecodeExtentItem(item.Data, skinny)
		if err != nil {
			return nil, fault.New(fault.Input, hintCheck, "extent %v: %w", item.Key, err)
		}
		if extent.Flags&ondisk.ExtentFlagData == 0 {
			continue
		}
		at := ondisk.Logical(item.Key.ObjectID)
		found, err := sums.of(at, item.Key.Offset)
		if err == nil {
			err = places.addExtent(at, item.Key.Offset, inFile(refs), found)
		}
		if err != nil {
			return nil, fault.New(fault.Input, hintCheck, "%w", err)
		}
	}
	return places, nil
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
	size uint64 // of one checksum
	at   uint64 // the sector that rest begins with
	rest []byte
}

func newSumReader(f *reader.FS) (s *sumReader, stop func()) {
	key := ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum}
	last := key
	last.Offset = math.MaxUint64
	s = &sumReader{size: uint64(f.Super().Checksum.Size())}
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
		s.at, s.rest = item.Key.Offset, item.Data[:uint64(len(item.Data))/s.size*s.size]
	}
	if s.at > sector {
		return false, nil
	}
	s.rest = s.rest[(sector-s.at)/ondisk.SectorSize*s.size:]
	s.at = sector
	return true, nil
}
