package imaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	sector     = 512
	smallBlock = 8 * sector
)

// badDisk is a disk with bad sectors.
type badDisk struct {
	data  []byte
	bad   map[int64]bool // by number
	part  bool           // a read returns what lies before the bad sector
	reads map[int64]int  // of bad sectors
	calls int
	fails func(call int) error // of all of the disk; may be nil
	here  error
}

func newBadDisk(size int64, bad ...int64) *badDisk {
	d := &badDisk{data: make([]byte, size), bad: map[int64]bool{}, reads: map[int64]int{}}
	for i := range d.data {
		if i/sector%5 != 3 { // some sectors are zeros
			d.data[i] = byte(i/sector) | byte(i)<<3 | 1
		}
	}
	for _, b := range bad {
		d.bad[b] = true
	}
	return d
}

func (d *badDisk) Size() int64   { return int64(len(d.data)) }
func (d *badDisk) Block() int64  { return sector }
func (d *badDisk) Sector() int64 { return sector }
func (d *badDisk) Here() error   { return d.here }

func (d *badDisk) ReadAt(p []byte, at int64) (int, error) {
	d.calls++
	if d.fails != nil {
		if err := d.fails(d.calls); err != nil {
			return 0, err
		}
	}
	if at%sector != 0 || len(p)%sector != 0 && at+int64(len(p)) != d.Size() {
		return 0, unix.EINVAL // as with O_DIRECT
	}
	first := int64(-1)
	for s := at / sector; s*sector < at+int64(len(p)); s++ {
		if d.bad[s] {
			d.reads[s]++
			if first < 0 {
				first = s
			}
		}
	}
	switch {
	case first < 0:
		return copy(p, d.data[at:]), nil
	case d.part:
		// A part of the bad sector may come along.
		return copy(p, d.data[at:min(first*sector+37, d.Size())]), unix.EIO
	}
	return 0, unix.EIO
}

// memory is a target with a cache: what was not synced is lost by a power cut.
type memory struct {
	cache, disk []byte
	calls       int
	fails       func(call int) error // may be nil
}

// newMemory returns a target that holds what is not of the disk.
func newMemory(size int64) *memory {
	return &memory{cache: bytes.Repeat([]byte{0xee}, int(size)), disk: bytes.Repeat([]byte{0xee}, int(size))}
}

func (m *memory) call() error {
	m.calls++
	if m.fails != nil {
		return m.fails(m.calls)
	}
	return nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if err := m.call(); err != nil {
		return 0, err
	}
	return copy(m.cache[at:at+int64(len(p))], p), nil
}

func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	n := copy(p, m.cache[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) Zero(at, length int64) error {
	if err := m.call(); err != nil {
		return err
	}
	clear(m.cache[at : at+length])
	return nil
}

func (m *memory) Sync() error {
	if err := m.call(); err != nil {
		copy(m.cache, m.disk) // as the kernel does: it forgets what it could not write
		return err
	}
	copy(m.disk, m.cache)
	return nil
}

// job is a run on a disk in memory.
type job struct {
	from    *badDisk
	to      *memory
	saved   []byte // the map
	retries int
	trust   bool
	small   bool // blocks have eight sectors, and the map is saved after each step
	saves   func(call int) error
	calls   int
}

func (j *job) copy(ctx context.Context) (*Report, error) {
	m := NewMap(j.from.Size())
	if j.saved != nil {
		var err error
		if m, err = DecodeMap(j.saved, j.from.Size()); err != nil {
			return nil, err
		}
	}
	r := Request{Source: j.from, Target: j.to, Map: m, Retries: j.retries, Trust: j.trust, Save: func(text []byte) error {
		j.calls++
		if j.saves != nil {
			if err := j.saves(j.calls); err != nil {
				return err
			}
		}
		j.saved = text
		return nil
	}}
	if !j.small {
		return Copy(ctx, r)
	}
	r.Every = 1
	c := newCopier(ctx, r)
	c.block = smallBlock
	if err := c.run(); err != nil {
		return nil, err
	}
	return m.report(), nil
}

// done is an error unless the target has all that can be read, zeros for the rest,
// and the map says which is which.
func (j *job) done(report *Report) error {
	m, err := DecodeMap(j.saved, j.from.Size())
	if err != nil {
		return err
	}
	var bad int64
	for at := int64(0); at < j.from.Size(); at += sector {
		end := min(at+sector, j.from.Size())
		want, status := j.from.data[at:end], Rescued
		if j.from.bad[at/sector] {
			want, status = make([]byte, end-at), Bad
			bad += end - at
		}
		if got := m.parts[m.index(at)]; got.Status != status || got.end() < end {
			return fmt.Errorf("sector %d: the map says %c, expected %c", at/sector, got.Status, status)
		}
		if !bytes.Equal(want, j.to.disk[at:end]) {
			return fmt.Errorf("sector %d, %c: is not in the target as it is on the disk", at/sector, status)
		}
	}
	if m.Position.Status != Rescued || report.Bad != bad || report.Rescued != j.from.Size()-bad || int64(len(report.BadParts)) != int64(report.BadCount) {
		return fmt.Errorf("position %+v, report %+v; want %d bytes to be bad", m.Position, report, bad)
	}
	for s, n := range j.from.reads {
		if n > 2+j.retries {
			return fmt.Errorf("bad sector %d: was read %d times, expected %d at most", s, n, 2+j.retries)
		}
	}
	return nil
}

// true is an error unless all that the saved map calls rescued is on the target.
func (j *job) true() error {
	if j.saved == nil {
		return nil
	}
	m, err := DecodeMap(j.saved, j.from.Size())
	if err != nil {
		return err
	}
	for p := range m.Parts(Rescued) {
		if !bytes.Equal(j.from.data[p.Start:p.end()], j.to.disk[p.Start:p.end()]) {
			return fmt.Errorf("bytes %d+%d: are rescued in the map, and not on the target", p.Start, p.Length)
		}
	}
	for p := range m.Parts(Bad) {
		for s := p.Start / sector; s*sector < p.end(); s++ {
			if !j.from.bad[s] {
				return fmt.Errorf("sector %d: is bad in the map, and not on the disk", s)
			}
		}
	}
	return nil
}

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
