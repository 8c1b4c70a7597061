package reader

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestCheckEnds checks that a check ends when nobody waits for it, and when
// there are too many problems to be read.
func TestCheckEnds(t *testing.T) {
	m := makeImage(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if p := m.open().Check(ctx); len(p) != 1 || p[0].Kind != KindIncomplete || !strings.Contains(p[0].Text, "context canceled") {
		t.Errorf("Check after cancel = %v; want one problem of kind incomplete", p)
	}
	// A directory full of empty files whose names are not allowed.
	entries := m.first("EFI/Linux")
	at := m.open().boot.offset(70000)
	for i := range 64 {
		m.entry(70000+uint32(i), 70001+uint32(i))
	}
	m.entry(70063, entryEnd)
	slot := append([]byte("?          "), make([]byte, slotSize-11)...)
	for i := range int64(64 * 16) {
		m.put(at+i*slotSize, slot...)
	}
	m.entry(entries, 70000)
	extents, err := m.open().Extents("EFI/Linux")
	if err != nil || len(extents) != 2 {
		t.Fatal(extents, err)
	}
	for i := range int64(14) {
		m.put(extents[0].Physical+(2+i)*slotSize, slot...)
	}
	p := m.open().Check(context.Background())
	if len(p) != maxProblems+1 || p[maxProblems].Kind != KindIncomplete || p[0].Kind != KindName {
		t.Errorf("%d problems, the last %v; want %d and one of kind incomplete", len(p), p[len(p)-1], maxProblems)
	}
}

// failing is an image that cannot be read from an offset on, up to another.
type failing struct {
	io.ReaderAt
	from, to int64
}

func (f failing) ReadAt(b []byte, offset int64) (int, error) {
	if offset < f.to && offset+int64(len(b)) > f.from {
		return 0, fmt.Errorf("input/output error")
	}
	return f.ReaderAt.ReadAt(b, offset)
}

func TestCheckUnreadable(t *testing.T) {
	m := makeImage(t)
	b := m.open().boot
	tests := []struct {
		name string
		from int64
	}{
		{"FSInfo", b.info}, {"backup", b.backup}, {"first FAT", b.tableOffset}, {"second FAT", b.tableOffset + b.tableSize},
		{"root", b.offset(b.root)}, {"directory", b.offset(m.first("loader"))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := Open(failing{m, test.from, test.from + 1}, m.Size())
			if err != nil {
				t.Fatal(err)
			}
			p := f.Check(context.Background())
			if len(p) == 0 || p[0].Kind != KindUnreadable || !strings.Contains(p[0].Text, "input/output error") {
				t.Errorf("problems %v; want one of kind unreadable", p)
			}
		})
	}
}

// TestPath puts together the paths of problems.
func TestPath(t *testing.T) {
	p := &place{}
	if p.path("") != "." || p.path("x") != "x" {
		t.Errorf("paths in the root %q, %q", p.path(""), p.path("x"))
	}
	a := &place{parent: p, name: "a"}
	b := &place{parent: a, name: "b"}
	if b.path("") != "a/b" || b.path("c") != "a/b/c" {
		t.Errorf("paths %q, %q; want a/b, a/b/c", b.path(""), b.path("c"))
	}
	for range 10000 {
		b = &place{parent: b, name: "deep"}
	}
	if got := b.path("x"); len(got) > maxPath+16 || !strings.HasPrefix(got, ".../deep/") {
		t.Errorf("a path of %d bytes, %.20q", len(got), got)
	}
}

// TestDeepAndWide checks a tree at several limits of its shape.
func TestDeepAndWide(t *testing.T) {
	m := &image{imgtest.NewMemDisk(testSize), t}
	names := map[string]string{strings.Repeat("d/", 300) + "file": "x"}
	for i := range 3000 {
		names[fmt.Sprintf("wide/a long name that takes two entries %d", i)] = "y"
	}
	writeTree(t, m.MemDisk, names)
	if p := m.open().Check(context.Background()); len(p) > 0 {
		t.Errorf("problems: %v", p[0])
	}
	if b, err := m.open().ReadFile(strings.Repeat("d/", 300) + "file"); err != nil || string(b) != "x" {
		t.Errorf("ReadFile = %q, %v", b, err)
	}
}

// TestManyPages reads a FAT of more pages than are kept, in an order that needs
// one place for several of them.
func TestManyPages(t *testing.T) {
	tree := fstree.New()
	for _, name := range []string{"a", "b"} {
		if _, err := tree.Root().Add(name, &fstree.Inode{Mode: fstree.TypeRegular, Size: 1 << 30}); err != nil {
			t.Fatal(err)
		}
	}
	m := &image{imgtest.NewMemDisk(3 << 30), t}
	if _, err := esp.Write(context.Background(), m, tree, esp.Params{Size: m.Size(), Serial: 1, Timestamp: epoch}); err != nil {
		t.Fatal(err)
	}
	f := m.open()
	for _, name := range []string{"b", "a"} {
		if x, err := f.Extents(name); err != nil || len(x) != 1 || x[0].Length != 1<<30 {
			t.Errorf("Extents(%s) = %v, %v; want one of 1 GiB", name, x, err)
		}
	}
	if p := f.Check(context.Background()); len(p) > 0 {
		t.Errorf("problems: %v", p)
	}
}
