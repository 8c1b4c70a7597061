package reader

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// lzoHello is an lzo extent with a match: "abcabcabc..." of 19 bytes. The
// stream is a run of 4 literals, a match of 15 bytes at distance 3 and the end
// mark, by the kernel's Documentation/staging/lzo.rst.
var lzoHello = []byte{19, 0, 0, 0, 11, 0, 0, 0, 17 + 4, 'a', 'b', 'c', 'a', 0x20 | 13, 2 << 2, 0, 0x11, 0, 0}

func zstdFrameOf(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func zlibOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecompress(t *testing.T) {
	text := bytes.Repeat([]byte("some text. "), 1000)
	frame := zstdFrameOf(t, text)
	zeros := zstdFrameOf(t, make([]byte, 131072), zstd.WithEncoderCRC(false))
	stream := zlibOf(t, text)
	padded := func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, 100)...) }
	tests := []struct {
		name string
		how  ondisk.Compression
		in   []byte
		n    uint64
		want string // of the content, or of the error
		fail bool
	}{
		{"zstd", ondisk.CompressZstd, frame, 11_000, string(text), false},
		{"zstd with padding", ondisk.CompressZstd, padded(frame), 11_000, string(text), false},
		{"zstd shorter than the extent", ondisk.CompressZstd, padded(frame), 12_288, string(text) + strings.Repeat("\x00", 1288), false},
		{"zstd run block", ondisk.CompressZstd, padded(zeros), 131_072, strings.Repeat("\x00", 131_072), false},
		{"zstd cut", ondisk.CompressZstd, frame[:len(frame)-1], 11_000, "unexpected EOF", true},
		{"zstd empty", ondisk.CompressZstd, nil, 1, "zstd", true},
		{"zstd skippable", ondisk.CompressZstd, []byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0}, 1, "skippable", true},
		{"zstd window", ondisk.CompressZstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x90, 1, 0, 0}, 1, "zstd", true},
		{"zlib", ondisk.CompressZlib, stream, 11_000, string(text), false},
		{"zlib with padding", ondisk.CompressZlib, padded(stream), 11_000, string(text), false},
		{"zlib shorter than the extent", ondisk.CompressZlib, padded(stream), 11_001, string(text) + "\x00", false},
		{"zlib cut", ondisk.CompressZlib, stream[:len(stream)-12], 11_000, "unexpected EOF", true},
		{"zlib empty", ondisk.CompressZlib, nil, 1, "EOF", true},
		{"lzo", ondisk.CompressLZO, lzoHello, 19, "abcabcabcabcabcabca", false},
		{"lzo with padding", ondisk.CompressLZO, padded(lzoHello), 21, "abcabcabcabcabcabca\x00\x00", false},
		{"lzo longer than wanted", ondisk.CompressLZO, lzoHello, 5, "abcab", false},
		{"lzo cut", ondisk.CompressLZO, lzoHello[:18], 19, "length of 19 bytes in an extent of 18", true},
		{"lzo without length", ondisk.CompressLZO, lzoHello[:3], 19, "unexpected EOF", true},
		{"lzo length too small", ondisk.CompressLZO, []byte{3, 0, 0, 0}, 19, "length of 3 bytes", true},
		{"lzo segment too long", ondisk.CompressLZO, []byte{8, 0, 0, 0, 1, 0, 0, 0}, 19, "segment of 1 bytes, 0 left", true},
		{"lzo segment cut", ondisk.CompressLZO, []byte{6, 0, 0, 0, 1, 0}, 19, "unexpected EOF", true},
		{"lzo segment empty", ondisk.CompressLZO, []byte{8, 0, 0, 0, 0, 0, 0, 0}, 19, "segment at 8", true},
		{"too long", ondisk.CompressZstd, frame, ondisk.MaxCompress + 1, "expected at most 131072", true},
		{"unknown", 4, frame, 1, "unknown compression 4", true},
	}
	u := newUnpacker()
	for range 2 { // the second time with reused decoders
		for _, test := range tests {
			got, err := u.decompress(test.how, test.in, test.n)
			if test.fail {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: %d bytes, %v; want an error with %q", test.name, len(got), err, test.want)
				}
			} else if err != nil || string(got) != test.want {
				t.Errorf("%s: %d bytes, %v; want %d bytes", test.name, len(got), err, len(test.want))
			}
		}
	}
}

// TestLZOPadding puts the length of the second segment where it would cross a
// sector boundary: with 4, 3, 2, 1 and no bytes left.
func TestLZOPadding(t *testing.T) {
	for left := 4; left >= 0; left-- {
		first := ondisk.SectorSize - 8 - left // bytes of the first stream
		stream, body := longLiterals(first)
		out := make([]byte, 4)
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(stream))), stream...)
		if len(out) != ondisk.SectorSize-left {
			t.Fatalf("first segment ends at %d", len(out))
		}
		if left < 4 {
			out = append(out, make([]byte, left)...)
		}
		out = append(out, 11, 0, 0, 0)
		out = append(out, lzoHello[8:]...)
		binary.LittleEndian.PutUint32(out, uint32(len(out)))
		got := make([]byte, ondisk.SectorSize+19)
		// Segments but the last hold a whole sector.
		if len(body) != ondisk.SectorSize {
			t.Fatalf("first segment holds %d bytes", len(body))
		}
		if err := decompressLZO(got, out); err != nil || !bytes.Equal(got[:len(body)], body) || string(got[len(body):]) != "abcabcabcabcabcabca" {
			t.Errorf("%d bytes left before the boundary: %v", left, err)
		}
	}
}

// longLiterals makes an LZO1X stream of exactly n bytes that holds a sector: a
// run of literals, then one long match that fills it up.
func longLiterals(n int) (stream, body []byte) {
	for run := n; run > 18; run-- {
		var s []byte
		s = append(s, 0)
		rest := run - 18
		for ; rest > 255; rest -= 255 {
			s = append(s, 0)
		}
		s = append(s, byte(rest))
		lits := make([]byte, run)
		for i := range lits {
			lits[i] = byte(i*i>>3 + i)
		}
		s = append(s, lits...)
		match := ondisk.SectorSize - run
		if match > 33 {
			s = append(s, 0x20)
			rest := match - 33
			for ; rest > 255; rest -= 255 {
				s = append(s, 0)
			}
			s = append(s, byte(rest), 0, 0) // distance 1
		} else if match >= 3 {
			s = append(s, 0x20|byte(match-2), 0, 0)
		} else {
			continue
		}
		s = append(s, 0x11, 0, 0)
		if len(s) == n {
			return s, append(lits, bytes.Repeat(lits[run-1:], match)...)
		}
	}
	return nil, nil
}

func FuzzLZO(f *testing.F) {
	f.Add(lzoHello, 19)
	f.Add([]byte{8, 0, 0, 0, 0, 0, 0, 0}, 1)
	f.Fuzz(func(t *testing.T, src []byte, n int) {
		if n < 0 || n > ondisk.MaxCompress {
			return
		}
		_ = decompressLZO(make([]byte, n), src)
	})
}

func FuzzDecompress(f *testing.F) {
	text := bytes.Repeat([]byte("text "), 100)
	f.Add(uint8(1), zlibOf(f, text), uint64(500))
	f.Add(uint8(2), lzoHello, uint64(19))
	f.Add(uint8(3), zstdFrameOf(f, text), uint64(500))
	u := newUnpacker()
	f.Fuzz(func(t *testing.T, how uint8, src []byte, n uint64) {
		out, err := u.decompress(ondisk.Compression(how), src, n)
		if err == nil && (uint64(len(out)) != n || n > ondisk.MaxCompress) {
			t.Errorf("%d bytes; want %d", len(out), n)
		}
	})
}
