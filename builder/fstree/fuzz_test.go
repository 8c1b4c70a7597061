package fstree

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// fuzzSeeds are archives that reach every branch of the scan, whole and cut.
func fuzzSeeds(t testing.TB) [][]byte {
	numbers, data := stripes(30)
	pax := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.realsize", "99") +
		record("mtime", "-1.5") + record("SCHILY.xattr.user.a", "b") + record("LIBARCHIVE.xattr.user.c", "eA")
	sparseMap := "1\n9\n1\n" + strings.Repeat("\x00", 506) + "x"
	seeds := [][]byte{
		endOfArchive,
		pack(t, tarDir("d/", 0o755), tarFileOf("d/"+strings.Repeat("n", 200), "content"), tarLink('1', "l", "d/"+strings.Repeat("n", 200)),
			tarLink('2', "s", "d"), tarLink('6', "f", ""), tarLink('3', "c", "")),
		pack(t, tarLink('2', "s", "d"), tarFileOf("s/x", "1")),
		blocks(oldSparseHeader(30, 300, numbers...), []byte(data), header("next", '0', 0), endOfArchive),
		blocks(header("@", 'x', int64(len(pax))), []byte(pax), header("s", '0', int64(len(sparseMap))), []byte(sparseMap), endOfArchive),
		blocks(header("@", 'L', 6), []byte("a/bcd\x00"), header("@", 'K', 2), []byte("x\x00"), header("x", '2', 0), endOfArchive),
	}
	return append(seeds, seeds[3][:1000], seeds[4][:1700])
}

// An archive of any bytes gives an error or a tree whose every file reads to
// its last byte.
func FuzzScanTar(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, reseal bool) {
		if reseal {
			data = resealed(data)
		}
		tree, err := scanBytes(data)
		if err != nil {
			if tree != nil {
				t.Fatal("a tree beside an error")
			}
			return
		}
		checkWhole(t, tree, len(data))
	})
}

// resealed gives every block a right checksum, which hardly any mutation does.
func resealed(data []byte) []byte {
	data = bytes.Clone(data)
	for b := data; len(b) >= blockSize; b = b[blockSize:] {
		if !bytes.Equal(b[:blockSize], endOfArchive[:blockSize]) {
			seal(b[:blockSize])
		}
	}
	return data
}

// checkWhole reads all data of a tree that was scanned from n bytes.
func checkWhole(t *testing.T, tree *Tree, n int) (files int) {
	entries := 0
	for e := range tree.All() {
		if entries++; entries > 1+4*n {
			t.Fatalf("more than %d entries from %d bytes", entries, n)
		}
		if tree.Lookup(e.Path()) != e {
			t.Fatalf("%q does not find itself", e.Path())
		}
		if e.Content == nil {
			continue
		}
		files++
		file, err := e.Content.Open(e)
		must(t, err)
		segments, err := file.Segments()
		must(t, err)
		end := int64(-1)
		for _, s := range segments {
			if s.Offset <= end || s.Length <= 0 || s.Length > e.Size-s.Offset {
				t.Fatalf("%q of %d bytes: segments %v", e.Path(), e.Size, segments)
			}
			end = s.Offset + s.Length
			if got, err := io.Copy(io.Discard, io.NewSectionReader(file, s.Offset, s.Length)); got != s.Length || err != nil {
				t.Fatalf("%q: %d bytes of %v, %v", e.Path(), got, s, err)
			}
		}
		if got, err := file.ReadAt(make([]byte, 2), e.Size-1); got != 1 || err != io.EOF {
			t.Fatalf("%q of %d bytes: read %d at the end, %v", e.Path(), e.Size, got, err)
		}
		must(t, file.Close())
	}
	return files
}

// The seeds must get to the end of the fuzz target.
func TestFuzzSeedsReachTheEnd(t *testing.T) {
	files := 0
	for _, seed := range fuzzSeeds(t) {
		if tree, err := scanBytes(seed); err == nil {
			files += checkWhole(t, tree, len(seed))
		}
	}
	if files != 4 {
		t.Errorf("seeds hold %d readable files; want 4", files)
	}
}

// Bytes of any kind unpack, or give an error, within bounded memory.
func FuzzDecompress(f *testing.F) {
	plain := []byte("some text that is long enough to be packed, long enough to be packed")
	f.Add(plain)
	f.Add(gzipped(f, plain))
	f.Add(zstdCompressed(f, plain))
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x00\x00\x00\x00\x1c\xdfD!\x1f\xb6\xf3}\x01\x00\x00\x00\x00\x04YZ"))
	f.Add([]byte("BZh"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := decompress(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(d, 1<<20))
		_ = d.Close() // gzip's repeats the error of reading
	})
}
