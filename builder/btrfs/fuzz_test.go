package btrfs

import (
	"io"
	"math/rand/v2"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// memoryImage is a sparse image in memory.
type memoryImage struct {
	pages map[int64]*[ondisk.SectorSize]byte
}

func (m *memoryImage) WriteAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		at := off + int64(n)
		page := m.pages[at/ondisk.SectorSize]
		if page == nil {
			page = new([ondisk.SectorSize]byte)
			m.pages[at/ondisk.SectorSize] = page
		}
		n += copy(page[at%ondisk.SectorSize:], p[n:])
	}
	return len(p), nil
}

func (m *memoryImage) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		at := off + int64(n)
		part := p[n:min(len(p), n+int(ondisk.SectorSize-at%ondisk.SectorSize))]
		if page := m.pages[at/ondisk.SectorSize]; page != nil {
			copy(part, page[at%ondisk.SectorSize:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return len(p), nil
}

var _ io.ReaderAt = (*memoryImage)(nil)

// FuzzWrite writes a random tree under random parameters: the checker must
// find nothing, and every file must read back.
func FuzzWrite(f *testing.F) {
	for i := range uint64(12) {
		f.Add(i, uint8(i*7), uint8(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, entries, options uint8) {
		fuzzWrite(t, seed, entries, options, nil)
	})
}

// FuzzPlaces writes random trees after each other, each with the places of the one
// before it: the checker must find nothing.
func FuzzPlaces(f *testing.F) {
	for i := range uint64(12) {
		f.Add(i, uint8(i*7), uint8(i), i/2, uint8(i*5), uint8(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, entries, options uint8, seed2 uint64, entries2, options2 uint8) {
		const checksum = 3 << 2 // must be the same
		options2 = options2&^checksum | options&checksum
		first := fuzzWrite(t, seed, entries, options, nil)
		second := fuzzWrite(t, seed2, entries2, options2, first)
		fuzzWrite(t, seed, entries, options, second)
	})
}

// fuzzWrite writes a random tree, with the places of an older file system where that
// is not nil, and checks it.
func fuzzWrite(t *testing.T, seed uint64, entries, options uint8, older *reader.FS) *reader.FS {
	tree := imgtest.RandomTree(rand.New(rand.NewPCG(seed, 1)), int(entries))
	p := Params{
		Compression: Compression{int(options % 4)}, Checksum: ondisk.ChecksumType(options / 4 % 4),
		Metadata: Profile(options / 16 % 2), BlockGroupTree: options/32%2 == 1,
	}
	sizes := defaultChunkSizes
	if options/64%2 == 1 {
		sizes = smallChunks
	}
	if options/128 == 1 {
		for _, dir := range tree.Root().Children() {
			if dir.IsDir() && len(p.Subvolumes) < 3 {
				p.Subvolumes = append(p.Subvolumes, Subvolume{Path: "@" + string(rune('a'+len(p.Subvolumes))), Source: dir.Name})
				p.Snapshots = append(p.Snapshots, Snapshot{Source: p.Subvolumes[0].Path, Path: "snap" + string(rune('a'+len(p.Snapshots)))})
			}
		}
	}
	if older != nil {
		var err error
		if p.Places, err = PlacesOf(older); err != nil {
			t.Fatal(err)
		}
	}
	image := &memoryImage{map[int64]*[ondisk.SectorSize]byte{}}
	result, err := writeSized(t.Context(), image, tree, p, sizes)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := reader.Open(image, result.Size)
	if err != nil {
		t.Fatal(err)
	}
	report, err := check.Run(t.Context(), fs, check.Options{Data: true})
	if err != nil || !report.Clean() {
		t.Fatalf("check: %v, %v", report.Problems, err)
	}
	return fs
}

// FuzzPlacesDamaged changes bytes of a tree block of a small file system, seals it again,
// and writes another with its places, if it has any: the checker must find nothing.
func FuzzPlacesDamaged(f *testing.F) {
	for i := range uint16(24) {
		f.Add(i*5, i*97+101, uint8(i*31), i*7, i*13, i%2 == 0)
	}
	image := &memoryImage{map[int64]*[ondisk.SectorSize]byte{}}
	result, err := writeSized(f.Context(), image, systemTree(f, 0), Params{Metadata: Single}, smallChunks)
	if err != nil {
		f.Fatal(err)
	}
	blocks := sealedBlocks(image, result.Size)
	f.Fuzz(func(t *testing.T, which, at uint16, value uint8, from, to uint16, short bool) {
		damaged := image.clone()
		where := blocks[int(which)%len(blocks)]
		block := make([]byte, ondisk.NodeSize)
		if _, err := damaged.ReadAt(block, where); err != nil {
			t.Fatal(err)
		}
		reach := ondisk.NodeSize
		if short {
			reach = 512 // where the keys are
		}
		block[int(at)%reach] = value
		block[int(to)%reach] = block[int(from)%reach]
		ondisk.CRC32C.Seal(block)
		if _, err := damaged.WriteAt(block, where); err != nil {
			t.Fatal(err)
		}
		older, err := reader.Open(damaged, result.Size)
		if err != nil {
			return
		}
		if _, err := PlacesOf(older); err != nil {
			return
		}
		fuzzWrite(t, uint64(which), uint8(at), uint8(from)&(1<<4|1<<5|1<<6), older)
	})
}

// sealedBlocks returns where an image has tree blocks.
func sealedBlocks(image *memoryImage, size int64) (at []int64) {
	block := make([]byte, ondisk.NodeSize)
	for off := int64(1 << 20); off+ondisk.NodeSize <= size; off += ondisk.NodeSize {
		_, err := image.ReadAt(block, off)
		if h, bad := ondisk.DecodeHeader(block); err == nil && bad == nil && h.NrItems > 0 && ondisk.CRC32C.Verify(block) {
			at = append(at, off)
		}
	}
	return at
}

// clone returns a copy that shares nothing.
func (m *memoryImage) clone() *memoryImage {
	c := &memoryImage{make(map[int64]*[ondisk.SectorSize]byte, len(m.pages))}
	for at, page := range m.pages {
		copied := *page
		c.pages[at] = &copied
	}
	return c
}
