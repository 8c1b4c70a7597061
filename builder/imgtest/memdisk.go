package imgtest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"testing"
)

const memPage = 4096

// MemDisk is a disk in memory that takes room only for what is written to it.
// Writing zeros takes room as well, so that Written tells what a writer wrote.
type MemDisk struct {
	size  int64
	pages map[int64]*[memPage]byte
	Calls int // of WriteAt
	Syncs int // calls of Sync
}

// NewMemDisk returns a disk of size bytes that holds zeros.
func NewMemDisk(size int64) *MemDisk {
	return &MemDisk{size: size, pages: map[int64]*[memPage]byte{}}
}

// Size returns the bytes of the disk.
func (d *MemDisk) Size() int64 { return d.size }

// Clone returns a disk that holds the same and shares nothing with d.
func (d *MemDisk) Clone() *MemDisk {
	c := NewMemDisk(d.size)
	for n, p := range d.pages {
		copied := *p
		c.pages[n] = &copied
	}
	return c
}

// WriteAt implements io.WriterAt. It refuses to write outside of the disk.
func (d *MemDisk) WriteAt(b []byte, offset int64) (int, error) {
	d.Calls++
	if offset < 0 || int64(len(b)) > d.size-offset {
		return 0, fmt.Errorf("write of %d bytes at byte %d of a disk of %d bytes", len(b), offset, d.size)
	}
	for n := 0; n < len(b); {
		at := offset + int64(n)
		p := d.pages[at/memPage]
		if p == nil {
			p = new([memPage]byte)
			d.pages[at/memPage] = p
		}
		n += copy(p[at%memPage:], b[n:])
	}
	return len(b), nil
}

// ReadAt implements io.ReaderAt.
func (d *MemDisk) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 || offset > d.size {
		return 0, fmt.Errorf("read at byte %d of a disk of %d bytes", offset, d.size)
	}
	want := int(min(int64(len(b)), d.size-offset))
	for n := 0; n < want; {
		at := offset + int64(n)
		part := b[n:min(want, n+int(memPage-at%memPage))]
		if p := d.pages[at/memPage]; p != nil {
			copy(part, p[at%memPage:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	if want < len(b) {
		return want, io.EOF
	}
	return want, nil
}

// Sync counts its calls.
func (d *MemDisk) Sync() error {
	d.Syncs++
	return nil
}

// Written returns the offsets of the pages of 4096 bytes that were written to,
// in ascending order.
func (d *MemDisk) Written() []int64 {
	offsets := make([]int64, 0, len(d.pages))
	for n := range d.pages {
		offsets = append(offsets, n*memPage)
	}
	slices.Sort(offsets)
	return offsets
}

// Equal reports whether two disks hold the same bytes.
func (d *MemDisk) Equal(other *MemDisk) bool {
	zero := new([memPage]byte)
	page := func(d *MemDisk, n int64) [memPage]byte {
		if p := d.pages[n]; p != nil {
			return *p
		}
		return *zero
	}
	all := maps.Clone(d.pages)
	maps.Copy(all, other.pages)
	for n := range all {
		if page(d, n) != page(other, n) {
			return false
		}
	}
	return d.size == other.size
}

// File writes the disk to a sparse file that foreign programs can read, and
// returns its name.
func (d *MemDisk) File(t testing.TB) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "disk*.img")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(d.size); err != nil {
		t.Fatal(err)
	}
	for n, p := range d.pages {
		b := p[:min(memPage, d.size-n*memPage)]
		if _, err := f.WriteAt(b, n*memPage); err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}
