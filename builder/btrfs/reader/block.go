package reader

import (
	"errors"
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// AnySubvolume as a BlockRef's Owner accepts the id of any subvolume: blocks
// below the root of a subvolume may be shared with its snapshots.
const AnySubvolume = ^uint64(0)

// BlockRef is what the referrer of a tree block knows about it.
type BlockRef struct {
	Bytenr     ondisk.Logical
	Generation uint64
	Level      uint8
	Owner      uint64      // the tree it must name; AnySubvolume; 0 accepts any tree
	FirstKey   *ondisk.Key // the key in the parent; nil for a root block
}

// Damage is one bad copy of a range of the file system.
type Damage struct {
	Logical  ondisk.Logical
	Physical ondisk.Physical
	Copy     int  // counted from 1
	Copies   int  // how many there are
	Data     bool // file data, not a tree block
	Err      error
}

// OnDamage sets a function that is told of every bad copy that is met, also
// where another copy saved the day. It may be called from several goroutines
// at once, and must be set before the first use of f.
func (f *FS) OnDamage(report func(Damage)) { f.damage = report }

// Salvage has lists go on behind a tree block of which no copy is good: what stood
// in it is missing, without an error. OnDamage tells of each such block. It must be
// called before the first use of f.
func (f *FS) Salvage() { f.salvage = true }

func (f *FS) reportDamage(d Damage) {
	if f.damage != nil {
		f.damage(d)
	}
}

// CheckBlock makes all checks that need no other block: size, checksum,
// address, file system, level, generation, owner, flags, form of the content,
// order of keys, first key.
func (f *FS) CheckBlock(raw []byte, ref BlockRef) (ondisk.Header, error) {
	b, err := f.parseBlock(raw, ref)
	if err != nil {
		return ondisk.Header{}, err
	}
	return b.header, nil
}

// ReadBlock returns a tree block that passes CheckBlock, from the cache or
// from the first good copy. The block is shared and must not be changed.
func (f *FS) ReadBlock(ref BlockRef) ([]byte, ondisk.Header, error) {
	b, err := f.readBlock(ref)
	if err != nil {
		return nil, ondisk.Header{}, err
	}
	return b.raw, b.header, nil
}

func (f *FS) readBlock(ref BlockRef) (*block, error) {
	if b := f.cache.get(ref.Bytenr); b != nil && f.checkRef(b, ref) == nil {
		return b, nil
	}
	size := int64(f.super.NodeSize)
	copies, err := f.Copies(ref.Bytenr, size)
	if err != nil {
		return nil, fault.New(fault.Input, hintDamaged, "tree block: %w", err)
	}
	var bad []error
	for i, at := range copies {
		raw := make([]byte, size)
		err := f.ReadCopy(raw, at)
		if err == nil {
			var b *block
			if b, err = f.parseBlock(raw, ref); err == nil {
				f.cache.put(b)
				return b, nil
			}
		}
		f.reportDamage(Damage{Logical: ref.Bytenr, Physical: at, Copy: i + 1, Copies: len(copies), Err: err})
		bad = append(bad, fmt.Errorf("copy %d at physical %d: %w", i+1, at, err))
	}
	return nil, fault.New(fault.Input, hintDamaged, "tree block %d: %w", ref.Bytenr, errors.Join(bad...))
}

func (f *FS) parseBlock(raw []byte, ref BlockRef) (*block, error) {
	if len(raw) != int(f.super.NodeSize) {
		return nil, fmt.Errorf("block of %d bytes, expected %d", len(raw), f.super.NodeSize)
	}
	if !f.super.Checksum.Verify(raw) {
		return nil, fmt.Errorf("wrong %v checksum", f.super.Checksum)
	}
	header, err := ondisk.DecodeHeader(raw)
	if err != nil {
		return nil, err
	}
	b := &block{raw: raw, header: header}
	if header.Level == 0 {
		b.items, err = ondisk.DecodeLeaf(raw)
	} else {
		b.ptrs, err = ondisk.DecodeNode(raw)
	}
	if err != nil {
		return nil, err
	}
	if err := f.checkRef(b, ref); err != nil {
		return nil, err
	}
	return b, nil
}

// checkRef compares a block with what its referrer knows of it.
func (f *FS) checkRef(b *block, ref BlockRef) error {
	h := &b.header
	switch {
	case h.Bytenr != ref.Bytenr:
		return fmt.Errorf("says that it stands at %d, expected %d", h.Bytenr, ref.Bytenr)
	case h.FSID != f.metaUUID:
		return fmt.Errorf("belongs to file system %x, expected %x", h.FSID, f.metaUUID)
	case h.Flags&ondisk.FlagWritten == 0:
		return fmt.Errorf("flags %#x, expected WRITTEN", h.Flags)
	case h.Level != ref.Level:
		return fmt.Errorf("level %d, expected %d", h.Level, ref.Level)
	case h.Generation != ref.Generation:
		return fmt.Errorf("generation %d, expected %d", h.Generation, ref.Generation)
	}
	switch {
	case ref.Owner == AnySubvolume && !ondisk.IsSubvolume(h.Owner):
		return fmt.Errorf("belongs to tree %d, expected a subvolume", h.Owner)
	case ref.Owner != AnySubvolume && ref.Owner != 0 && h.Owner != ref.Owner:
		return fmt.Errorf("belongs to tree %d, expected %d", h.Owner, ref.Owner)
	}
	if ref.FirstKey != nil {
		if first, ok := b.firstKey(); !ok {
			return fmt.Errorf("empty, expected first key %v", *ref.FirstKey)
		} else if first != *ref.FirstKey {
			return fmt.Errorf("first key %v, its parent says %v", first, *ref.FirstKey)
		}
	}
	return nil
}
