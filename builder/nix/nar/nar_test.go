package nar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listing is a visitor that notes what it is told, with all content.
type listing struct{ lines []string }

func (l *listing) Directory(path string) error {
	l.lines = append(l.lines, fmt.Sprintf("dir %q", path))
	return nil
}

func (l *listing) File(f File, content io.Reader) error {
	data, err := io.ReadAll(content)
	l.lines = append(l.lines, fmt.Sprintf("file %q %t %d %q", f.Path, f.Executable, f.Size, data))
	return err
}

func (l *listing) Symlink(path, to string) error {
	l.lines = append(l.lines, fmt.Sprintf("link %q %q", path, to))
	return nil
}

// words makes a text of the format out of strings; numbers stand for
// themselves, as lengths.
func words(all ...any) []byte {
	var out []byte
	for _, w := range all {
		switch w := w.(type) {
		case string:
			out = binary.LittleEndian.AppendUint64(out, uint64(len(w)))
			out = append(out, w...)
			out = append(out, make([]byte, pad(int64(len(w))))...)
		case int:
			out = binary.LittleEndian.AppendUint64(out, uint64(w))
		}
	}
	return out
}

func archive(node ...any) []byte {
	return words(append([]any{"nix-archive-1"}, node...)...)
}

func file(content string) []any {
	return []any{"(", "type", "regular", "contents", content, ")"}
}

func dir(entries ...any) []any {
	out := []any{"(", "type", "directory"}
	for i := 0; i < len(entries); i += 2 {
		out = append(out, "entry", "(", "name", entries[i], "node")
		out = append(out, entries[i+1].([]any)...)
		out = append(out, ")")
	}
	return append(out, ")")
}

func link(to string) []any { return []any{"(", "type", "symlink", "target", to, ")"} }

// nested returns directories whose innermost has a path of so many bytes.
func nested(bytes int) []any {
	node := dir()
	for bytes > 1 {
		n := min(100, bytes)
		if rest := bytes - n; rest == 1 {
			n-- // a slash needs a name in front
		}
		node = dir(strings.Repeat("n", n), node)
		bytes -= n + 1
	}
	return node
}

func TestRead(t *testing.T) {
	tests := []struct {
		name string
		in   []any
		want []string
	}{
		{"file", file("hello"), []string{`file "" false 5 "hello"`}},
		{"empty file", file(""), []string{`file "" false 0 ""`}},
		{"executable", []any{"(", "type", "regular", "executable", "", "contents", "12345678", ")"}, []string{`file "" true 8 "12345678"`}},
		{"symlink", link("../x"), []string{`link "" "../x"`}},
		{"empty directory", dir(), []string{`dir ""`}},
		{"tree", dir("A", file("upper"), "a", dir("b", link("/nix/store"), "b-", file("x")), "a.", file("y"), "\xff", file("")),
			[]string{`dir ""`, `file "A" false 5 "upper"`, `dir "a"`, `link "a/b" "/nix/store"`, `file "a/b-" false 1 "x"`, `file "a." false 1 "y"`, `file "\xff" false 0 ""`}},
		{"longest name", dir(strings.Repeat("n", maxName), file("")), []string{`dir ""`, `file "` + strings.Repeat("n", maxName) + `" false 0 ""`}},
		{"longest target", link(strings.Repeat("t", maxTarget)), []string{`link "" "` + strings.Repeat("t", maxTarget) + `"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := archive(tt.in...)
			var got listing
			if err := Read(bytes.NewReader(in), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.lines); diff != "" {
				t.Error(diff)
			}
			again(t, in)
		})
	}
}

// again checks that an encoder writes what was read.
func again(t *testing.T, in []byte) {
	t.Helper()
	var out bytes.Buffer
	e := NewEncoder(&out)
	if err := errors.Join(Read(bytes.NewReader(in), e), e.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(in, out.Bytes()) {
		t.Errorf("written again: %q; was %q", out.Bytes(), in)
	}
}

func TestReadDepth(t *testing.T) {
	for length, ok := range map[int]bool{maxPath - 1: true, maxPath: true, maxPath + 1: false} {
		var l listing
		err := Read(bytes.NewReader(archive(nested(length)...)), &l)
		if (err == nil) != ok || ok && len(l.lines[len(l.lines)-1]) != len(`dir ""`)+length {
			t.Errorf("a path of %d bytes: %.200v", length, err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, "byte 0: unexpected EOF"},
		{"another magic", words("nix-archive-2", "(", "type", "directory", ")"), `"nix-archive-2", expected "nix-archive-1"`},
		{"goes on", append(archive(file("x")...), 0), "goes on behind its end"},
		{"type", archive("(", "type", "device", ")"), `"": type "device", expected regular, symlink or directory`},
		{"no type", archive("(", ")"), `")", expected "type"`},
		{"file without contents", archive("(", "type", "regular", ")"), `"": ")", expected "contents"`},
		{"executable with text", archive("(", "type", "regular", "executable", "yes", "contents", "", ")"), `"yes", expected ""`},
		{"executable twice", archive("(", "type", "regular", "executable", "", "executable", "", "contents", "", ")"), `"executable", expected "contents"`},
		{"contents twice", archive("(", "type", "regular", "contents", "a", "contents", "b", ")"), `"contents", expected ")"`},
		{"symlink without target", archive("(", "type", "symlink", ")"), `")", expected "target"`},
		{"symlink to nothing", archive(link("")...), `"": "" is no target of a symlink`},
		{"symlink with NUL", archive(link("a\x00b")...), `is no target of a symlink`},
		{"target too long", archive(link(strings.Repeat("t", maxTarget+1))...), "4096 bytes, expected at most 4095"},
		{"name too long", archive(dir(strings.Repeat("n", maxName+1), file(""))...), "256 bytes, expected at most 255"},
		{"file too large", archive("(", "type", "regular", "contents", 1<<62), "4611686018427387904 bytes, expected at most"},
		{"length of 2^63", archive("(", "type", "regular", "contents", -1<<63), "9223372036854775808 bytes, expected at most"},
		{"same name", archive(dir("a", file(""), "a", file(""))...), `"": "a" comes after "a"`},
		{"order", archive(dir("d", dir("b", file(""), "a", file("")))...), `"d": "a" comes after "b"`},
		{"empty name", archive(dir("", file(""))...), `"" is no name`},
		{"dot", archive(dir(".", file(""))...), `"." is no name`},
		{"dot dot", archive(dir("..", file(""))...), `".." is no name`},
		{"slash", archive(dir("a/b", file(""))...), `"a/b" is no name`},
		{"NUL", archive(dir("a\x00", file(""))...), `is no name`},
		{"word in directory", archive("(", "type", "directory", "executable", ")"), `"": "executable", expected an entry or the end of the directory`},
		{"entry without node", archive("(", "type", "directory", "entry", "(", "name", "a", ")", ")"), `")", expected "node"`},
		{"node before name", archive("(", "type", "directory", "entry", "(", "node"), `"node", expected "name"`},
		{"padding", bytes.Replace(archive(file("x")...), []byte("x\x00"), []byte("x\x01"), 1), "padding that is not zeros"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Read(bytes.NewReader(tt.in), &listing{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "NAR: byte ") {
				t.Errorf("error %v; want one with %q", err, tt.want)
			}
		})
	}
}

// every is an archive with all that there can be.
func every() []byte {
	return archive(dir("d", dir("e", dir()), "f", file("123456789"), "l", link("f"), "x", []any{"(", "type", "regular", "executable", "", "contents", "", ")"})...)
}

// TestReadCut: an archive that ends anywhere before its end is no archive.
func TestReadCut(t *testing.T) {
	in := every()
	for n := range in {
		if err := Read(bytes.NewReader(in[:n]), &listing{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(in), err)
		}
	}
}

// TestReadFlipped: what is accepted after a bit has changed is another archive that
// Nix would write so.
func TestReadFlipped(t *testing.T) {
	in := every()
	accepted := 0
	for i := range in {
		for bit := range 8 {
			in[i] ^= 1 << bit
			if Read(bytes.NewReader(in), &listing{}) == nil {
				accepted++
				again(t, in)
			}
			in[i] ^= 1 << bit
		}
	}
	// The nine bytes of content, names as far as they stay in order, targets.
	if accepted < 9*8 || accepted > 16*8 {
		t.Errorf("%d changes accepted", accepted)
	}
}

var errStop = errors.New("stop")

// picky stops at a path, or leaves content.
type picky struct{ at string }

func (p picky) stop(path string) error {
	if path == p.at {
		return errStop
	}
	return nil
}
func (p picky) Directory(path string) error    { return p.stop(path) }
func (p picky) Symlink(path, to string) error  { return p.stop(path) }
func (p picky) File(f File, _ io.Reader) error { return p.stop(f.Path) }

func TestReadStopped(t *testing.T) {
	for _, at := range []string{"", "d/e", "f", "l", "x"} {
		if err := Read(bytes.NewReader(every()), picky{at}); err != errStop {
			t.Errorf("stopped at %q: %v", at, err)
		}
	}
	if err := Read(bytes.NewReader(every()), picky{"none"}); err != nil {
		t.Errorf("content left: %v", err)
	}
	broken := io.MultiReader(bytes.NewReader(every()[:200]), failing{})
	if err := Read(broken, picky{"none"}); !errors.Is(err, errStop) || !strings.HasPrefix(err.Error(), "NAR: byte ") {
		t.Errorf("reader that fails: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errStop }

// TestOffset: the content of a file is where it is said to be.
func TestOffset(t *testing.T) {
	in := every()
	var files []File
	if err := Read(bytes.NewReader(in), offsets{&files}); err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || string(in[files[0].Offset:files[0].Offset+files[0].Size]) != "123456789" || files[1].Offset > int64(len(in)) {
		t.Errorf("files %+v", files)
	}
}

type offsets struct{ files *[]File }

func (offsets) Directory(string) error       { return nil }
func (offsets) Symlink(string, string) error { return nil }
func (o offsets) File(f File, _ io.Reader) error {
	*o.files = append(*o.files, f)
	return nil
}

func TestEncoderErrors(t *testing.T) {
	tests := []struct {
		name string
		do   func(e *Encoder) error
		want string
	}{
		{"nothing", func(e *Encoder) error { return nil }, "nothing in it"},
		{"two nodes", func(e *Encoder) error { return errors.Join(e.Symlink("", "a"), e.Symlink("", "b")) }, "a second node"},
		{"no directory", func(e *Encoder) error { return e.Symlink("a", "b") }, `"a": its directory is not open`},
		{"left directory", func(e *Encoder) error {
			return errors.Join(e.Directory(""), e.Directory("a"), e.Symlink("b", "c"), e.Symlink("a/x", "y"))
		}, `"a/x": its directory is not open`},
		{"order", func(e *Encoder) error { return errors.Join(e.Directory(""), e.Symlink("b", "x"), e.Symlink("a", "x")) }, `"": "a" comes after "b"`},
		{"short file", func(e *Encoder) error { return e.File(File{Size: 4}, strings.NewReader("abc")) }, "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := NewEncoder(io.Discard)
			if err := errors.Join(tt.do(e), e.Close()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want one with %q", err, tt.want)
			}
		})
	}
}

// FuzzRead: what is read is written again, byte for byte.
func FuzzRead(f *testing.F) {
	f.Add(every())
	f.Add(archive(file("")...))
	f.Add(archive(link("x")...))
	f.Fuzz(func(t *testing.T, in []byte) {
		if Read(bytes.NewReader(in), &listing{}) == nil {
			again(t, in)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	node := dir("a", file(strings.Repeat("content ", 8<<20)), "b", file("x"), "c", link("a"))
	in := archive(node...)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if err := Read(bytes.NewReader(in), picky{"none"}); err != nil {
			b.Fatal(err)
		}
	}
}
