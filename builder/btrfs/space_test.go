package btrfs

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// TestSkipMirrors places ranges around the superblock copies.
func TestSkipMirrors(t *testing.T) {
	const m64, m256 = ondisk.Physical(64 << 20), ondisk.Physical(256 << 30)
	tests := []struct {
		start  ondisk.Physical
		length uint64
		want   ondisk.Physical
	}{
		{m64 - 4096, 4095, m64 - 4096},
		{m64 - 4096, 4096, m64 - 4096},
		{m64 - 4096, 4097, m64 + 65536},
		{m64, 1, m64 + 65536},
		{m64 + 65535, 1, m64 + 65536},
		{m64 + 65536, 1, m64 + 65536},
		{m256 - 1<<20, 1 << 20, m256 - 1<<20},
		{m256 - 1<<20, 1<<20 + 1, m256 + 65536},
		{m64 - 1, 256 << 30, m256 + 65536}, // the next mirror is in the way too
	}
	for _, test := range tests {
		if got := skipMirrors(test.start, test.length); got != test.want {
			t.Errorf("skipMirrors(%d, %d) = %d; want %d", test.start, test.length, got, test.want)
		}
	}
}

// checkSpace fails the test when chunks overlap, cover a superblock copy or are
// out of shape.
func checkSpace(t *testing.T, s *space) {
	t.Helper()
	logical := ondisk.Logical(ondisk.FirstUsable)
	end := ondisk.Physical(ondisk.FirstUsable)
	for i, c := range s.chunks {
		if c.logical != logical || c.length == 0 || c.length%ondisk.StripeLen != 0 || c.used > c.length {
			t.Errorf("chunk %d: %d bytes at %d, %d used; want whole stripes from %d", i, c.length, c.logical, c.used, logical)
		}
		logical += ondisk.Logical(c.length)
		for _, p := range c.physical {
			if p < end || skipMirrors(p, c.length) != p {
				t.Errorf("chunk %d: %d bytes at physical %d; want from %d and beside the superblocks", i, c.length, p, end)
			}
			end = p + ondisk.Physical(c.length)
		}
	}
	if end != s.device {
		t.Errorf("device ends at %d; want %d", s.device, end)
	}
}

// TestSpace allocates data and metadata in turn until there are chunks of
// every kind, beyond the first superblock copy.
func TestSpace(t *testing.T) {
	for _, profile := range []Profile{DUP, Single} {
		s := newSpace(smallChunks, profile, nil)
		next := map[ondisk.Logical]bool{}
		for i := range 20000 {
			l, p, _ := s.allocData(uint64(1+i%32)*ondisk.SectorSize, nil)
			if next[l] || s.find(l).at(l, 0) != p {
				t.Fatalf("data at %d given twice, or not at physical %d", l, p)
			}
			next[l] = true
			if i%8 == 0 {
				b, err := s.allocMeta(0)
				if err != nil {
					t.Fatal(err)
				}
				if c := s.find(b); next[b] || c.flags&ondisk.GroupMetadata == 0 || len(c.physical) != profile.copies() {
					t.Fatalf("block at %d given twice, or in chunk %+v", b, c)
				}
				next[b] = true
			}
			if i == 10000 {
				if _, _, err := s.reserveData(100<<20 + 4096); err != nil {
					t.Fatal(err)
				}
			}
		}
		size := s.freeze(1<<20, 0)
		checkSpace(t, s)
		if size != int64(s.device) {
			t.Errorf("freeze = %d; want %d", size, s.device)
		}
		var free uint64
		for _, c := range s.chunks {
			if c.flags&ondisk.GroupMetadata != 0 {
				free += c.length - c.used
			}
		}
		if want := smallChunks.headroom + 1<<20; free < want {
			t.Errorf("%d bytes free for tree blocks; want %d", free, want)
		}
	}
}

// TestReserveDataLimit asks for the longest chunk that the kernel takes, and a
// sector more.
func TestReserveDataLimit(t *testing.T) {
	const most = 1<<48 - ondisk.StripeLen
	for length, ok := range map[uint64]bool{most - 4096: true, most: true, most + 1: false} {
		s := newSpace(defaultChunkSizes, Single, nil)
		if _, _, err := s.reserveData(length); (err == nil) != ok {
			t.Errorf("reserveData(%d): %v; want success %v", length, err, ok)
		}
	}
}

// TestSystemChunkLimit fills the only system chunk.
func TestSystemChunkLimit(t *testing.T) {
	s := newSpace(smallChunks, DUP, nil)
	for i := range smallChunks.system / ondisk.NodeSize {
		if _, err := s.allocSystem(); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
	}
	if _, err := s.allocSystem(); err == nil {
		t.Errorf("a block beyond the system chunk was given")
	}
}

// TestFreezePlaced asks for less room where some of the last blocks have places.
func TestFreezePlaced(t *testing.T) {
	const length = 1 << 20
	first := uint64(length + ondisk.StripeLen) // what is there
	for _, tt := range []struct {
		used, placed uint64
		more         bool
	}{
		{0, 0, false}, {ondisk.StripeLen, 0, true}, {ondisk.StripeLen, ondisk.StripeLen - ondisk.NodeSize, true}, {ondisk.StripeLen, ondisk.StripeLen, false},
		{length / 2, length / 2, false}, {length/2 + ondisk.NodeSize, length / 2, true}, {length, 2 * length, false},
	} {
		sizes := smallChunks
		sizes.firstMeta, sizes.headroom = first, 0
		s := newSpace(sizes, Single, nil)
		for range tt.used / ondisk.NodeSize {
			if _, err := s.allocMeta(0); err != nil {
				t.Fatal(err)
			}
		}
		chunks := len(s.chunks)
		s.freeze(length, tt.placed)
		// What is short of headroom, which is none here, makes a chunk too.
		if more := s.room[0].start >= s.chunks[chunks-1].logical+ondisk.Logical(first); more != tt.more {
			t.Errorf("%d bytes used, %d placed: another chunk %v; want %v", tt.used, tt.placed, more, tt.more)
		}
	}
}

// TestFreezeAgain asks a file system like another for the room of that one and of a block
// more, since it counts the chunk that was made for the last trees: it makes no other.
func TestFreezeAgain(t *testing.T) {
	for length := uint64(1 << 20); length < 1<<20+2*ondisk.StripeLen; length += ondisk.NodeSize {
		first := newSpace(smallChunks, Single, nil)
		first.freeze(length, 0)
		p := newPlaces(ondisk.CRC32C)
		for _, c := range first.chunks {
			p.addChunk(c.logical, ondisk.Chunk{Type: c.flags, Length: c.length, Stripes: []ondisk.Stripe{{Offset: c.physical[0]}}})
			p.addBlock(c.logical, ondisk.RootTree, 0, numberedKey(int(c.logical)))
		}
		again := newSpace(smallChunks, Single, p)
		if _, err := again.allocMeta(p.tree(ondisk.GroupMetadata, ondisk.RootTree)[0][0].at); err != nil {
			t.Fatal(err)
		}
		again.freeze(length+ondisk.NodeSize, ondisk.NodeSize)
		if len(again.chunks) != len(first.chunks) {
			t.Errorf("%d bytes: %d chunks; want %d as before", length, len(again.chunks), len(first.chunks))
		}
	}
}

// TestFreeze asks for room around what the first chunk has: the last blocks
// must fit in one chunk and leave room in it, and then no chunk is made.
func TestFreeze(t *testing.T) {
	first := smallChunks.firstMeta
	for _, length := range []uint64{0, first - ondisk.StripeLen - ondisk.NodeSize, first - ondisk.StripeLen, first - ondisk.StripeLen + ondisk.NodeSize, 3 << 20} {
		for _, headroom := range []uint64{0, first, 16 << 20} {
			sizes := smallChunks
			sizes.headroom = headroom
			s := newSpace(sizes, DUP, nil)
			s.freeze(length, 0)
			chunks, end := len(s.chunks), s.room[0].end
			for range length / ondisk.NodeSize {
				if _, err := s.allocMeta(0); err != nil {
					t.Fatal(err)
				}
			}
			if s.room[0].end != end || s.room[0].size() < ondisk.NodeSize || len(s.chunks) != chunks {
				t.Errorf("%d bytes, headroom %d: room %v; want some up to %d, %d chunks of %d", length, headroom, s.room, end, len(s.chunks), chunks)
			}
			for s.room[0].size() > 0 {
				if _, err := s.allocMeta(0); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.allocMeta(0); err == nil {
				t.Errorf("a block was given in a frozen space that is full")
			}
			checkSpace(t, s)
		}
	}
}
