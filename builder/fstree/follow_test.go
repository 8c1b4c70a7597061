package fstree_test

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

func TestFollow(t *testing.T) {
	tree := fstree.New()
	dir := func(path string) *fstree.Entry {
		e, err := tree.MkdirAll(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	add := func(parent, name string, inode *fstree.Inode) {
		if _, err := dir(parent).Add(name, inode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(parent, name, target string) {
		add(parent, name, &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: target, Size: int64(len(target))})
	}
	add("usr/lib/modules", "file", &fstree.Inode{Mode: fstree.TypeRegular | 0o644})
	link("", "lib", "usr/lib")
	link("usr/lib", "up", "../../lib/modules")
	link("usr/lib", "absolute", "/lib/up/file")
	link("usr/lib", "above", "../../../../usr/lib/modules/file")
	link("usr/lib", "loop", "loop")
	link("usr/lib", "nowhere", "missing/file")
	link("usr/lib", "long", strings.Repeat("./", 4095))
	previous := "usr/lib/modules/file"
	for i := range 41 { // l0 leads through 1 symlink, l40 through 41
		name := "l" + strings.Repeat("i", i)
		link("", name, previous)
		previous = name
	}

	tests := []struct{ name, in, want, err string }{
		{"plain", "usr/lib/modules/file", "usr/lib/modules/file", ""},
		{"root", "/", ".", ""},
		{"empty", "", ".", ""},
		{"through a symlink", "/lib/modules/file", "usr/lib/modules/file", ""},
		{"the last one", "lib", "usr/lib", ""},
		{"relative with parents", "lib/up/file", "usr/lib/modules/file", ""},
		{"absolute", "usr/lib/absolute", "usr/lib/modules/file", ""},
		{"above the root", "usr/lib/above", "usr/lib/modules/file", ""},
		{"missing", "usr/lib/none/file", "", ""},
		{"dangling", "usr/lib/nowhere", "", ""},
		{"loop", "usr/lib/loop", "", "usr/lib/loop: leads through more than 40 symlinks"},
		{"39 symlinks", "l" + strings.Repeat("i", 38), "usr/lib/modules/file", ""},
		{"40 symlinks", "l" + strings.Repeat("i", 39), "usr/lib/modules/file", ""},
		{"41 symlinks", "l" + strings.Repeat("i", 40), "", "leads through more than 40 symlinks"},
		{"through a file", "lib/modules/file/x", "", `lib/modules/file/x: leads through "usr/lib/modules/file", which is a regular file`},
		{"long targets", "usr/lib/long", "", "leads through symlinks of more than 8190 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := tree.Follow(tt.in)
			got, text := "", ""
			if e != nil {
				got = e.Path()
			}
			if err != nil {
				text = err.Error()
			}
			if got != tt.want || (err == nil) != (tt.err == "") || !strings.Contains(text, tt.err) {
				t.Errorf("Follow(%q) = %q, %v; want %q, %q", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}
