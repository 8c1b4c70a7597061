package btrfs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// indexed returns a tree whose first directory names files of the others once more,
// and has a directory and a file of its own.
func indexed(t *testing.T, index bool) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	add := func(dir *fstree.Entry, name string, inode *fstree.Inode) *fstree.Entry {
		e, err := dir.Add(name, inode)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	file := func(text string) *fstree.Inode {
		return &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(text)), Content: fstree.Bytes(text)}
	}
	links := add(tree.Root(), ".links", &fstree.Inode{Mode: fstree.TypeDir | 0o755})
	if index {
		links.MarkIndex()
	}
	for i, name := range []string{"a", "b"} {
		dir := add(tree.Root(), name, &fstree.Inode{Mode: fstree.TypeDir | 0o755})
		for j, name := range []string{"x", "y"} {
			inode := file(strings.Repeat(dir.Name+name, 5000))
			add(dir, name, inode)
			add(links, string(rune('z'-2*i-j)), inode)
		}
	}
	add(add(links, "own", &fstree.Inode{Mode: fstree.TypeDir | 0o755}), "file", file("own"))
	return tree
}

// TestNumberIndex numbers files that an index names too by their other names, and what
// it has alone behind all others.
func TestNumberIndex(t *testing.T) {
	for _, tt := range []struct {
		name  string
		index bool
		want  []string
	}{
		{"index", true, []string{".", ".links", "a", "b", "a/x", "a/y", "b/x", "b/y", ".links/own", ".links/own/file"}},
		{"another directory", false, []string{".", ".links", "a", "b", ".links/own", ".links/w", ".links/x", ".links/y", ".links/z", ".links/own/file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &volume{root: node{real: indexed(t, tt.index).Root()}}
			v.number(nil)
			var got []string
			for _, n := range v.order {
				got = append(got, n.path())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !slices.IsSorted(v.numbers) || len(v.children) != len(v.order) {
				t.Errorf("numbers %v, %d of children; want ascending ones, %d of children", v.numbers, len(v.children), len(v.order))
			}
		})
	}
}

// TestWriteIndex: the kernel finds what the tree says.
func TestWriteIndex(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := indexed(t, true)
	image, _ := writeImage(t, tree, Params{})
	checkAll(t, image)
	imgtest.CompareMounted(t, tree, nil, imgtest.Mount(t, image, "ro"), imgtest.CompareOptions{})
}
