package reader_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// FuzzOpen edits a sample image and reads everything. Each edit is seven
// bytes: the block, where in it, what to write there (2, 3 and 1 bytes), and whether
// to seal the block again, so that also what is behind the checksum is
// reached. A block number beyond the tree blocks means the superblock.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 101, 7, 1, 3, 0, 0, 0, 88, 1, 1})
	for block := range byte(60) {
		f.Add([]byte{block, 0, 0, 0, 96, 1, 1, block, 0, 0, 0, 110, 0xff, 1})
		f.Add([]byte{block, 0, 0, 15, 200, 0xff, 1, block, 0, 0, 15, 250, 0x80, 1})
	}
	f.Add([]byte{0xff, 0xff, 0, 0, 148, 1, 1})
	f.Fuzz(func(t *testing.T, edits []byte) {
		im := sampleImage(t)
		im.build()
		for ; len(edits) >= 7; edits = edits[7:] {
			im.edit(edits[:7])
		}
		fs, err := reader.Open(bytes.NewReader(im.bytes), int64(len(im.bytes)))
		if err != nil {
			return
		}
		walkAll(t, fs)
		for tree := range uint64(12) {
			_, _ = all(fs, tree)
		}
	})
}

func (im *testImage) edit(e []byte) {
	block, offset, value, seal := int(binary.LittleEndian.Uint16(e)), int(e[3])<<8|int(e[4]), e[5], e[6]&1 != 0
	offset %= testNode
	if block >= len(im.blocks) {
		raw := im.bytes[im.super.Bytenr:][:testNode]
		raw[offset] = value
		if seal {
			im.super.Checksum.Seal(raw)
		}
		return
	}
	for _, at := range im.places(im.blocks[block]) {
		raw := im.bytes[at:][:testNode]
		raw[offset] = value
		if seal {
			im.super.Checksum.Seal(raw)
		}
	}
}
