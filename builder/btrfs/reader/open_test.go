package reader_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// wantRefusal opens an image that must be refused with class Input, a hint and
// these words.
func wantRefusal(t *testing.T, image []byte, words string) {
	t.Helper()
	_, err := reader.Open(bytes.NewReader(image), int64(len(image)))
	switch {
	case err == nil:
		t.Errorf("Open succeeded; want an error with %q", words)
	case !strings.Contains(err.Error(), words):
		t.Errorf("Open: %v; want %q in it", err, words)
	case fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "":
		t.Errorf("Open: class %d, hint %q; want class %d and a hint", fault.ClassOf(err), fault.HintOf(err), fault.Input)
	}
}

func TestOpenRefusesSuperblock(t *testing.T) {
	super := int(ondisk.SuperMirrors[0])
	tests := []struct {
		name string
		edit func(s *ondisk.Superblock)
		want string
	}{
		{"unknown feature", func(s *ondisk.Superblock) { s.IncompatFlags |= 1 << 40 }, `["bit 40"]`},
		{"raid56", func(s *ondisk.Superblock) { s.IncompatFlags |= ondisk.IncompatRAID56 }, `["RAID56"]`},
		{"raid1c34", func(s *ondisk.Superblock) { s.IncompatFlags |= ondisk.IncompatRAID1C34 }, `["RAID1C34"]`},
		{"zoned", func(s *ondisk.Superblock) { s.IncompatFlags |= ondisk.IncompatZoned }, `["ZONED"]`},
		{"extent tree v2", func(s *ondisk.Superblock) { s.IncompatFlags |= ondisk.IncompatExtentTreeV2 }, `["EXTENT_TREE_V2"]`},
		{"raid stripe tree", func(s *ondisk.Superblock) { s.IncompatFlags |= ondisk.IncompatRAIDStripeTree }, `["RAID_STRIPE_TREE"]`},
		{"remap tree", func(s *ondisk.Superblock) { s.IncompatFlags |= ondisk.IncompatRemapTree }, `["REMAP_TREE"]`},
		{"metadump", func(s *ondisk.Superblock) { s.Flags |= 1 << 33 }, "METADUMP"},
		{"no device", func(s *ondisk.Superblock) { s.NumDevices = 0 }, "0 devices"},
		{"two devices", func(s *ondisk.Superblock) { s.NumDevices = 2 }, "2 devices"},
		{"sector size", func(s *ondisk.Superblock) { s.SectorSize = 16384 }, "sectors of 16384 bytes"},
		{"node size small", func(s *ondisk.Superblock) { s.NodeSize = 2048 }, "tree blocks of 2048 bytes"},
		{"node size large", func(s *ondisk.Superblock) { s.NodeSize = 128 << 10 }, "tree blocks of 131072 bytes"},
		{"node size odd", func(s *ondisk.Superblock) { s.NodeSize = 12288 }, "tree blocks of 12288 bytes"},
		{"root level", func(s *ondisk.Superblock) { s.RootLevel = 8 }, "root tree of level 8"},
		{"chunk level", func(s *ondisk.Superblock) { s.ChunkRootLevel = 8 }, "chunk tree of level 8"},
		{"no chunks", func(s *ondisk.Superblock) { s.SysChunks = nil }, "no system chunk"},
		{"place", func(s *ondisk.Superblock) { s.Bytenr++ }, "says that it stands at 65537"},
		{"checksum type", func(s *ondisk.Superblock) { s.Checksum = 4 }, "unknown checksum type 4"},
		{"device size", func(s *ondisk.Superblock) { s.DevItem.TotalBytes = testSize + 1 }, "truncated"},
		{"device size huge", func(s *ondisk.Superblock) { s.DevItem.TotalBytes = 1 << 63 }, "truncated"},
		{"chunk root", func(s *ondisk.Superblock) { s.ChunkRoot = 1 << 40 }, "in no chunk"},
		{"chunk root generation", func(s *ondisk.Superblock) { s.ChunkRootGeneration++ }, "generation 7, expected 8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := sampleImage(t)
			im.build()
			test.edit(&im.super)
			im.seal()
			wantRefusal(t, im.bytes, test.want)
		})
	}
	t.Run("magic", func(t *testing.T) {
		image := sampleImage(t).build()
		image[super+64]++
		wantRefusal(t, image, "not a btrfs file system")
	})
	t.Run("empty", func(t *testing.T) { wantRefusal(t, nil, "has 0 bytes") })
	t.Run("other file", func(t *testing.T) { wantRefusal(t, bytes.Repeat([]byte("no btrfs"), 100_000), "not a btrfs") })
	t.Run("system chunk array", func(t *testing.T) {
		im := sampleImage(t)
		im.build()
		raw := im.bytes[super:][:ondisk.SuperSize]
		raw[161] = 0xff
		im.super.Checksum.Seal(raw)
		wantRefusal(t, im.bytes, "system chunk array")
	})
}

// TestOpenTruncated cuts the image at lengths around all that matters.
func TestOpenTruncated(t *testing.T) {
	image := sampleImage(t).build()
	for n := 0; n < len(image); n += 4093 {
		wantRefusal(t, image[:n], "bytes")
	}
	super := int(ondisk.SuperMirrors[0]) + ondisk.SuperSize
	wantRefusal(t, image[:super-1], "a btrfs file system has at least")
	wantRefusal(t, image[:super], "truncated: has")
	wantRefusal(t, image[:len(image)-1], "truncated: has")
	// The file got shorter after it was measured.
	if _, err := reader.Open(bytes.NewReader(image[:super-1]), int64(len(image))); fault.ClassOf(err) != fault.Input {
		t.Errorf("Open of a shrinking file: %v; want class Input", err)
	}
}

// TestOpenSuperblockFlips flips each byte: only the unused part of the checksum
// field may pass.
func TestOpenSuperblockFlips(t *testing.T) {
	image := sampleImage(t).build()
	for i := range ondisk.SuperSize {
		b := &image[int(ondisk.SuperMirrors[0])+i]
		*b ^= 0x55
		_, err := reader.Open(bytes.NewReader(image), int64(len(image)))
		if unused := i >= 4 && i < ondisk.ChecksumSize; (err == nil) != unused {
			t.Errorf("byte %d flipped: Open = %v", i, err)
		}
		*b ^= 0x55
	}
}

func TestOpenMirror(t *testing.T) {
	im := sampleImage(t)
	im.build()
	im.bytes = append(im.bytes, make([]byte, 65<<20-testSize)...)
	second := im.super
	second.Bytenr = ondisk.SuperMirrors[1]
	raw, err := second.Encode()
	if err != nil {
		t.Fatal(err)
	}
	copy(im.bytes[second.Bytenr:], raw)
	if f := openBytes(t, im.bytes); f.SuperMirror() != 0 {
		t.Errorf("SuperMirror() = %d; want 0", f.SuperMirror())
	}
	im.bytes[im.super.Bytenr+100]++
	f := openBytes(t, im.bytes)
	if f.SuperMirror() != 1 || f.Super().Label != "test" || f.Size() != int64(len(im.bytes)) || f.LogDirty() {
		t.Errorf("SuperMirror() = %d, label %q, size %d; want the second copy", f.SuperMirror(), f.Super().Label, f.Size())
	}
	// A wrong feature in a good first copy is not a reason to look further.
	im.super.IncompatFlags |= ondisk.IncompatZoned
	im.seal()
	wantRefusal(t, im.bytes, "ZONED")
}

func TestOpenRefusesChunks(t *testing.T) {
	tests := []struct {
		name string
		edit func(im *testImage)
		want string
	}{
		{"overlap below", func(im *testImage) { im.chunk(dataAt+4096, ondisk.GroupData, 4<<20) }, "overlaps"},
		{"overlap of both", func(im *testImage) { im.chunk(dataAt-4096, ondisk.GroupData, 4<<20) }, "overlaps"},
		{"overlap above", func(im *testImage) { im.chunk(sysLogical-4096, ondisk.GroupData, 4<<20) }, "chunk 1044480: overlaps the chunk at 1048576"},
		{"length zero", func(im *testImage) { im.chunks[2].Chunk.Length = 0 }, "length 0"},
		{"length odd", func(im *testImage) { im.chunks[2].Chunk.Length = 4095 }, "length 4095"},
		{"length wraps", func(im *testImage) { im.chunks[3].Chunk.Length = 1<<64 - 4096 }, "length"},
		{"stripe length", func(im *testImage) { im.chunks[2].Chunk.StripeLen = 4096 }, "stripe length 4096"},
		{"no type", func(im *testImage) { im.chunks[3].Chunk.Type = 0 }, "type 0x0"},
		{"unknown type", func(im *testImage) { im.chunks[3].Chunk.Type |= 1 << 20 }, "type 0x100001"},
		{"raid0", func(im *testImage) { im.chunks[3].Chunk.Type |= ondisk.GroupRAID0 }, "profile RAID0"},
		{"raid1", func(im *testImage) { im.chunks[3].Chunk.Type |= ondisk.GroupRAID1 }, "profile RAID1"},
		{"two profiles", func(im *testImage) { im.chunks[3].Chunk.Type |= ondisk.GroupRAID1 | ondisk.GroupDUP }, "profile 0x30"},
		{"stripes", func(im *testImage) { im.chunks[3].Chunk.Type |= ondisk.GroupDUP }, "1 stripes, expected 2"},
		{"other device", func(im *testImage) { im.chunks[3].Chunk.Stripes[0].DevID = 2 }, "on device 2"},
		{"beyond the device", func(im *testImage) { im.chunks[3].Chunk.Stripes[0].Offset += 4096 }, "the device has"},
		{"stripe unaligned", func(im *testImage) { im.chunks[3].Chunk.Stripes[0].Offset -= 512 }, "stripe of"},
		{"system chunk type", func(im *testImage) { im.chunks[0].Chunk.Type = ondisk.GroupMetadata }, "among the system chunks"},
		{"logical unaligned", func(im *testImage) { im.chunks[3].Key.Offset++ }, "chunk 33554433"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := sampleImage(t)
			test.edit(im)
			wantRefusal(t, im.build(), test.want)
		})
	}
	t.Run("differs from the superblock", func(t *testing.T) {
		im := sampleImage(t)
		im.build()
		changed := im.super.SysChunks[0]
		changed.Chunk.Length -= 4096
		im.super.SysChunks = []ondisk.SysChunk{changed}
		im.seal()
		wantRefusal(t, im.bytes, "differs between")
	})
}

func TestCopies(t *testing.T) {
	f := openBytes(t, sampleImage(t).build())
	for _, test := range []struct {
		name string
		at   ondisk.Logical
		n    int64
		want []ondisk.Physical
	}{
		{"first byte", dataAt, 1, []ondisk.Physical{4 << 20, 5 << 20}},
		{"whole chunk", dataAt, chunkSize, []ondisk.Physical{4 << 20, 5 << 20}},
		{"last byte", dataAt + chunkSize - 1, 1, []ondisk.Physical{5<<20 - 1, 6<<20 - 1}},
		{"one too many", dataAt, chunkSize + 1, nil},
		{"behind", dataAt + chunkSize, 1, nil},
		{"before", dataAt - 1, 1, nil},
		{"before all", 0, 1, nil},
		{"negative", dataAt, -1, nil},
		{"end of the world", ^ondisk.Logical(0), 1, nil},
	} {
		got, err := f.Copies(test.at, test.n)
		if (err != nil) != (test.want == nil) || len(got) != len(test.want) || len(got) == 2 && (got[0] != test.want[0] || got[1] != test.want[1]) {
			t.Errorf("%s: Copies(%d, %d) = %v, %v; want %v", test.name, test.at, test.n, got, err, test.want)
		}
	}
	if err := f.ReadCopy(make([]byte, 2), testSize-1); err == nil {
		t.Error("ReadCopy beyond the device succeeded")
	}
	if err := f.ReadCopy(make([]byte, 1), ^ondisk.Physical(0)); err == nil {
		t.Error("ReadCopy at the highest address succeeded")
	}
	if n := len(f.Chunks()); n != 4 {
		t.Errorf("%d chunks; want 4", n)
	}
}
