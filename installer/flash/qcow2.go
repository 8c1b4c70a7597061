package flash

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Figures of qcow2 (QEMU docs/interop/qcow2.rst), and QEMU's own limits.
const (
	qcow2HeaderV2 = 72
	qcow2HeaderV3 = 104
	// Bits of what a reader must know.
	qcow2Dirty        = 1 << 0 // reference counts are stale; a reader needs none
	qcow2Corrupt      = 1 << 1
	qcow2External     = 1 << 2
	qcow2Compression  = 1 << 3
	qcow2ExtendedL2   = 1 << 4
	minClusterBits    = 9
	maxClusterBits    = 21
	maxL1             = 32 << 20 // bytes
	tableOffsetMask   = 0x00fffffffffffe00
	l2Compressed      = 1 << 62
	l2Zero            = 1 // of an entry that is not compressed
	qcow2MaxSize      = 1 << 60
	maxCachedL2Bytes  = 32 << 20
	qcow2CompressZlib = 0
	qcow2CompressZstd = 1
)

const hintConvert = "qemu-img convert -O raw makes a raw image of it"

// qcow2Header is what is needed of the header.
type qcow2Header struct {
	version     uint32
	clusterBits uint32
	size        int64
	l1Entries   int64
	l1Offset    int64
	compression byte
}

// cluster returns the bytes of a cluster.
func (h *qcow2Header) cluster() int64 { return 1 << h.clusterBits }

// l2Entries returns how many clusters one L2 table maps.
func (h *qcow2Header) l2Entries() int64 { return h.cluster() / 8 }

// decodeQcow2 decodes the header of a file of so many bytes. What needs other
// files, keys or an extension that this reader does not know is refused.
func decodeQcow2(raw []byte, fileSize int64) (*qcow2Header, error) {
	be := binary.BigEndian
	if len(raw) < qcow2HeaderV2 || string(raw[:4]) != qcow2Magic {
		return nil, fmt.Errorf("qcow2 header of %d bytes", len(raw))
	}
	h := &qcow2Header{version: be.Uint32(raw[4:]), clusterBits: be.Uint32(raw[20:]), l1Entries: int64(be.Uint32(raw[36:])), compression: qcow2CompressZlib}
	size, l1 := be.Uint64(raw[24:]), be.Uint64(raw[40:])
	switch {
	case h.version != 2 && h.version != 3:
		return nil, fault.New(fault.Input, hintConvert, "qcow2 version %d, expected 2 or 3", h.version)
	case be.Uint64(raw[8:]) != 0:
		return nil, fault.New(fault.Input, hintConvert, "qcow2: has a backing file, expected an image that is whole by itself")
	case be.Uint32(raw[32:]) != 0:
		return nil, fault.New(fault.Input, hintConvert, "qcow2: is encrypted")
	case h.clusterBits < minClusterBits || h.clusterBits > maxClusterBits:
		return nil, fmt.Errorf("qcow2: cluster bits %d, expected %d to %d", h.clusterBits, minClusterBits, maxClusterBits)
	case size > qcow2MaxSize:
		return nil, fmt.Errorf("qcow2: %d bytes, expected at most %d", size, int64(qcow2MaxSize))
	case h.l1Entries*8 > maxL1:
		return nil, fmt.Errorf("qcow2: L1 table of %d entries, expected at most %d", h.l1Entries, maxL1/8)
	}
	if h.version == 3 {
		if err := h.decodeV3(raw); err != nil {
			return nil, err
		}
	}
	h.size = int64(size)
	perL1 := h.cluster() * h.l2Entries()
	if need := (h.size + perL1 - 1) / perL1; h.l1Entries < need {
		return nil, fmt.Errorf("qcow2: L1 table of %d entries, expected %d for %d bytes", h.l1Entries, need, h.size)
	}
	if l1%uint64(h.cluster()) != 0 || l1 > uint64(fileSize) || h.l1Entries*8 > fileSize-int64(l1) {
		return nil, fmt.Errorf("qcow2: L1 table of %d entries at byte %d, the file has %d", h.l1Entries, l1, fileSize)
	}
	h.l1Offset = int64(l1)
	return h, nil
}

func (h *qcow2Header) decodeV3(raw []byte) error {
	be := binary.BigEndian
	if len(raw) < qcow2HeaderV3 {
		return fmt.Errorf("qcow2 header of %d bytes, expected %d", len(raw), qcow2HeaderV3)
	}
	features, length := be.Uint64(raw[72:]), be.Uint32(raw[100:])
	switch {
	case length < qcow2HeaderV3 || length%8 != 0:
		return fmt.Errorf("qcow2: header of %d bytes, expected a multiple of 8 from %d on", length, qcow2HeaderV3)
	case features&qcow2Corrupt != 0:
		return fault.New(fault.Input, "qemu-img check -r all repairs it", "qcow2: is marked as corrupt")
	case features&qcow2External != 0:
		return fault.New(fault.Input, hintConvert, "qcow2: its data is in another file")
	case features&qcow2ExtendedL2 != 0:
		return fault.New(fault.Input, hintConvert, "qcow2: has subclusters (extended L2 entries)")
	case features&^(qcow2Dirty|qcow2Compression) != 0:
		return fault.New(fault.Input, hintConvert, "qcow2: has unknown features %#x", features)
	}
	if length > qcow2HeaderV3 && len(raw) > qcow2HeaderV3 {
		h.compression = raw[qcow2HeaderV3]
	}
	if h.compression > qcow2CompressZstd || (features&qcow2Compression != 0) != (h.compression != qcow2CompressZlib) {
		return fault.New(fault.Input, hintConvert, "qcow2: compression type %d, features %#x", h.compression, features)
	}
	return nil
}

// qcow2Source is a qcow2 image without any file but itself.
type qcow2Source struct {
	qcow2Header
	file     io.ReaderAt
	fileSize int64
	closer   io.Closer
	l1       []byte
	decoder  *zstd.Decoder

	mu sync.Mutex
	l2 map[int64][]byte // by their index in L1
}

func openQcow2(f *os.File, size int64) (Source, error) {
	s, err := newQcow2(f, size)
	if err != nil {
		return nil, err
	}
	s.closer = f
	return s, nil
}

func newQcow2(r io.ReaderAt, size int64) (*qcow2Source, error) {
	raw := make([]byte, min(size, qcow2HeaderV3+8))
	if err := readChunk(r, raw, 0); err != nil {
		return nil, err
	}
	h, err := decodeQcow2(raw, size)
	if err != nil {
		return nil, err
	}
	s := &qcow2Source{qcow2Header: *h, file: r, fileSize: size, l2: map[int64][]byte{}}
	s.l1 = make([]byte, h.l1Entries*8)
	if err := readChunk(r, s.l1, h.l1Offset); err != nil {
		return nil, fmt.Errorf("qcow2: L1 table: %w", err)
	}
	s.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(1<<maxClusterBits))
	return s, err
}

// Size implements Source.
func (s *qcow2Source) Size() int64 { return s.size }

// Format implements Source.
func (s *qcow2Source) Format() string { return "qcow2" }

// Random implements Source.
func (s *qcow2Source) Random() io.ReaderAt { return s }

// Head implements Source.
func (s *qcow2Source) Head() ([]byte, error) { return readHead(s, s.size) }

// Close implements Source.
func (s *qcow2Source) Close() error {
	s.decoder.Close()
	if s.closer == nil {
		return nil
	}
	return s.closer.Close()
}

// Each implements Source.
func (s *qcow2Source) Each(ctx context.Context, workers int, want func(int64) bool, do func(int64, []byte) error) error {
	return eachChunk(ctx, s, s.size, workers, want, do)
}
