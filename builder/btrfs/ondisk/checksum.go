package ondisk

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/crypto/blake2b"
)

// ChecksumSize is the size of the checksum field in superblocks and tree
// blocks. Shorter checksums are followed by zeros.
const ChecksumSize = 32

// ChecksumType is the algorithm that protects tree blocks and data.
type ChecksumType uint16

// Checksum algorithms, as in the superblock's csum_type.
const (
	CRC32C   ChecksumType = 0
	XXHash64 ChecksumType = 1
	SHA256   ChecksumType = 2
	BLAKE2b  ChecksumType = 3
)

var checksumNames = [...]string{CRC32C: "crc32c", XXHash64: "xxhash64", SHA256: "sha256", BLAKE2b: "blake2b"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// String returns the algorithm's name.
func (t ChecksumType) String() string {
	if int(t) < len(checksumNames) {
		return checksumNames[t]
	}
	return fmt.Sprintf("unknown checksum type %d", uint16(t))
}

// ParseChecksumType returns the algorithm of that name.
func ParseChecksumType(name string) (ChecksumType, error) {
	for i, n := range checksumNames {
		if n == name {
			return ChecksumType(i), nil
		}
	}
	return 0, fmt.Errorf("checksum %q: expected one of %q", name, checksumNames)
}

// Valid reports whether the algorithm is known.
func (t ChecksumType) Valid() bool { return int(t) < len(checksumNames) }

// Size returns the bytes of one checksum, 0 for an unknown algorithm.
func (t ChecksumType) Size() int {
	switch t {
	case CRC32C:
		return 4
	case XXHash64:
		return 8
	case SHA256, BLAKE2b:
		return 32
	}
	return 0
}

// Append appends the checksum of data, Size bytes, to b.
func (t ChecksumType) Append(b, data []byte) []byte {
	switch t {
	case CRC32C:
		return binary.LittleEndian.AppendUint32(b, crc32.Checksum(data, castagnoli))
	case XXHash64:
		return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(data))
	case SHA256:
		sum := sha256.Sum256(data)
		return append(b, sum[:]...)
	case BLAKE2b:
		sum := blake2b.Sum256(data)
		return append(b, sum[:]...)
	}
	return b
}

// AppendSectors appends the checksum of every sector of data, whose length is
// a multiple of SectorSize.
func (t ChecksumType) AppendSectors(b, data []byte) []byte {
	for ; len(data) >= SectorSize; data = data[SectorSize:] {
		b = t.Append(b, data[:SectorSize])
	}
	return b
}

// Seal computes the checksum of a superblock or tree block over everything
// behind the checksum field and stores it there.
func (t ChecksumType) Seal(block []byte) {
	var buf [ChecksumSize]byte
	sum := t.Append(buf[:0], block[ChecksumSize:])
	clear(block[copy(block, sum):ChecksumSize])
}

// Verify reports whether a superblock or tree block carries its right
// checksum. The unused rest of the field is not looked at, as in the kernel.
func (t ChecksumType) Verify(block []byte) bool {
	if len(block) < ChecksumSize || !t.Valid() {
		return false
	}
	var buf [ChecksumSize]byte
	sum := t.Append(buf[:0], block[ChecksumSize:])
	return string(sum) == string(block[:len(sum)])
}

// rawCRC runs the CRC-32C register from seed over data without the final
// inversion.
func rawCRC(seed uint32, data []byte) uint32 { return ^crc32.Update(^seed, castagnoli, data) }

// NameHash is the key offset of a directory entry or xattr of that name.
func NameHash(name string) uint64 { return uint64(rawCRC(0xfffffffe, []byte(name))) }

// ExtrefHash is the key offset of an INODE_EXTREF for a name in directory
// parent.
func ExtrefHash(parent uint64, name string) uint64 {
	return uint64(rawCRC(uint32(parent), []byte(name)))
}

// DataRefHash orders the data back references of one extent, and is the key
// offset of those that have an item of their own. The two halves overlap by
// one bit: the shift of 31 is the format's.
func DataRefHash(root, objectID, offset uint64) uint64 {
	high := rawCRC(^uint32(0), put64(nil, root))
	low := rawCRC(^uint32(0), put64(put64(nil, objectID), offset))
	return uint64(high)<<31 ^ uint64(low)
}
