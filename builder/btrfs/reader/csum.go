package reader

import (
	"errors"
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxRead bounds one read of file data, so that memory does not depend on the
// sizes of extents.
const maxRead = 128 << 10

// TrustData turns the verification of file data against the checksum tree off,
// to get at what is left of damaged files. It must be called before the first
// use of f.
func (f *FS) TrustData() { f.trust = true }

// readData fills p from the data extent area at l, verified unless the file
// has no checksums. Checksums cover sectors, so it reads whole ones.
func (f *FS) readData(l ondisk.Logical, p []byte, hasSums bool) error {
	for len(p) > 0 {
		skip := int(l % ondisk.SectorSize)
		if skip == 0 && len(p) >= ondisk.SectorSize {
			n := min(len(p)/ondisk.SectorSize*ondisk.SectorSize, maxRead)
			if err := f.readSectors(l, p[:n], hasSums); err != nil {
				return err
			}
			l, p = l+ondisk.Logical(n), p[n:]
			continue
		}
		var sector [ondisk.SectorSize]byte
		if err := f.readSectors(l-ondisk.Logical(skip), sector[:], hasSums); err != nil {
			return err
		}
		n := copy(p, sector[skip:])
		l, p = l+ondisk.Logical(n), p[n:]
	}
	return nil
}

// readSectors fills p, whole sectors, from the first copy that is good, sector
// by sector.
func (f *FS) readSectors(l ondisk.Logical, p []byte, hasSums bool) error {
	copies, err := f.Copies(l, int64(len(p)))
	if err != nil {
		return fault.New(fault.Input, hintDamaged, "file data: %w", err)
	}
	var sums []byte
	if hasSums && !f.trust {
		if sums, err = f.dataSums(l, len(p)/ondisk.SectorSize); err != nil {
			return err
		}
	}
	var bad []error
	missing := make([]bool, len(p)/ondisk.SectorSize) // sectors without a good copy so far
	for i := range missing {
		missing[i] = true
	}
	buf := p
	for i, at := range copies {
		if i > 0 {
			buf = make([]byte, len(p))
		}
		err := f.ReadCopy(buf, at)
		if err == nil {
			err = f.takeGood(p, buf, missing, sums)
		}
		if err == nil {
			return nil
		}
		f.reportDamage(Damage{Logical: l, Physical: at, Copy: i + 1, Copies: len(copies), Data: true, Err: err})
		bad = append(bad, fmt.Errorf("copy %d at physical %d: %w", i+1, at, err))
	}
	return fault.New(fault.Input, hintDamaged, "file data at logical %d: %w", l, errors.Join(bad...))
}

// takeGood copies the missing sectors that have the right checksum from buf to
// p. It returns an error while any is missing.
func (f *FS) takeGood(p, buf []byte, missing []bool, sums []byte) error {
	size := f.super.Checksum.Size()
	var failed error
	var sum [ondisk.ChecksumSize]byte
	for i := range missing {
		if !missing[i] {
			continue
		}
		from, to := i*ondisk.SectorSize, (i+1)*ondisk.SectorSize
		if sums != nil && string(f.super.Checksum.Append(sum[:0], buf[from:to])) != string(sums[i*size:(i+1)*size]) {
			if failed == nil {
				failed = fmt.Errorf("wrong %v checksum of the sector at +%d", f.super.Checksum, from)
			}
			continue
		}
		copy(p[from:to], buf[from:to])
		missing[i] = false
	}
	return failed
}

// dataSums returns the checksums of n sectors from l on.
func (f *FS) dataSums(l ondisk.Logical, n int) ([]byte, error) {
	size := f.super.Checksum.Size()
	sums := make([]byte, 0, n*size)
	from := ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum, Offset: uint64(l)}
	to := from
	to.Offset += uint64(n-1) * ondisk.SectorSize
	first, ok, err := f.floor(ondisk.CsumTree, from)
	if err != nil {
		return nil, err
	}
	if ok && first.Key.ObjectID == from.ObjectID && first.Key.Type == from.Type {
		from = first.Key
	}
	for item, err := range f.Items(ondisk.CsumTree, from, to) {
		if err != nil {
			return nil, err
		}
		next := uint64(l) + uint64(len(sums)/size)*ondisk.SectorSize
		if len(item.Data)%size != 0 || item.Key.Offset%ondisk.SectorSize != 0 {
			return nil, fault.New(fault.Input, hintDamaged, "checksums %v: %d bytes, expected a multiple of %d", item.Key, len(item.Data), size)
		}
		if item.Key.Offset > next {
			break
		}
		skip := (next - item.Key.Offset) / ondisk.SectorSize
		if skip >= uint64(len(item.Data)/size) {
			continue
		}
		have := item.Data[int(skip)*size:]
		sums = append(sums, have[:min(len(have), n*size-len(sums))]...)
	}
	if len(sums) != n*size {
		return nil, fault.New(fault.Input, hintDamaged, "file data at logical %d: there is no checksum", uint64(l)+uint64(len(sums)/size)*ondisk.SectorSize)
	}
	return sums, nil
}
