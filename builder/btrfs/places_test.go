package btrfs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// placesOf reads the places of an image.
func placesOf(t testing.TB, image string) *Places {
	t.Helper()
	places, err := PlacesOf(openImage(t, image))
	if err != nil {
		t.Fatal(err)
	}
	return places
}

// TestPlacesOfTheSame writes a tree again with the places of itself: nothing moves.
func TestPlacesOfTheSame(t *testing.T) {
	tree := imgtest.EveryCase(t)
	for _, tt := range []struct {
		name   string
		params Params
		sizes  chunkSizes
	}{
		{"plain", Params{}, defaultChunkSizes},
		{"roles", allRoles(Params{Compression: Compression{3}}), defaultChunkSizes},
		{"single, sha256, block group tree", allRoles(Params{Metadata: Single, Checksum: ondisk.SHA256, BlockGroupTree: true}), defaultChunkSizes},
		{"many chunks", allRoles(Params{Compression: Compression{3}}), smallChunks},
		{"many chunks, free", Params{Free: 64 << 20}, smallChunks},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image, first := writeImageSized(t, tree, tt.params, tt.sizes)
			tt.params.Places = placesOf(t, image)
			again, result := writeImageSized(t, tree, tt.params, tt.sizes)
			if a, b := digest(t, image), digest(t, again); a != b {
				t.Errorf("%s; want %s as the first time", b, a)
			}
			if result.KeptBytes == 0 || result.KeptBytes > first.StoredBytes {
				t.Errorf("%d bytes kept; want most of %d", result.KeptBytes, first.StoredBytes)
			}
		})
	}
}

// systemTree is a tree of files that do not compress, of which the version says how
// large some are and which are there.
func systemTree(t testing.TB, version int) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 60 {
		size := 1 + rng.IntN(300<<10)
		name := fmt.Sprintf("%02d", i)
		switch {
		case i == 20:
			size += version * 9000
		case i == 30 && version > 0:
			continue
		case i == 40:
			name = fmt.Sprintf("a%d", version) // to the end of the order of names
		}
		addFile(t, tree, name, randomBytes(size, uint64(i)))
	}
	tree.Freeze()
	return tree
}

// changed returns how many of the chunks of a MiB that the second image uses
// differ from the first, and how many it uses.
func changed(t testing.TB, first, second string) (differ, used int) {
	t.Helper()
	const size = 64 << 10
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	a = append(a, make([]byte, max(0, len(b)-len(a)))...)
	zero := make([]byte, size)
	for at := 0; at < len(b); at += size {
		piece := b[at:min(at+size, len(b))]
		if bytes.Equal(piece, zero[:len(piece)]) {
			continue
		}
		used++
		if !bytes.Equal(piece, a[at:at+len(piece)]) {
			differ++
		}
	}
	return differ, used
}

// TestPlacesKept changes a tree several times: with the places of the version before
// few of the data move, and what is free is used.
func TestPlacesKept(t *testing.T) {
	for _, sizes := range []chunkSizes{defaultChunkSizes, smallChunks} {
		p := Params{Metadata: Single}
		before, first := writeImageSized(t, systemTree(t, 0), p, sizes)
		for version := 1; version <= 4; version++ {
			tree := systemTree(t, version)
			p.Places = placesOf(t, before)
			after, result := writeImageSized(t, tree, p, sizes)
			checkAll(t, after)
			p.Places = nil
			fresh, _ := writeImageSized(t, tree, p, sizes)
			moved, used := changed(t, before, after)
			if without, _ := changed(t, before, fresh); moved > used/8 || without < used/3 {
				t.Errorf("version %d: %d of %d pieces differ, %d without the places", version, moved, used, without)
			}
			if most := first.Size + 2<<20; result.Size > most {
				t.Errorf("version %d: %d bytes; want at most %d", version, result.Size, most)
			}
			before = after
		}
	}
}

// TestPlacesOfAnother uses the places of a quite different file system, of one that
// the kernel made, with a copy of the superblock inside a chunk, of one with two
// copies of its data, and of one with other copies of its metadata.
func TestPlacesOfAnother(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := imgtest.EveryCase(t)
	kernels := kernelImage(t, systemTree(t, 0))
	dup := kernelImage(t, systemTree(t, 0), "--data", "dup", "--features", "^skinny-metadata")
	other, _ := writeImageSized(t, systemTree(t, 0), allRoles(Params{Compression: Compression{3}}), smallChunks)
	single, _ := writeImage(t, tree, allRoles(Params{Compression: Compression{3}, Metadata: Single}))
	for name, image := range map[string]string{"kernel": kernels, "two copies of data, fat metadata": dup, "other": other, "single": single} {
		t.Run(name, func(t *testing.T) {
			p := allRoles(Params{Compression: Compression{3}, Places: placesOf(t, image)})
			after, result := writeImage(t, tree, p)
			checkAll(t, after)
			checkRoles(t, tree, after, result)
			imgtest.LiveInIt(t, after, "@home")
			checkMost(t, after)
		})
	}
}

// kernelImage has the kernel write a tree to a file system of mkfs.btrfs.
func kernelImage(t testing.TB, tree *fstree.Tree, options ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "kernel.img")
	printed(t, "truncate", "-s", "512M", image)
	printed(t, "mkfs.btrfs", append(options, "-q", image)...)
	m := imgtest.MountImage(t, image, imgtest.MountOptions{})
	defer m.Unmount(t)
	imgtest.Materialize(t, tree.Root(), m.Dir)
	return image
}

// TestPlacesChecksum refuses the places of a file system with other checksums.
func TestPlacesChecksum(t *testing.T) {
	image, _ := writeImage(t, systemTree(t, 0), Params{Checksum: ondisk.XXHash64})
	p := Params{Places: placesOf(t, image)}
	if err := p.validate(); err == nil || !strings.Contains(err.Error(), "xxhash64") {
		t.Errorf("error %v; want that of the checksums", err)
	}
}

// TestSkipsMirror gives no room in a chunk that has a copy of the superblock in it.
func TestSkipsMirror(t *testing.T) {
	m := ondisk.SuperMirrors[1]
	for _, tt := range []struct {
		start ondisk.Physical
		unfit bool
	}{{m - 8<<20, false}, {m - 8<<20 + ondisk.StripeLen, true}, {m, true}, {m + ondisk.MirrorRegion - ondisk.StripeLen, true}, {m + ondisk.MirrorRegion, false}} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(1<<20, ondisk.Chunk{Type: ondisk.GroupData, Length: 8 << 20, Stripes: []ondisk.Stripe{{Offset: tt.start}}})
		if err := p.addExtent(1<<20, ondisk.SectorSize, 0, []byte("sums")); err != nil {
			t.Fatal(err)
		}
		_, found := p.claim([]byte("sums"))
		s := newSpace(defaultChunkSizes, Single, p)
		if _, _, err := s.reserveData(8 << 20); err != nil {
			t.Fatal(err)
		}
		reused := slices.ContainsFunc(s.chunks, func(c *chunk) bool { return c.logical == 1<<20 })
		if found == tt.unfit || reused == tt.unfit {
			t.Errorf("chunk at %d: found %v, used again %v; want %v", tt.start, found, reused, !tt.unfit)
		}
	}
}

// TestPlacesPhase finds the blocks of an extent that begins in the midst of one, and
// those of one whose reference makes no sense.
func TestPlacesPhase(t *testing.T) {
	const sectors = blockSize / ondisk.SectorSize
	sums := randomBytes(4*2*sectors, 1)
	for _, tt := range []struct {
		inFile uint64
		first  int // sectors
	}{{0, sectors}, {ondisk.SectorSize, sectors - 1}, {blockSize - ondisk.SectorSize, 1}, {blockSize - 1, 1}, {^uint64(0), 1}, {^uint64(0) - ondisk.SectorSize + 1, 1}} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(1<<20, ondisk.Chunk{Type: ondisk.GroupData, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 1 << 20}}})
		if err := p.addExtent(1<<20, 2*blockSize, tt.inFile, sums); err != nil {
			t.Fatal(err)
		}
		if at, ok := p.claim(sums[:4*tt.first]); !ok || at != 1<<20 {
			t.Errorf("extent from byte %d: first block at %d, %v", tt.inFile, at, ok)
		}
		if at, ok := p.claim(sums[4*tt.first : 4*(tt.first+sectors)]); tt.first < sectors && (!ok || at != 1<<20+ondisk.Logical(tt.first*ondisk.SectorSize)) {
			t.Errorf("extent from byte %d: second block at %d, %v", tt.inFile, at, ok)
		}
	}
}

// TestPlacesOverlap refuses chunks that share a part of the device.
func TestPlacesOverlap(t *testing.T) {
	for second, ok := range map[ondisk.Physical]bool{2<<20 - 1: false, 2 << 20: true, 1 << 20: false, 0: true, 1: false} {
		p := newPlaces(ondisk.CRC32C)
		for i, start := range []ondisk.Physical{1 << 20, second} {
			p.addChunk(ondisk.Logical(i)<<20, ondisk.Chunk{Type: ondisk.GroupData, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: start}}})
		}
		if err := p.check(); (err == nil) != ok {
			t.Errorf("chunks at physical %d and %d: %v; want success %v", 1<<20, second, err, ok)
		}
	}
}

// TestPlacesReach refuses chunks that leave no addresses for what is new.
func TestPlacesReach(t *testing.T) {
	const length = 1 << 20
	for _, tt := range []struct {
		logical  ondisk.Logical
		physical ondisk.Physical
		length   uint64
		ok       bool
	}{
		{maxAddress - length, maxAddress - length, length, true}, {maxAddress - length + 1, 0, length, false}, {0, maxAddress - length + 1, length, false},
		{0, 0, maxAddress, true}, {0, 0, maxAddress + 1, false}, {1 << 63, 0, 1 << 63, false}, {0, 1<<64 - 1, length, false},
	} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(tt.logical, ondisk.Chunk{Type: ondisk.GroupData, Length: tt.length, Stripes: []ondisk.Stripe{{Offset: tt.physical}}})
		if err := p.check(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestDropUnused leaves nothing of a chunk of the older file system that nothing is
// put into, and all of one that something is.
func TestDropUnused(t *testing.T) {
	for _, kept := range []bool{false, true} {
		p := newPlaces(ondisk.CRC32C)
		at := ondisk.Logical(1 << 30)
		p.addChunk(at, ondisk.Chunk{Type: ondisk.GroupData, Length: 8 << 20, Stripes: []ondisk.Stripe{{Offset: 1 << 30}}})
		if err := p.addExtent(at, ondisk.SectorSize, 0, []byte("sums")); err != nil {
			t.Fatal(err)
		}
		s := newSpace(defaultChunkSizes, Single, p)
		if kept {
			s.allocData(ondisk.SectorSize, []byte("sums"))
		}
		size := s.freeze(0, 0)
		there := slices.ContainsFunc(s.chunks, func(c *chunk) bool { return c.logical == at })
		if there != kept || size < 1<<30+8<<20 {
			t.Errorf("used %v: chunk is there: %v, %d bytes in all", kept, there, size)
		}
	}
}

// TestGapFinder takes gaps by pieces of all sizes, so that none overlaps another and
// none is wasted that a piece fits into.
func TestGapFinder(t *testing.T) {
	const sector = ondisk.SectorSize
	f := gapFinder{gaps: []gap{{0, 3 * sector}, {10 * sector, 42 * sector}, {50 * sector, 51 * sector}}}
	for i, tt := range []struct {
		sectors uint64
		at      ondisk.Logical
		found   bool
	}{{32, 10, true}, {4, 0, false}, {2, 0, true}, {1, 2, true}, {2, 0, false}, {1, 50, true}, {1, 0, false}} {
		at, found := f.find(tt.sectors * sector)
		if at != tt.at*sector || found != tt.found {
			t.Errorf("%d: %d sectors at %d, %v; want %d, %v", i, tt.sectors, at/sector, found, tt.at, tt.found)
		}
	}
}

// TestPlacesRefuse adds extents that cannot be.
func TestPlacesRefuse(t *testing.T) {
	for _, tt := range []struct {
		at     ondisk.Logical
		length uint64
		ok     bool
	}{
		{1 << 20, 1 << 20, true}, {1<<20 - 4096, 4096, false}, {1 << 20, 1<<20 + 4096, false}, {2<<20 - 4096, 4096, true}, {2<<20 - 4096, 8192, false},
		{2 << 20, 4096, false}, {1 << 20, 0, false}, {1<<20 + 512, 4096, false}, {1 << 20, 4096 + 512, false}, {1 << 20, 8192, true}, {1<<20 + 8192, ^uint64(0) - 4095, false}, {3 << 20, 4096, false}, {0, 4096, false},
	} {
		p := newPlaces(ondisk.CRC32C)
		p.addChunk(1<<20, ondisk.Chunk{Type: ondisk.GroupData, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 1 << 20}}})
		p.addChunk(3<<20, ondisk.Chunk{Type: ondisk.GroupMetadata, Length: 1 << 20, Stripes: []ondisk.Stripe{{Offset: 3 << 20}}})
		if err := p.addExtent(tt.at, tt.length, 0, nil); (err == nil) != tt.ok {
			t.Errorf("extent of %d bytes at %d: %v; want success %v", tt.length, tt.at, err, tt.ok)
		}
		if tt.ok {
			if err := p.addExtent(tt.at, tt.length, 0, nil); err == nil {
				t.Errorf("extent of %d bytes at %d: taken twice", tt.length, tt.at)
			}
		}
	}
}
