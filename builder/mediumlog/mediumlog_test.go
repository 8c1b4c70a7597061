package mediumlog_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
)

func TestAdd(t *testing.T) {
	longest := strings.Repeat("x", mediumlog.Size-1) + "\n"
	tests := []struct {
		name, before, entry, want string
	}{
		{"the first", string(mediumlog.Made()), "one\n", "one\n"},
		{"the second", "one\n\n\n", "two\n", "two\n\none\n"},
		{"no end of line", "one\n", "two", "two\n\none\n"},
		{"zeros of a disk", "one\n\x00\x00\x00", "two\n", "two\n\none\n"},
		{"the largest", string(mediumlog.Made()), longest, longest},
		{"the largest, with one before", "one\n", longest, longest},
		{"one byte more", "one\n", "a\n" + longest, "a\n"},
		{"one byte less", "one\n", longest[1:], longest[1:]},
		{"the oldest goes", "old\nolder\n", longest[6:], longest[6:] + "\nold\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mediumlog.Add([]byte(tt.before), tt.entry)
			if len(got) != mediumlog.Size || strings.TrimRight(string(got), "\n") != strings.TrimRight(tt.want, "\n") {
				t.Errorf("%d bytes, %.60q; want %d, %.60q", len(got), got, mediumlog.Size, tt.want)
			}
		})
	}
}

// espWith makes an ESP that has a file.
func espWith(t *testing.T, path string, data []byte) (*imgtest.MemDisk, *reader.FS) {
	t.Helper()
	tree := fstree.New()
	p := esp.Params{Size: 40 << 20, SectorSize: 512, Label: "ESP", Serial: 1, Timestamp: time.Unix(1_700_000_000, 0).UTC()}
	if err := loader.Put(tree, path, data, p.Timestamp); err != nil {
		t.Fatal(err)
	}
	tree.Freeze()
	d := imgtest.NewMemDisk(p.Size)
	if _, err := esp.Write(t.Context(), d, tree, p); err != nil {
		t.Fatal(err)
	}
	f, err := reader.Open(d, p.Size)
	if err != nil {
		t.Fatal(err)
	}
	return d, f
}

// TestInPlace writes the file of an ESP, and nothing else of it.
func TestInPlace(t *testing.T) {
	d, f := espWith(t, mediumlog.Path, mediumlog.Made())
	at, err := mediumlog.Find(f)
	if err != nil {
		t.Fatal(err)
	}
	before := make([]byte, d.Size())
	if _, err := d.ReadAt(before, 0); err != nil {
		t.Fatal(err)
	}
	file := mediumlog.Add(mediumlog.Made(), "an installation\n")
	if err := mediumlog.Write(d, at, file); err != nil {
		t.Fatal(err)
	}
	if got, err := f.ReadAtMost(mediumlog.Path, mediumlog.Size); err != nil || !bytes.Equal(got, file) {
		t.Errorf("the file: %.40q, %v", got, err)
	}
	if problems := f.Check(t.Context()); len(problems) > 0 {
		t.Errorf("the file system: %v", problems)
	}
	whole := make([]byte, len(before))
	if _, err := mediumlog.AsMade(d, at).ReadAt(whole, 0); err != nil || !bytes.Equal(whole, before) {
		t.Errorf("as it was made: %v, equal %v", err, bytes.Equal(whole, before))
	}
	if mediumlog.Write(d, at, file[1:]) == nil {
		t.Error("a file of another size was written")
	}
}

// TestAsMadeParts reads parts at every boundary of the file.
func TestAsMadeParts(t *testing.T) {
	const at = 1000
	disk := bytes.Repeat([]byte{'x'}, at+mediumlog.Size+at)
	want := bytes.Clone(disk)
	copy(want[at:], mediumlog.Made())
	r := mediumlog.AsMade(bytes.NewReader(disk), at)
	for _, from := range []int{0, at - 1, at, at + 1, at + mediumlog.Size - 1, at + mediumlog.Size, at + mediumlog.Size + 1} {
		for _, n := range []int{0, 1, 2, 500, mediumlog.Size, mediumlog.Size + 2, len(disk)} {
			got := make([]byte, n)
			n, err := r.ReadAt(got, int64(from))
			if err != nil && err != io.EOF || !bytes.Equal(got[:n], want[from:from+n]) {
				t.Errorf("%d bytes at %d: %v, or others than the made ones", n, from, err)
			}
		}
	}
}

func TestFindRefuses(t *testing.T) {
	for name, f := range map[string]struct {
		path string
		size int
		want string
	}{
		"none":    {"mkimage/other", mediumlog.Size, "log of the medium"},
		"smaller": {mediumlog.Path, mediumlog.Size - 1, "expected one of 65536 bytes"},
		"larger":  {mediumlog.Path, mediumlog.Size + 1, "expected one of 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, files := espWith(t, f.path, make([]byte, f.size))
			at, err := mediumlog.Find(files)
			if err == nil || fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), f.want) {
				t.Errorf("byte %d, %v; want %q", at, err, f.want)
			}
		})
	}
}

// FuzzAdd adds to a file that anything may have written.
func FuzzAdd(f *testing.F) {
	f.Add([]byte("one\n\n\n"), "two\n")
	f.Add(mediumlog.Made(), strings.Repeat("x", mediumlog.Size))
	f.Fuzz(func(t *testing.T, before []byte, entry string) {
		if got := mediumlog.Add(before, entry); len(got) != mediumlog.Size {
			t.Errorf("%d bytes; want %d", len(got), mediumlog.Size)
		}
	})
}
