package ondisk

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testChunk(stripes int) Chunk {
	c := Chunk{Length: 1, Owner: 2, StripeLen: 3, Type: 4, IOAlign: 5, IOWidth: 6, SectorSize: 7, SubStripes: 8}
	for i := range stripes {
		c.Stripes = append(c.Stripes, Stripe{DevID: uint64(i + 1), Offset: Physical(i + 100), DevUUID: [16]byte{byte(i)}})
	}
	return c
}

func TestChunk(t *testing.T) {
	for _, n := range []int{1, 2, 60} {
		in := testChunk(n)
		b := in.Append(nil)
		if len(b) != chunkFixedSize+n*stripeSize {
			t.Errorf("%d stripes: %d bytes; want %d", n, len(b), chunkFixedSize+n*stripeSize)
		}
		got, rest, err := DecodeChunk(append(bytes.Clone(b), 1, 2))
		if diff := cmp.Diff(in, got); err != nil || diff != "" || len(rest) != 2 {
			t.Errorf("%d stripes: %v, %d left\n%s", n, err, len(rest), diff)
		}
		for _, cut := range []int{0, 47, 79, len(b) - 1} {
			if _, _, err := DecodeChunk(b[:cut]); err == nil {
				t.Errorf("%d stripes: DecodeChunk of %d bytes succeeded", n, cut)
			}
		}
	}
	one := testChunk(1)
	b := one.Append(nil)
	for at, want := range map[int]byte{0: 1, 8: 2, 16: 3, 24: 4, 32: 5, 36: 6, 40: 7, 44: 1, 46: 8, 48: 1, 56: 100} {
		if b[at] != want {
			t.Errorf("byte %d is %d; want %d", at, b[at], want)
		}
	}
	b[44] = 0
	if _, _, err := DecodeChunk(b); err == nil {
		t.Error("a chunk without stripes is accepted")
	}
}

func testSuper() *Superblock {
	s := &Superblock{}
	next := uint64(0)
	setNumbers(reflect.ValueOf(s).Elem(), &next)
	s.Checksum = XXHash64
	s.Label = strings.Repeat("l", MaxLabel)
	s.SysChunks = []SysChunk{{Key: Key{ObjectID: 256, Type: TypeChunkItem, Offset: 5}, Chunk: testChunk(2)}, {Key: Key{ObjectID: 256, Type: TypeChunkItem, Offset: 6}, Chunk: testChunk(1)}}
	return s
}

func TestSuperblock(t *testing.T) {
	in := testSuper()
	b, err := in.Encode()
	if err != nil || len(b) != SuperSize {
		t.Fatalf("Encode: %d bytes, %v", len(b), err)
	}
	if !XXHash64.Verify(b) {
		t.Error("the superblock is not sealed")
	}
	out, err := DecodeSuperblock(b)
	if diff := cmp.Diff(in, out); err != nil || diff != "" {
		t.Errorf("round trip: %v\n%s", err, diff)
	}
	for _, bad := range [][]byte{nil, b[:SuperSize-1], append(bytes.Clone(b), 0)} {
		if _, err := DecodeSuperblock(bad); err == nil {
			t.Errorf("DecodeSuperblock of %d bytes succeeded", len(bad))
		}
	}
	b[64]++
	if _, err := DecodeSuperblock(b); err == nil || !strings.Contains(err.Error(), "magic") {
		t.Errorf("wrong magic: %v", err)
	}
}

// Offsets are those of the kernel's struct btrfs_super_block.
func TestSuperblockLayout(t *testing.T) {
	encode := func(s *Superblock) []byte {
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b[ChecksumSize:]
	}
	want := fields{
		"FSID": "0+16", "Bytenr": "16+8", "Flags": "24+8", "Generation": "40+8", "Root": "48+8", "ChunkRoot": "56+8", "LogRoot": "64+8",
		"TotalBytes": "80+8", "BytesUsed": "88+8", "RootDirObjectID": "96+8", "NumDevices": "104+8", "SectorSize": "112+4", "NodeSize": "116+4",
		"LeafSize": "120+4", "StripeSize": "124+4", "ChunkRootGeneration": "132+8", "CompatFlags": "140+8", "CompatROFlags": "148+8",
		"IncompatFlags": "156+8", "Checksum": "164+2", "RootLevel": "166+1", "ChunkRootLevel": "167+1", "LogRootLevel": "168+1",
		"DevItem": "169+98", "CacheGeneration": "523+8", "UUIDTreeGeneration": "531+8", "MetadataUUID": "539+16",
		"Label": "-1+1", "SysChunks": "-1+1", // not set by layoutOf
		"Backups": "2827+662", // four of 168, less the zeros at the end of the last
	}
	if diff := cmp.Diff(want, layoutOf(encode)); diff != "" {
		t.Errorf("layout behind the checksum (-format +encoded):\n%s", diff)
	}
	b, err := testSuper().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(b[64:72]) != "_BHRfS_M" || string(b[299:301]) != "ll" || b[299+MaxLabel] != 0 || b[811+8] != byte(TypeChunkItem) || u32(b[160:]) != 2*(17+48)+3*32 {
		t.Errorf("magic %q, label %q, system chunks %d bytes", b[64:72], b[299:301], u32(b[160:]))
	}
}

func TestSuperblockLimits(t *testing.T) {
	s := testSuper()
	s.Label += "l"
	if _, err := s.Encode(); err == nil {
		t.Error("a label of 256 bytes is accepted")
	}
	s = testSuper()
	s.SysChunks = nil
	for range sysChunkArraySize / (KeySize + chunkFixedSize + stripeSize) {
		s.SysChunks = append(s.SysChunks, SysChunk{Chunk: testChunk(1)})
	}
	b, err := s.Encode()
	if err != nil {
		t.Fatalf("%d system chunks: %v", len(s.SysChunks), err)
	}
	if out, err := DecodeSuperblock(b); err != nil || len(out.SysChunks) != len(s.SysChunks) {
		t.Errorf("%d system chunks: %v", len(s.SysChunks), err)
	}
	s.SysChunks = append(s.SysChunks, SysChunk{Chunk: testChunk(1)})
	if _, err := s.Encode(); err == nil {
		t.Error("a system chunk array of more than 2048 bytes is accepted")
	}
	for size, want := range map[uint32]string{
		1: "key", 16: "key", 17: "chunk", 96: "chunk", 98: "key",
		sysChunkArraySize + 1: "array of 2049 bytes", ^uint32(0): "array of 4294967295 bytes",
	} {
		c := bytes.Clone(b)
		put32(c[160:160], size)
		if _, err := DecodeSuperblock(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a system chunk array of %d bytes: %v; want %q", size, err, want)
		}
	}
}
