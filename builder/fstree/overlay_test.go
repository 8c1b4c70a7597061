package fstree

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// sketch makes a tree from lines "path content", "path/ perm" and "path -> target".
func sketch(t *testing.T, lines ...string) *Tree {
	tree := New()
	for _, line := range lines {
		path, rest, _ := strings.Cut(line, " ")
		switch target, isLink := strings.CutPrefix(rest, "-> "); {
		case isLink:
			plant(t, tree, path, symlink(target))
		case strings.HasSuffix(path, "/"):
			plant(t, tree, path, dir(0o700))
		default:
			plant(t, tree, path, file(rest))
		}
	}
	return tree
}

// brief lists a tree without what sketch cannot say.
func brief(t *testing.T, tree *Tree) []string {
	listing(t, tree) // counts the links
	var lines []string
	for e := range tree.All() {
		switch {
		case e.IsSymlink():
			lines = append(lines, e.Path()+" -> "+e.Link)
		case e.IsDir() && e.Mode&PermMask == 0o700:
			lines = append(lines, e.Path()+"/")
		case e.IsDir():
			lines = append(lines, e.Path()+"/ implied")
		default:
			f, err := e.Content.Open(e)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, e.Size)
			if _, err := f.ReadAt(buf, 0); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, e.Path()+" "+string(buf))
		}
	}
	return lines
}

func TestApply(t *testing.T) {
	base := []string{"d/ ", "d/a 1", "d/b 2", "lib -> usr/lib", "usr/lib/x 3"}
	tests := []struct {
		name    string
		layer   []string
		deleted []string
		want    []string // without the root, or the error's text
	}{
		{"nothing", nil, nil, []string{"d/", "d/a 1", "d/b 2", "lib -> usr/lib", "usr/ implied", "usr/lib/ implied", "usr/lib/x 3"}},
		{"add", []string{"d/c 4", "e/f 5"}, nil, []string{"d/", "d/a 1", "d/b 2", "d/c 4", "e/ implied", "e/f 5",
			"lib -> usr/lib", "usr/ implied", "usr/lib/ implied", "usr/lib/x 3"}},
		{"replace", []string{"d/a new", "lib new"}, nil, []string{"d/", "d/a new", "d/b 2", "lib new", "usr/ implied", "usr/lib/ implied", "usr/lib/x 3"}},
		{"metadata", []string{"usr/ "}, nil, []string{"d/", "d/a 1", "d/b 2", "lib -> usr/lib", "usr/", "usr/lib/ implied", "usr/lib/x 3"}},
		{"delete", nil, []string{"/d/a", "usr", "absent/x", "d/a/x"}, []string{"d/", "d/b 2", "lib -> usr/lib"}},
		{"file for deleted directory", []string{"d new"}, []string{"d"}, []string{"d new", "lib -> usr/lib", "usr/ implied", "usr/lib/ implied", "usr/lib/x 3"}},
		{"directory for deleted symlink", []string{"lib/y 4"}, []string{"lib", "usr"}, []string{"d/", "d/a 1", "d/b 2", "lib/ implied", "lib/y 4"}},
		{"file for directory", []string{"d new"}, nil, []string{"layer top: d: a regular file cannot replace a directory"}},
		{"directory for symlink", []string{"lib/y 4"}, nil, []string{"layer top: lib: a directory cannot replace a symlink"}},
		{"delete root", nil, []string{"./"}, []string{`layer top: cannot delete "./": it is the root`}},
		{"delete upwards", nil, []string{"d/../d"}, []string{`layer top: cannot delete "d/../d": path element ".."`}},
		{"delete through a symlink", nil, []string{"lib/x"}, []string{`layer top: cannot delete "lib/x": leads through the symlink "lib" -> "usr/lib"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := sketch(t, base...)
			err := tree.Apply(Layer{Name: "top", Tree: sketch(t, tt.layer...), Deleted: tt.deleted})
			if err != nil {
				if fault.ClassOf(err) != fault.Config || !strings.HasPrefix(err.Error(), tt.want[0]) {
					t.Errorf("error %q of class %d; want %q", err, fault.ClassOf(err), tt.want[0])
				}
				return
			}
			diff(t, "tree", append([]string{"./ implied"}, tt.want...), brief(t, tree))
		})
	}
}

func TestApplyTwice(t *testing.T) {
	tree := sketch(t, "a/x 1", "a/y 1")
	for _, layer := range []Layer{
		{Tree: sketch(t, "a/y 2", "a/z 2")},
		{Tree: sketch(t, "a/z 3", "b/ "), Deleted: []string{"a/x"}},
		{Deleted: []string{"a/y"}},
	} {
		if err := tree.Apply(layer); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "tree", []string{"./ implied", "a/ implied", "a/z 3", "b/"}, brief(t, tree))
	must(t, tree.Apply(Layer{Tree: sketch(t, "0 1")}))
	wantFrozen(t, tree.root)
}

func TestApplyRootMetadata(t *testing.T) {
	tree, layer := New(), New()
	plant(t, tree, ".", dir(0o711))
	if err := tree.Apply(Layer{Tree: layer}); err != nil || tree.Root().Mode != TypeDir|0o711 {
		t.Errorf("an implied root changed the mode to %#o, error %v", tree.Root().Mode, err)
	}
	layer = New()
	plant(t, layer, ".", dir(0o500))
	if err := tree.Apply(Layer{Tree: layer}); err != nil || tree.Root().Mode != TypeDir|0o500 {
		t.Errorf("root has mode %#o, error %v; want the layer's", tree.Root().Mode, err)
	}
}

func TestApplyKeepsLinks(t *testing.T) {
	tree, layer := New(), New()
	old := plant(t, tree, "a", file("old"))
	plant(t, tree, "b", old.Inode)
	renewed := plant(t, layer, "a", file("new"))
	plant(t, layer, "d/c", renewed.Inode)
	if err := tree.Apply(Layer{Tree: layer}); err != nil {
		t.Fatal(err)
	}
	diff(t, "tree", []string{"./ implied", "a new", "b old", "d/ implied", "d/c new"}, brief(t, tree))
	if tree.Lookup("a").Inode != tree.Lookup("d/c").Inode {
		t.Error("a and d/c are not links of each other any more")
	}
}

// Host files must be found wherever a layer or a caller puts their entries.
func TestHostContentMoves(t *testing.T) {
	below, above := t.TempDir(), t.TempDir()
	write(t, below+"/d/kept", "kept")
	write(t, below+"/d/replaced", "below")
	write(t, above+"/d/replaced", "above!")
	write(t, above+"/new/deep/file", "added")
	tree := mustScanDir(t, below)
	if err := tree.Apply(Layer{Tree: mustScanDir(t, above)}); err != nil {
		t.Fatal(err)
	}
	other := New()
	if err := other.Apply(Layer{Tree: mustScanDir(t, below+"/d")}); err != nil {
		t.Fatal(err)
	}
	plant(t, other, "else/where/file", tree.Lookup("new/deep/file").Copy())
	kept := tree.Lookup("d/kept")
	plant(t, other, "renamed", kept.Copy())
	for e, want := range map[*Entry]string{
		kept: "kept", tree.Lookup("d/replaced"): "above!", tree.Lookup("new/deep/file"): "added",
		other.Lookup("kept"): "kept", other.Lookup("else/where/file"): "added", other.Lookup("renamed"): "kept",
	} {
		if got := contentOf(t, e); got != contentOf(t, plant(t, New(), "x", file(want))) {
			t.Errorf("%s holds %s; want %q", e.Path(), got, want)
		}
	}
}
