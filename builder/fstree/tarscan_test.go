package fstree

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// member is one member of an archive made by archive/tar: our reader is tested
// against another's writer.
type member struct {
	tar.Header
	content string
}

func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		m.Size = int64(len(m.content))
		must(t, w.WriteHeader(&m.Header))
		_, err := w.Write([]byte(m.content))
		must(t, err)
	}
	must(t, w.Close())
	return buf.Bytes()
}

func tarFileOf(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: time.Unix(9, 0)}, content}
}

func tarDir(name string, mode int64) member {
	return member{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode, ModTime: time.Unix(5, 0)}, ""}
}

func tarLink(flag byte, name, target string) member {
	return member{tar.Header{Typeflag: flag, Name: name, Linkname: target, Mode: 0o777}, ""}
}

func TestScanTarPlacement(t *testing.T) {
	const symlink, link, fifo = tar.TypeSymlink, tar.TypeLink, tar.TypeFifo
	tests := []struct {
		name    string
		members []member
		want    []string // without the root, or parts of the error
	}{
		{"nothing", nil, nil},
		{"leading slash and dots", []member{tarFileOf("/./etc//x", "1")}, []string{"etc/ implied", "etc/x 1"}},
		{"later replaces earlier", []member{tarFileOf("a", "1"), tarFileOf("./a", "22")}, []string{"a 22"}},
		{"directory keeps children", []member{tarFileOf("d/a", "1"), tarDir("d/", 0o700)}, []string{"d/", "d/a 1"}},
		{"directory over file", []member{tarFileOf("d", "1"), tarDir("d/", 0o700), tarFileOf("d/a", "1")}, []string{"d/", "d/a 1"}},
		{"directory over symlink", []member{tarLink(symlink, "d", "/"), tarDir("d/", 0o700), tarFileOf("d/a", "1")}, []string{"d/", "d/a 1"}},
		{"file over empty directory", []member{tarDir("d/", 0o700), tarFileOf("d", "1")}, []string{"d 1"}},
		{"symlink over file", []member{tarFileOf("a", "1"), tarLink(symlink, "a", "b")}, []string{"a -> b"}},
		{"descending names", []member{tarFileOf("b", "1"), tarFileOf("a", "1")}, []string{"a 1", "b 1"}},
		{"hard link", []member{tarFileOf("a", "1"), tarLink(link, "d/b", "./a")}, []string{"a 1", "d/ implied", "d/b 1"}},
		{"hard link to itself", []member{tarFileOf("a", "1"), tarLink(link, "a", "a")}, []string{"a 1"}},
		{"hard link to a symlink", []member{tarLink(symlink, "a", "x"), tarLink(link, "b", "a")}, []string{"a -> x", "b -> x"}},
		{"replaced target of a link", []member{tarFileOf("a", "1"), tarLink(link, "b", "a"), tarFileOf("a", "2")}, []string{"a 2", "b 1"}},

		{"file over directory", []member{tarFileOf("d/a", "1"), tarFileOf("d", "1")},
			[]string{`x.tar: member "d" at byte 1024: a regular file cannot replace a directory that is not empty`}},
		{"upwards", []member{tarFileOf("a/../../x", "1")}, []string{`x.tar: member "a/../../x" at byte 0: path element ".." is not allowed`}},
		{"only upwards", []member{tarDir("..", 0o755)}, []string{`".." is not allowed`}},
		{"file as root", []member{tarLink(symlink, "./", "x")}, []string{`member "./" at byte 0: a symlink cannot be the root`}},
		{"below a symlink", []member{tarLink(symlink, "a", "/etc"), tarFileOf("a/b", "1")},
			[]string{`member "a/b" at byte 512: leads through the symlink "a" -> "/etc"`}},
		{"far below a symlink", []member{tarDir("r", 0o755), tarLink(symlink, "r/a", "."), tarFileOf("r/a/b/c", "1")},
			[]string{`member "r/a/b/c"`, `symlink "r/a" -> "."`}},
		{"below a file", []member{tarFileOf("a", ""), tarFileOf("a/b", "1")}, []string{`leads through "a", which is a regular file`}},
		{"below a FIFO", []member{tarLink(fifo, "a", ""), tarDir("a/b", 0o755)}, []string{`leads through "a", which is a FIFO`}},
		{"hard link forward", []member{tarLink(link, "b", "a"), tarFileOf("a", "1")},
			[]string{`member "b" at byte 0: hard link to "a": no earlier member has that name`}},
		{"hard link to a directory", []member{tarDir("d", 0o755), tarLink(link, "b", "d")}, []string{`hard link to "d": it is a directory`}},
		{"hard link to the root", []member{tarLink(link, "b", "/")}, []string{`hard link to "/": it is a directory`}},
		{"hard link upwards", []member{tarLink(link, "b", "../etc/shadow")}, []string{`hard link to "../etc/shadow": path element ".."`}},
		{"hard link through a symlink", []member{tarFileOf("d/a", "1"), tarLink(symlink, "l", "d"), tarLink(link, "b", "l/a")},
			[]string{`hard link to "l/a": leads through the symlink "l" -> "d"`}},
		{"hard link to below a file", []member{tarFileOf("a", "1"), tarLink(link, "b", "a/x")}, []string{"no earlier member"}},
		{"device numbers", []member{{tar.Header{Typeflag: tar.TypeBlock, Name: "b", Devmajor: 4096}, ""}},
			[]string{`member "b" at byte 0: major device number 4096, expected 0 to 4095`}},
		{"symlink without target", []member{tarLink(symlink, "l", "")}, []string{`symlink target ""`}},
		{"long name", []member{tarFileOf(strings.Repeat("n", 4096), "1")}, []string{"name or link of 4096 bytes, expected at most 4095"}},
		{"long target", []member{tarLink(symlink, "l", strings.Repeat("n", 4096))}, []string{"name or link of 4096 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := scanBytes(pack(t, tt.members...))
			if err != nil {
				wantInputError(t, err, tt.want...)
				return
			}
			wantFrozen(t, tree.root)
			got := brief(t, tree)
			diff(t, "tree", append([]string{"./ implied"}, tt.want...), got)
		})
	}
}

func TestScanTarImpliedParents(t *testing.T) {
	tree, err := scanBytes(pack(t, tarFileOf("a/b/c", "1"), tarDir("a", 0o2750), tarDir(".", 0o500)))
	must(t, err)
	diff(t, "tree", []string{
		". 040500 0:0 5.000000000",
		"a 042750 0:0 5.000000000",
		"a/b 040755 0:0 9.000000000",
		"a/b/c 100644 0:0 9.000000000 1 bytes [{0 1}] 29f8406375ed",
	}, listing(t, tree))
}

func TestScanTarOwner(t *testing.T) {
	data := pack(t, member{tar.Header{Name: "f", Typeflag: tar.TypeReg, Uid: 1, Gid: 2}, "x"}, tarLink(tar.TypeLink, "g", "f"))
	tree, err := ScanTar(context.Background(), bytes.NewReader(data), int64(len(data)), TarOptions{Owner: &Owner{33, 44}})
	must(t, err)
	if f := tree.Lookup("f"); f.UID != 33 || f.GID != 44 || tree.Lookup("g").Inode != f.Inode {
		t.Errorf("f is owned by %d:%d; want 33:44, with g as its link", f.UID, f.GID)
	}
}

// Cut at any byte, an archive gives one error that says where it ends; but
// cut within what follows the end marker it is whole.
func TestScanTarTruncated(t *testing.T) {
	data := pack(t,
		member{tar.Header{Name: strings.Repeat("n", 150), Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}}, strings.Repeat("c", 700)},
		tarFileOf("last", "1"))
	for n := range data {
		_, err := scanBytes(data[:n])
		if err == nil {
			t.Fatalf("cut at byte %d of %d: no error", n, len(data))
		}
		wantInputError(t, err, "x.tar: ", "at byte ", fmt.Sprintf("truncated: it ends at byte %d within ", n))
	}
	_, err := scanBytes(data[:len(data)-1024-100])
	wantInputError(t, err, `after member "last"`)
	_, err = scanBytes(data[:2000])
	wantInputError(t, err, `member "`+strings.Repeat("n", 150)+`" at byte 0: truncated`, "data of 700 bytes")
	for _, tail := range []string{"garbage", strings.Repeat("\x00", 9000), strings.Repeat("g", 2000)} {
		tree, err := scanBytes(append(bytes.Clone(data), tail...))
		must(t, err)
		if tree.Lookup("last") == nil {
			t.Error("the last member is gone")
		}
	}
}

// TestScanTarJoined gives archives joined end to end, the second near and far:
// its members must not be lost in silence.
func TestScanTarJoined(t *testing.T) {
	one := pack(t, tarFileOf("one", "1"))
	two := pack(t, tarFileOf("two", "2"))
	for _, gap := range []int{0, blockSize, 2048*blockSize - 1024, 2048 * blockSize, 5000 * blockSize} {
		joined := append(append(bytes.Clone(one), make([]byte, gap)...), two...)
		_, err := scanBytes(joined)
		wantInputError(t, err, fmt.Sprintf("at byte %d a further member follows", len(one)+gap))
	}
}

// TestScanTarSymlinkMode gives a symlink of an odd mode.
func TestScanTarSymlinkMode(t *testing.T) {
	tree, err := scanBytes(pack(t, member{tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "x", Mode: 0o644}, ""}))
	must(t, err)
	if got := tree.Lookup("l").Mode; got != TypeSymlink|0o777 {
		t.Errorf("mode %o; want %o", got, TypeSymlink|0o777)
	}
}

// seal puts a block's checksum right.
func seal(b []byte) []byte {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:blockSize] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// header makes a v7 header for tests to change.
func header(name string, flag byte, size int64) []byte {
	b := make([]byte, blockSize)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", size))
	b[156] = flag
	return seal(b)
}

func blocks(parts ...[]byte) []byte {
	var data []byte
	for _, p := range parts {
		data = append(data, p...)
		data = append(data, make([]byte, -len(data)&(blockSize-1))...)
	}
	return data
}

var endOfArchive = make([]byte, 2*blockSize)

func change(b []byte, off int, with string) []byte {
	copy(b[off:], with)
	return seal(b)
}

func TestScanTarHeaders(t *testing.T) {
	big := "\x80\x00\x00\x00\x7f\xff\xff\xff"
	tests := []struct {
		name string
		data []byte
		want string // of the listing's last line, or of the error
	}{
		{"v7 file", blocks(header("f", 0, 1), []byte("x")), "f 100644 0:0 0.000000000 1 bytes"},
		{"v7 directory", blocks(header("d/", 0, 0)), "d 040644"},
		{"contiguous file", blocks(header("f", '7', 1), []byte("x")), "f 100644"},
		{"directory with a size", blocks(header("d", '5', 999)), "d 040644"},
		{"spaces around octal", blocks(change(header("f", '0', 0), 108, "   17 \x00 ")), "f 100644 15:0"},
		{"base-256 owner", blocks(change(header("f", '0', 0), 108, big)), "f 100644 2147483647:0"},
		{"largest owner", blocks(change(header("f", '0', 0), 116, "\x80\x00\x00\x00\xff\xff\xff\xff")), "f 100644 0:4294967295"},
		{"base-256 time before 1970", blocks(change(header("f", '0', 0), 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe")), "f 100644 0:0 -2.0"},
		{"type bits in the mode", blocks(change(header("f", '0', 0), 100, "0044755\x00")), "f 104755"},
		{"full name", blocks(header(strings.Repeat("n", 100), '0', 0)), strings.Repeat("n", 100) + " 100644"},
		{"ustar prefix", blocks(change(change(header("f", '0', 0), 257, "ustar\x0000"), 345, "a/b")), "a/b/f"},
		{"no prefix in GNU's format", blocks(change(change(header("f", '0', 0), 257, "ustar  \x00"), 345, "a/b")), "f 100644"},
		{"GNU long name", blocks(header("@", 'L', 6), []byte("a/bcd\x00"), header("x", '0', 0)), "a/bcd 100644"},
		{"GNU long link", blocks(header("@", 'K', 6), []byte("a/bcd\x00"), header("x", '2', 0)), "x 120777 0:0 0.000000000 -> a/bcd"},
		{"volume label", blocks(header("label", 'V', 0), header("x", '0', 0)), "x 100644"},
		{"only a volume label", blocks(header("label", 'V', 0)), ". 040755"},
		{"signed checksum", signedChecksum(header("\xff\xfe", '0', 0)), "\xff\xfe 100644"},
		{"global comment", blocks(header("g", 'g', 13), []byte("13 comment=x\n"), header("x", '0', 0)), "x 100644"},

		{"no archive", []byte(strings.Repeat("text", 200)), `at byte 0: no tar header: checksum: got "texttext", expected octal`},
		{"flipped bit", append([]byte{'g'}, header("f", '0', 0)[1:]...), "no tar header: its checksum is "},
		{"zeros before a member", blocks(make([]byte, blockSize), header("f", '0', 0)), "a lone zero block"},
		{"end after long name", blocks(header("@", 'L', 2), []byte("a\x00")), "at byte 0: the archive ends after an extended header"},
		{"owner too large", blocks(change(header("f", '0', 0), 108, "\x80\x00\x00\x01\x00\x00\x00\x00")), "uid 4294967296, expected 0 to 4294967295"},
		{"owner negative", blocks(change(header("f", '0', 0), 116, "\xff\xff\xff\xff\xff\xff\xff\xff")), "gid -1, expected"},
		{"size negative", blocks(change(header("f", '0', 0), 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), "size -1, expected"},
		{"size of over 64 bits", blocks(change(header("f", '0', 0), 124, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), "more than 64 bits"},
		{"size near the limit", blocks(change(header("f", '0', 0), 124, "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff")), `member "f" at byte 0: size 9223372036854775807, expected`},
		{"size beyond the end", blocks(header("f", '0', 1<<30)), `member "f" at byte 0: truncated: it ends at byte 1536 within data of 1073741824 bytes`},
		{"extended header too large", blocks(header("@", 'x', maxMeta+1)), "size of extended header 1048577, expected 0 to 1048576"},
		{"extended header beyond the end", blocks(header("@", 'x', maxMeta)), "truncated"},
		{"no name", blocks(header("", '0', 0)), "member without a name"},
		{"octal with a 9", blocks(change(header("f", '0', 0), 136, "19")), `mtime: got "19", expected octal digits`},
		{"multi-volume", blocks(header("f", 'M', 0)), `type 'M' is not supported`},
		{"incremental", blocks(header("f", 'D', 0)), `type 'D' is not supported`},
		{"global owner", blocks(header("g", 'g', 8), []byte("8 uid=1\n"), header("x", '0', 0)), "global PAX records other than a comment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := scanBytes(append(tt.data, endOfArchive...))
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %q; want %q", err, tt.want)
				}
				return
			}
			lines := listing(t, tree)
			if got := lines[len(lines)-1]; !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q; want %q", got, tt.want)
			}
		})
	}
}

func signedChecksum(b []byte) []byte {
	sum := 0
	copy(b[148:156], "        ")
	for _, c := range b {
		sum += int(int8(c))
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func TestScanTarCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ScanTar(ctx, bytes.NewReader(endOfArchive), 1024, TarOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want %v", err, context.Canceled)
	}
}

// brokenReader fails from byte limit on.
type brokenReader struct {
	data  []byte
	limit int64
}

var errBroken = errors.New("broken disk")

func (r brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > r.limit {
		return 0, errBroken
	}
	return copy(p, r.data[off:]), nil
}

func TestScanTarReadError(t *testing.T) {
	data := pack(t, tarFileOf("a", strings.Repeat("x", 600)), tarFileOf(strings.Repeat("n", 200), "1"))
	for _, limit := range []int64{0, 512, 1536, 2048, 2559} {
		_, err := ScanTar(context.Background(), brokenReader{data, limit}, int64(len(data)), TarOptions{})
		if wantInputError(t, err, "archive: "); !errors.Is(err, errBroken) {
			t.Errorf("readable up to %d: error %v; want %v", limit, err, errBroken)
		}
	}
	// Content that has gone since the scan.
	tree, err := scanBytes(data)
	must(t, err)
	e := tree.Lookup("a")
	e.Content.(*tarContent).src.r = brokenReader{data, 600}
	f, err := e.Content.Open(e)
	must(t, err)
	_, err = f.ReadAt(make([]byte, 600), 0)
	wantInputError(t, err, "x.tar: a: byte 0: broken disk")
	e.Content.(*tarContent).src.r = bytes.NewReader(data[:600])
	n, err := f.ReadAt(make([]byte, 600), 0)
	if n != 88 {
		t.Errorf("read %d bytes; want 88", n)
	}
	wantInputError(t, err, "x.tar: a: byte 88: unexpected EOF")
}
