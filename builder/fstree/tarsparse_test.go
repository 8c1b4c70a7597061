package fstree

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// oldSparseHeader makes a header of GNU's old sparse format with the regions
// given as offset and length in turn, and the blocks that its map overflows to.
func oldSparseHeader(stored, real int64, numbers ...int64) []byte {
	table := func(b []byte, at, count int) {
		for i := 0; i < 2*count && len(numbers) > 0; i++ {
			copy(b[at+12*i:], fmt.Sprintf("%011o\x00", numbers[0]))
			numbers = numbers[1:]
		}
	}
	b := header("s", 'S', stored)
	copy(b[257:], "ustar  \x00")
	copy(b[483:], fmt.Sprintf("%011o\x00", real))
	table(b, 386, 4)
	if len(numbers) > 0 {
		b[482] = 1
	}
	data := seal(b)
	for len(numbers) > 0 {
		ext := make([]byte, blockSize)
		table(ext, 0, 21)
		if len(numbers) > 0 {
			ext[504] = 1
		}
		data = append(data, ext...)
	}
	return data
}

// stripes returns n regions of one byte, each at a multiple of 10.
func stripes(n int) (numbers []int64, data string) {
	for i := range n {
		numbers = append(numbers, int64(10*i), 1)
		data += string(rune('a' + i%26))
	}
	return numbers, data
}

// The old format's map has places for 4 regions, then for 21 in every block.
func TestOldSparseMapLimits(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 5, 24, 25, 26, 46, 47} {
		numbers, data := stripes(n)
		size := int64(10*n + 5)
		archive := blocks(oldSparseHeader(int64(n), size, numbers...), []byte(data), header("next", '0', 0), endOfArchive)
		tree, err := scanBytes(archive)
		if err != nil {
			t.Errorf("%d regions: %v", n, err)
			continue
		}
		if tree.Lookup("next") == nil {
			t.Errorf("%d regions: the next member is lost", n)
		}
		checkStripes(t, tree.Lookup("s"), n, size)
	}
}

func checkStripes(t *testing.T, e *Entry, n int, size int64) {
	t.Helper()
	if e.Size != size {
		t.Errorf("%d regions: size %d; want %d", n, e.Size, size)
	}
	if n == 0 {
		if e.Content != nil {
			t.Errorf("a file that is one hole has content")
		}
		return
	}
	f, err := e.Content.Open(e)
	must(t, err)
	segments, err := f.Segments()
	must(t, err)
	if len(segments) != n {
		t.Fatalf("%d regions: %d segments", n, len(segments))
	}
	buf := make([]byte, size)
	_, err = f.ReadAt(buf, 0)
	must(t, err)
	for i := range n {
		if want := string(rune('a'+i%26)) + strings.Repeat("\x00", 9); string(buf[10*i:min(10*i+10, len(buf))]) != want[:min(10, len(buf)-10*i)] {
			t.Errorf("%d regions: %q at %d; want %q", n, buf[10*i:min(10*i+10, len(buf))], 10*i, want)
		}
	}
}

func TestSparseFormats(t *testing.T) {
	pax := func(stored string, records ...string) []byte {
		var data string
		for i := 0; i < len(records); i += 2 {
			data += record(records[i], records[i+1])
		}
		return blocks(header("@", 'x', int64(len(data))), []byte(data), header("s", '0', int64(len(stored))), []byte(stored), endOfArchive)
	}
	old := func(stored string, real int64, numbers ...int64) []byte {
		return blocks(oldSparseHeader(int64(len(stored)), real, numbers...), []byte(stored), endOfArchive)
	}
	mapBlock := func(m string) string { return m + strings.Repeat("\x00", -len(m)&(blockSize-1)) }
	v1 := func(stored string) []byte {
		return pax(stored, "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "n", "GNU.sparse.realsize", "20")
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"0.0", pax("ab", "GNU.sparse.size", "20", "GNU.sparse.numblocks", "2", "GNU.sparse.offset", "3", "GNU.sparse.numbytes", "1",
			"GNU.sparse.offset", "9", "GNU.sparse.numbytes", "1"), "s 100644 0:0 0.000000000 20 bytes [{3 1} {9 1}]"},
		{"0.1", pax("ab", "GNU.sparse.name", "d/n", "GNU.sparse.size", "20", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "18,2"),
			"d/n 100644 0:0 0.000000000 20 bytes [{18 2}]"},
		{"0.1 without regions", pax("", "GNU.sparse.size", "20", "GNU.sparse.map", ""), "s 100644 0:0 0.000000000 20 bytes [] hole"},
		{"1.0", v1(mapBlock("2\n0\n1\n19\n1\n") + "ab"), "n 100644 0:0 0.000000000 20 bytes [{0 1} {19 1}]"},
		{"1.0 without regions", v1(mapBlock("0\n")), "n 100644 0:0 0.000000000 20 bytes [] hole"},
		{"end marked by an empty region", v1(mapBlock("2\n4\n1\n20\n0\n") + "a"), "n 100644 0:0 0.000000000 20 bytes [{4 1}]"},
		{"touching regions", old("abcd", 20, 4, 2, 6, 2), "s 100644 0:0 0.000000000 20 bytes [{4 4}]"},
		{"up to the end", old("ab", 20, 18, 2), "s 100644 0:0 0.000000000 20 bytes [{18 2}]"},
		{"huge hole", old("a", 1<<32, 1<<32-1, 1), "s 100644 0:0 0.000000000 4294967296 bytes [{4294967295 1}]"},

		{"beyond the end", old("ab", 20, 19, 2), "sparse map: region of 2 bytes at 19, expected from 0 up to 20"},
		{"start beyond the end", old("", 20, 21, 0), "region of 0 bytes at 21"},
		{"overlapping", old("abcd", 20, 4, 2, 5, 2), "region of 2 bytes at 5, expected from 6 up to 20"},
		{"descending", old("ab", 20, 4, 1, 2, 1), "region of 1 bytes at 2, expected from 5"},
		{"more than stored", old("a", 20, 4, 2), "sparse map names more than the 1 bytes stored"},
		{"less than stored", old("abc", 20, 4, 2), "sparse map names 2 bytes of 3 stored"},
		{"not GNU's", change(old("a", 20, 4, 1), 257, "tar"), "a format other than GNU's"},
		{"old with a bad number", change(old("a", 20, 4, 1), 386, "9"), `sparse map: got "9`},
		{"map cut in the header's overflow", oldSparseHeader(5, 99, 1, 1, 3, 1, 5, 1, 7, 1, 9, 1)[:700], "truncated"},
		{"no real size", pax("a", "GNU.sparse.map", "0,1"), "sparse file without its real size"},
		{"odd map", pax("a", "GNU.sparse.size", "20", "GNU.sparse.map", "0,1,2"), "sparse map ends after an offset"},
		{"empty number", pax("a", "GNU.sparse.size", "20", "GNU.sparse.map", "0,,1"), `"GNU.sparse.map": got "", expected a number`},
		{"length first", pax("a", "GNU.sparse.numbytes", "1"), "expected offset and numbytes in turn"},
		{"offset twice", pax("a", "GNU.sparse.offset", "1", "GNU.sparse.offset", "1"), "expected offset and numbytes in turn"},
		{"unknown version", pax("a", "GNU.sparse.size", "20", "GNU.sparse.major", "2", "GNU.sparse.minor", "0"), "sparse format 2.0, expected 0.0, 0.1 or 1.0"},
		{"1.0 without a map", v1(""), "sparse map does not end within the member"},
		{"1.0 with a bad count", v1(mapBlock("x\n")), `sparse map: got "x\n", expected a number`},
		{"1.0 with a huge count", v1(mapBlock("129\n")), "sparse map of 129 regions in a member of 512 bytes"},
		{"1.0 with too few numbers", v1(mapBlock("3\n1\n1\n")), "sparse map does not end"},
		{"1.0 with an endless number", v1(strings.Repeat("1", 600)), "sparse map does not end"},
		{"1.0 without the padding", v1("0\n"), "sparse map does not end within the member"},
		{"1.0 with a sign", v1(mapBlock("1\n+1\n1\n") + "a"), `got "+1\n"`},
		{"1.0 beyond the end of the archive", v1(mapBlock("1\n0\n1\n") + "a")[:1600], "truncated: it ends at byte 1600 within data of 513 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkLast(t, tt.data, tt.want) })
	}
}

func TestSparseTwoFormats(t *testing.T) {
	data := record("GNU.sparse.map", "0,1")
	checkLast(t, blocks(header("@", 'x', int64(len(data))), []byte(data), oldSparseHeader(1, 20, 0, 1), []byte("a"), endOfArchive),
		`member "s" at byte 0: sparse in two formats at once`)
}

// Every range of a file with regions of one byte, of one with longer regions,
// and of one without holes.
func TestTarFileReadAt(t *testing.T) {
	numbers, data := stripes(30)
	content := ""
	for i := range 300 {
		content += string(rune('a' + i%23))
	}
	part := content[:90]
	for _, tt := range []struct {
		archive []byte
		want    string
	}{
		{blocks(oldSparseHeader(30, 300, numbers...), []byte(data), endOfArchive), ""},
		{blocks(oldSparseHeader(90, 300, 20, 40, 101, 50), []byte(part), endOfArchive),
			strings.Repeat("\x00", 20) + part[:40] + strings.Repeat("\x00", 41) + part[40:] + strings.Repeat("\x00", 149)},
		{blocks(header("s", '0', 300), []byte(content), endOfArchive), content},
	} {
		tree, err := scanBytes(tt.archive)
		must(t, err)
		readRanges(t, tree.Lookup("s"), tt.want)
	}
}

// readRanges reads ranges of a file of 300 bytes that holds want, or if that
// is empty what it says itself when read at once.
func readRanges(t *testing.T, e *Entry, want300 string) {
	t.Helper()
	f, err := e.Content.Open(e)
	must(t, err)
	whole := make([]byte, 300)
	_, err = f.ReadAt(whole, 0)
	must(t, err)
	if want300 != "" && string(whole) != want300 {
		t.Errorf("read %q; want %q", whole, want300)
	}
	for off := range int64(301) {
		for _, n := range []int64{0, 1, 9, 10, 11, 25, 300} {
			buf := make([]byte, n)
			for i := range buf {
				buf[i] = 0xee
			}
			got, err := f.ReadAt(buf, off)
			want := whole[min(off, 300):min(off+n, 300)]
			if string(buf[:got]) != string(want) || (err == io.EOF) != (off+n > 300 || off >= 300) {
				t.Fatalf("ReadAt(%d bytes, %d) = %q, %v; want %q", n, off, buf[:got], err, want)
			}
		}
	}
}
