package fstree

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Names with bytes below and above the slash show whether paths are compared
// by element or as strings.
var canonicalOrder = []string{".", "a", "a/b", "a/b/c", "a/b-c", "a-b", "a.b", "a0", "ab", "é", "\xff"}

func TestCanonicalOrder(t *testing.T) {
	isDir := map[string]bool{"a": true, "a/b": true}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		tree := New()
		for _, i := range rng.Perm(len(canonicalOrder)) {
			path := canonicalOrder[i]
			inode := file("")
			if isDir[path] || path == "." {
				inode = dir(0o700)
			}
			plant(t, tree, path, inode)
		}
		diff(t, "order", canonicalOrder, paths(tree))
	}
}

// A directory is looked up by search, by map and after Freeze; the limits lie
// around mapAbove.
func TestChildAroundMapLimit(t *testing.T) {
	for _, n := range []int{1, mapAbove - 1, mapAbove, mapAbove + 1, mapAbove + 2, 5 * mapAbove} {
		tree := New()
		for i := n - 1; i >= 0; i-- {
			plant(t, tree, fmt.Sprintf("%05d", i), file(fmt.Sprint(i)))
		}
		check := func(when string, gone int) {
			for i := range n {
				name := fmt.Sprintf("%05d", i)
				e := tree.Root().Child(name)
				if found := e != nil && e.Size == int64(len(fmt.Sprint(i))); found == (i == gone) {
					t.Fatalf("%s, %d children: child %q found: %v", when, n, name, found)
				}
			}
		}
		check("filled", -1)
		if _, err := tree.Root().Add("00000", file("")); err == nil {
			t.Errorf("%d children: a name was given twice", n)
		}
		tree.Root().Remove(tree.Root().Child("00000"))
		check("after Remove", 0)
		tree.Freeze()
		check("frozen", 0)
		if got := len(tree.Root().Children()); got != n-1 {
			t.Errorf("%d children, want %d", got, n-1)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	tree := New()
	f := plant(t, tree, "d/f", file("x"))
	d := tree.Lookup("d")
	tests := []struct {
		name   string
		parent *Entry
		child  string
		want   string
	}{
		{"below a file", f, "x", "d/f: not a directory"},
		{"taken", d, "f", "d/f: exists already"},
		{"empty", d, "", "invalid name"},
		{"dot", d, ".", "invalid name"},
		{"dot dot", d, "..", "invalid name"},
		{"slash", d, "a/b", "invalid name"},
		{"NUL", d, "a\x00", "invalid name"},
	}
	for _, tt := range tests {
		if _, err := tt.parent.Add(tt.child, file("")); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v; want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestLookup(t *testing.T) {
	tree := New()
	plant(t, tree, "a/b/c", file("x"))
	plant(t, tree, "l", symlink("a"))
	tests := []struct{ in, want string }{
		{"", "."}, {"/", "."}, {".", "."}, {"a", "a"}, {"/a//b/./c", "a/b/c"}, {"a/b/c/", "a/b/c"},
		{"x", ""}, {"a/b/c/d", ""}, {"..", ""}, {"a/..", ""}, {"l/b", ""},
	}
	for _, tt := range tests {
		got := ""
		if e := tree.Lookup(tt.in); e != nil {
			got = e.Path()
		}
		if got != tt.want {
			t.Errorf("Lookup(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestMkdirAll(t *testing.T) {
	tree := New()
	plant(t, tree, "f", file("x"))
	plant(t, tree, "l", symlink("/etc"))
	like := &Inode{Sec: -5, Nsec: 7}
	deep := strings.Repeat("d/", maxPath/2)
	tests := []struct{ name, in, want string }{
		{"root", "/", "."},
		{"new", "a/b", "a/b"},
		{"partly new", "./a//b/c/", "a/b/c"},
		{"through a file", "f/x", `"f", which is a regular file`},
		{"at a file", "f", `"f", which is a regular file`},
		{"through a symlink", "l/x", `symlink "l" -> "/etc"`},
		{"upwards", "a/../b", `".." is not allowed`},
		{"longest", deep, strings.TrimSuffix(deep, "/")},
		{"too long", deep + "//", "path of 4096 bytes, expected at most 4095"},
	}
	for _, tt := range tests {
		e, err := tree.MkdirAll(tt.in, like)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v; want one with %q", tt.name, err, tt.want)
			}
			continue
		}
		if e.Path() != tt.want {
			t.Errorf("%s: made %q; want %q", tt.name, e.Path(), tt.want)
		}
		if e != tree.Root() && (e.Mode != TypeDir|0o755 || e.Sec != -5 || e.Nsec != 7) {
			t.Errorf("%s: inode %+v", tt.name, *e.Inode)
		}
	}
}

func TestInode(t *testing.T) {
	i := &Inode{}
	at := time.Date(1969, 12, 31, 23, 59, 58, 5e8, time.UTC)
	if i.SetMTime(at); i.Sec != -2 || i.Nsec != 5e8 || !i.MTime().Equal(at) {
		t.Errorf("time %v is kept as %d.%d", at, i.Sec, i.Nsec)
	}
	if r := MakeRdev(4095, 1048575); r.Major() != 4095 || r.Minor() != 1048575 {
		t.Errorf("device number is %d,%d; want 4095,1048575", r.Major(), r.Minor())
	}
	for mode, want := range map[uint32]string{
		TypeFIFO: "FIFO", TypeChar: "character device", TypeDir: "directory", TypeBlock: "block device",
		TypeRegular: "regular file", TypeSymlink: "symlink", TypeSocket: "socket", 0: "file of unknown type 0",
	} {
		if got := (&Inode{Mode: mode | 0o644}).TypeName(); got != want {
			t.Errorf("TypeName of %#o is %q; want %q", mode, got, want)
		}
	}
}

// TestLinkTo: a name becomes that of another inode, and only a file can be one.
func TestLinkTo(t *testing.T) {
	tree := New()
	first, second := &Inode{Mode: TypeRegular | 0o644}, &Inode{Mode: TypeSymlink | 0o777, Link: "x", Size: 1}
	a, err := tree.Root().Add("a", first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tree.Root().Add("b", second)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.LinkTo(first); err != nil {
		t.Fatal(err)
	}
	if b.Inode != a.Inode || first.Links() != 2 || second.Links() != 0 || len(tree.Root().Children()) != 2 {
		t.Errorf("b is %v; the inodes have %d and %d names", b.Inode, first.Links(), second.Links())
	}
	dir, err := tree.Root().Add("dir", &Inode{Mode: TypeDir | 0o755})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"b": b.LinkTo(dir.Inode), "dir": dir.LinkTo(first)} {
		if err == nil || err.Error() != name+": a directory cannot be a hard link" {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if dir.Links() != 1 || first.Links() != 2 {
		t.Error("a link was made in spite of an error")
	}
}
