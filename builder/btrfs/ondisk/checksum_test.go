package ondisk

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestNameHash(t *testing.T) {
	for name, want := range map[string]uint64{"default": 2378154706, "@home": 1092427080, "btrfs.compression": 550297449} {
		if got := NameHash(name); got != want {
			t.Errorf("NameHash(%q) = %d; want %d", name, got, want)
		}
	}
	name := "hardlink_with_a_long_name_" + strings.Repeat("0", 37) + "239"
	if got := ExtrefHash(256, name); got != 345003 {
		t.Errorf("ExtrefHash(256, %q) = %d; want 345003", name, got)
	}
}

// The values stand in the items of an image that the kernel wrote.
func TestDataRefHash(t *testing.T) {
	for _, test := range []struct{ root, objectID, offset, want uint64 }{
		{256, 257, 0, 0x0dea30dea80d95ea},
		{259, 258, 1703936, 0x6048736a40737dfb},
	} {
		ref := DataRef{Root: test.root, ObjectID: test.objectID, Offset: test.offset, Count: 7}
		if got := ref.Hash(); got != test.want {
			t.Errorf("hash of (%d, %d, %d) = %#x; want %#x", test.root, test.objectID, test.offset, got, test.want)
		}
	}
}

// Published test vectors: RFC 3720 B.4 for crc32c (here the usual check value),
// the xxHash specification, FIPS 180-2 and RFC 7693's parameters for 256 bits.
func TestChecksumVectors(t *testing.T) {
	for _, test := range []struct {
		kind     ChecksumType
		in, want string
	}{
		{CRC32C, "123456789", "839206e3"},
		{XXHash64, "", "99e9d85137db46ef"},
		{SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{BLAKE2b, "abc", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"},
	} {
		sum := test.kind.Append([]byte{0xee}, []byte(test.in))
		if got := hex.EncodeToString(sum[1:]); sum[0] != 0xee || got != test.want || len(sum)-1 != test.kind.Size() {
			t.Errorf("%v of %q = %s; want %s", test.kind, test.in, got, test.want)
		}
	}
}

func TestChecksumSeal(t *testing.T) {
	for kind := CRC32C; kind <= BLAKE2b; kind++ {
		block := bytes.Repeat([]byte{0xa5}, 4096)
		if kind.Verify(block) {
			t.Errorf("%v: an unsealed block verifies", kind)
		}
		kind.Seal(block)
		if !kind.Verify(block) {
			t.Errorf("%v: a sealed block does not verify", kind)
		}
		if rest := block[kind.Size():ChecksumSize]; !bytes.Equal(rest, make([]byte, len(rest))) {
			t.Errorf("%v: rest of the field is %x; want zeros", kind, rest)
		}
		for _, at := range []int{0, kind.Size() - 1, ChecksumSize, 4095} {
			block[at] ^= 1
			if kind.Verify(block) {
				t.Errorf("%v: verifies with byte %d flipped", kind, at)
			}
			block[at] ^= 1
		}
	}
	if CRC32C.Verify(make([]byte, ChecksumSize-1)) || ChecksumType(4).Verify(make([]byte, 4096)) {
		t.Error("a short block or an unknown type verifies")
	}
}

func TestChecksumSectors(t *testing.T) {
	data := make([]byte, 3*SectorSize)
	data[SectorSize] = 1
	sums := CRC32C.AppendSectors(nil, data)
	if len(sums) != 12 || !bytes.Equal(sums[:4], sums[8:]) || bytes.Equal(sums[:4], sums[4:8]) {
		t.Errorf("sums %x; want three, the second different", sums)
	}
	if want := CRC32C.Append(nil, data[SectorSize:2*SectorSize]); !bytes.Equal(sums[4:8], want) {
		t.Errorf("second sum %x; want %x", sums[4:8], want)
	}
}

func TestChecksumNames(t *testing.T) {
	for kind := CRC32C; kind <= BLAKE2b; kind++ {
		if got, err := ParseChecksumType(kind.String()); err != nil || got != kind || !kind.Valid() {
			t.Errorf("ParseChecksumType(%q) = %v, %v; want %v", kind.String(), got, err, kind)
		}
	}
	unknown := ChecksumType(4)
	if _, err := ParseChecksumType("md5"); err == nil || unknown.Valid() || unknown.Size() != 0 || len(unknown.Append(nil, nil)) != 0 {
		t.Errorf("unknown types: %v, %v", err, unknown)
	}
	if got := unknown.String(); got != "unknown checksum type 4" {
		t.Errorf("String() = %q", got)
	}
}
