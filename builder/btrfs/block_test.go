package btrfs

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// TestCompressible asks the heuristic about blocks of every kind that it tells
// apart.
func TestCompressible(t *testing.T) {
	random := randomBytes(blockSize, 1)
	narrow := slices.Clone(random)
	for i := range narrow {
		narrow[i] &= 0x3f
	}
	wide := slices.Clone(random)
	for i := range wide {
		wide[i] = wide[i] % 250
	}
	mixed := slices.Clone(random)
	for i := range mixed {
		if i%4 != 0 {
			mixed[i] = ' '
		}
	}
	tests := []struct {
		name  string
		block []byte
		want  bool
	}{
		{"zeros", make([]byte, blockSize), true},
		{"text", bytes.Repeat([]byte("the quick brown fox "), 6000), true},
		{"random", random, false},
		{"random repeated", bytes.Repeat(random[:blockSize/2], 2), true},
		{"64 symbols", narrow, true},
		{"250 symbols", wide, false},
		{"three quarters of blanks", mixed, true},
		{"short", random[:300], true},
	}
	for _, test := range tests {
		if got := compressible(test.block); got != test.want {
			t.Errorf("compressible(%s) = %v; want %v", test.name, got, test.want)
		}
	}
}

// TestFrames checks that compressed blocks are what the kernel's decoder takes:
// one frame, a window of at most 128 KiB, no dictionary, no checksum.
func TestFrames(t *testing.T) {
	text := []byte(strings.Repeat("all work and no play makes jack a dull boy\n", 4000))
	for level := 1; level <= MaxCompressionLevel; level++ {
		w, err := newBlockWorker(&Params{Compression: Compression{level}}, &sharedBlocks{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{100, 2048, 4096, 4097, blockSize - 1, blockSize} {
			entry := &fstree.Entry{Name: "f", Inode: &fstree.Inode{Mode: fstree.TypeRegular, Size: int64(n)}}
			file, err := fstree.Bytes(text[:n]).Open(entry)
			if err != nil {
				t.Fatal(err)
			}
			b := &block{entry: entry, file: file, length: n, in: make([]byte, blockSize)}
			w.work(b)
			var h zstd.Header
			if err := h.Decode(b.stored); err != nil || !b.compressed {
				t.Fatalf("level %d, %d bytes: compressed %v, %v", level, n, b.compressed, err)
			}
			if window := max(h.WindowSize, h.FrameContentSize); window > blockSize || h.HasCheckSum || h.DictionaryID != 0 {
				t.Errorf("level %d, %d bytes: %+v; want a window of at most %d, no checksum, no dictionary", level, n, h, blockSize)
			}
		}
	}
}

// TestWholeSectors widens and joins segments.
func TestWholeSectors(t *testing.T) {
	list := func(pairs ...int64) []fstree.Segment { // offset, length, offset, length, ...
		var segments []fstree.Segment
		for i := 0; i < len(pairs); i += 2 {
			segments = append(segments, fstree.Segment{Offset: pairs[i], Length: pairs[i+1]})
		}
		return segments
	}
	tests := []struct {
		name     string
		segments []fstree.Segment
		size     int64
		want     []fstree.Segment
	}{
		{"none", nil, 10000, nil},
		{"all", list(0, 10000), 10000, list(0, 10000)},
		{"inside one sector", list(5000, 10), 10000, list(4096, 4096)},
		{"touching after widening", list(0, 1, 4097, 1), 10000, list(0, 8192)},
		{"in one sector", list(1, 1, 100, 1), 10000, list(0, 4096)},
		{"apart", list(0, 1, 8192, 1), 10000, list(0, 4096, 8192, 1808)},
		{"empty", list(4096, 0), 10000, nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, wholeSectors(test.segments, test.size)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// TestParseCompression reads what it writes, and refuses the rest.
func TestParseCompression(t *testing.T) {
	for text, level := range map[string]int{"none": 0, "zstd": 3, "zstd:1": 1, "zstd:15": 15} {
		c, err := ParseCompression(text)
		if err != nil || c.Level != level {
			t.Errorf("ParseCompression(%q) = %+v, %v; want level %d", text, c, err, level)
		}
		if again, err := ParseCompression(c.String()); err != nil || again != c {
			t.Errorf("ParseCompression(%q) = %+v, %v; want %+v", c, again, err, c)
		}
	}
	for _, text := range []string{"", "zstd:", "zstd:0", "zstd:16", "zstd:x", "lzo", "none:1"} {
		if c, err := ParseCompression(text); err == nil {
			t.Errorf("ParseCompression(%q) = %+v; want an error", text, c)
		}
	}
}
