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
