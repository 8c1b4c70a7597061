package btrfs

import (
	"crypto/sha256"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// blockSize is how much of a file is read, compressed and shared at once: the
// most that a compressed extent may hold.
const blockSize = ondisk.MaxCompress

// maxInline is the largest file content, as stored, that goes into the tree
// instead of an extent: the kernel's default max_inline. With two copies of
// the tree a larger one would need more room than a sector of data.
const maxInline = 2048

// block is a part of a file on its way through the workers. It is used again
// and again, with its buffers.
type block struct {
	// Set by the feeder.
	entry  *fstree.Entry
	file   fstree.File // nil for the only block of a file without data
	offset int64       // in the file, a multiple of the sector size
	length int         // bytes of the file, up to blockSize
	last   bool        // of its file
	share  bool        // look for equal content
	plain  bool        // neither compression nor checksums
	raw    bool        // no compression

	// Set by the worker.
	err        error
	sum        [sha256.Size]byte // of the content, when share is set
	stored     []byte            // what goes to the device; nil when an equal block was placed before
	compressed bool
	inline     bool // stored goes into the tree; else it is whole sectors
	sums       []byte

	in, out []byte // buffers of blockSize and of the compressed size
	done    chan struct{}
}

// blockWorker turns blocks into what is stored.
type blockWorker struct {
	encoder  *zstd.Encoder // nil when nothing is compressed
	checksum ondisk.ChecksumType
	shared   *sharedBlocks
}

// newBlockWorker returns a worker. The frames it makes fit the kernel's
// decoder: one frame for a block, a window of at most 128 KiB, no dictionary.
// Content checksums are left out, since sectors have their own.
func newBlockWorker(p *Params, shared *sharedBlocks) (*blockWorker, error) {
	w := &blockWorker{checksum: p.Checksum, shared: shared}
	if p.Compression.Level == 0 {
		return w, nil
	}
	var err error
	w.encoder, err = zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(p.Compression.Level)),
		zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true),
		zstd.WithWindowSize(blockSize), zstd.WithEncoderCRC(false))
	return w, err
}

// work reads a block and decides how it is stored.
func (w *blockWorker) work(b *block) {
	b.stored, b.compressed, b.inline, b.sums = nil, false, false, b.sums[:0]
	if b.length == 0 {
		return
	}
	in := b.in[:b.length]
	if n, err := b.file.ReadAt(in, b.offset); n < len(in) {
		b.err = readError(b, n, err)
		return
	}
	if b.share {
		b.sum = sha256.Sum256(in)
		if w.shared.has(b.sum) {
			return
		}
	}
	b.stored = in
	compressed := w.compress(b, in)
	if b.entry.Size <= ondisk.SectorSize && w.makeInline(b, in, compressed) {
		return
	}
	if compressed != nil && roundUp(len(compressed), ondisk.SectorSize) < roundUp(len(in), ondisk.SectorSize) {
		b.stored, b.compressed = compressed, true
	}
	b.stored = padSector(b.stored)
	if !b.plain {
		b.sums = w.checksum.AppendSectors(b.sums, b.stored)
	}
}

// compress returns the compressed block, or nil where it is not to be tried.
func (w *blockWorker) compress(b *block, in []byte) []byte {
	if w.encoder == nil || b.plain || b.raw || (len(in) > ondisk.SectorSize && !compressible(in)) {
		return nil
	}
	b.out = w.encoder.EncodeAll(in, b.out[:0])
	return b.out
}

// makeInline stores a whole small file in the tree if it is short enough.
func (w *blockWorker) makeInline(b *block, in, compressed []byte) bool {
	switch {
	case compressed != nil && len(compressed) < len(in) && len(compressed) <= maxInline:
		b.stored, b.compressed = compressed, true
	case len(in) > maxInline:
		return false
	}
	b.inline = true
	return true
}

// padSector appends zeros up to the next sector boundary.
func padSector(b []byte) []byte {
	var zero [ondisk.SectorSize]byte
	return append(b, zero[:roundUp(len(b), ondisk.SectorSize)-len(b)]...)
}

func readError(b *block, n int, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return fault.New(fault.Input, "let nothing write to the source meanwhile", "%s: ends at byte %d, expected %d bytes: it changed while it was read",
			b.entry.Path(), b.offset+int64(n), b.entry.Size)
	}
	return fault.New(fault.Input, "", "%s: %w", b.entry.Path(), err)
}
