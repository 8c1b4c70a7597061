package identity_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// mutated is a disk of which some pages are replaced.
type mutated struct {
	*imgtest.MemDisk
	pages map[int64][]byte
}

func (m *mutated) ReadAt(b []byte, off int64) (int, error) {
	n, err := m.MemDisk.ReadAt(b, off)
	for at, page := range m.pages {
		if low, high := max(at, off), min(at+int64(len(page)), off+int64(n)); low < high {
			copy(b[low-off:high-off], page[low-at:])
		}
	}
	return n, err
}

// FuzzRewrite changes a small image as the input says, with right checksums
// where it asks for them: 7 bytes for each change, which are the number of a
// used block of 16 KiB, a place in it, three bytes to put there, and what to do.
func FuzzRewrite(f *testing.F) {
	tree := system(f, fstree.New(), oldSeed, 3000)
	disk := write(f, tree, oldSeed, btrfs.Params{Metadata: btrfs.Single, Size: 100 << 20})
	blocks := chunksInOrder(disk)
	for i := range blocks {
		f.Add([]byte{byte(i), 0, 100, 1, 2, 3, 1})
		f.Add([]byte{byte(i), 60, 0, 255, 255, 255, 1, byte(i), 48, 0, 0, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, changes []byte) {
		m := &mutated{disk, map[int64][]byte{}}
		for ; len(changes) >= 7; changes = changes[7:] {
			m.change(blocks[int(changes[0])%len(blocks)], changes)
		}
		w, err := identity.Prepare(m, disk.Size(), identity.FromSeed(newSeed, "fuzz"), fstabEdits)
		if err != nil {
			return
		}
		buf := make([]byte, 1<<20)
		for _, at := range chunksOf(disk, int64(len(buf))) {
			n, err := m.ReadAt(buf, at)
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			// A copy that Prepare did not read may differ.
			_ = w.Apply(buf[:n], at)
		}
		w.Places()
	})
}

// chunksInOrder returns the offsets of the blocks of 16 KiB that hold anything.
func chunksInOrder(disk *imgtest.MemDisk) []int64 {
	var offsets []int64
	for _, at := range disk.Written() {
		if at -= at % ondisk.NodeSize; len(offsets) == 0 || offsets[len(offsets)-1] != at {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

func (m *mutated) change(at int64, how []byte) {
	b := m.pages[at]
	if b == nil {
		b = make([]byte, ondisk.NodeSize)
		if _, err := m.MemDisk.ReadAt(b, at); err != nil {
			return
		}
		m.pages[at] = b
	}
	copy(b[int(binary.BigEndian.Uint16(how[1:]))%len(b):], how[3:6])
	switch {
	case how[6]%2 == 0:
	case string(b[64:72]) == "_BHRfS_M":
		ondisk.CRC32C.Seal(b[:ondisk.SuperSize])
	default:
		ondisk.CRC32C.Seal(b)
	}
}
