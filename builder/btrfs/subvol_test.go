package btrfs

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// nestedTree has directories inside directories that go to subvolumes.
func nestedTree(t *testing.T) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for _, p := range []string{"a/b/c", "a/x", "aa", "srv/data"} {
		if _, err := tree.MkdirAll(p, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"", "a", "a/b", "a/b/c", "a/x", "aa", "srv/data"} {
		addInode(t, tree.Lookup(dir), "file", &fstree.Inode{Mode: fstree.TypeRegular | 0o600, Size: 5, Content: fstree.Bytes("hello")})
	}
	tree.Freeze()
	return tree
}

// TestNestedSources gives each of several directories inside one another to a
// subvolume of its own, in place and elsewhere.
func TestNestedSources(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := nestedTree(t)
	image, result := writeImage(t, tree, Params{
		Subvolumes: []Subvolume{
			{Path: "/@/"}, {Path: "@a", Source: "/a/"}, {Path: "@b", Source: "a/b"}, {Path: "@b/c", Source: "a/b/c"},
			{Path: "@/srv", Source: "srv"}, {Path: "@/srv/data", Source: "srv/data"}, {Path: "@missing", Source: "mnt/missing"},
		},
		Snapshots: []Snapshot{{Source: "@", Path: "@/before"}, {Source: "@b", Path: "snapshots/b"}},
	})
	checkAll(t, image)
	var paths []string
	for _, s := range result.Subvolumes {
		paths = append(paths, s.Path)
	}
	if want := []string{"", "@", "@/srv", "@/srv/data", "@a", "@b", "@b/c", "@missing", "@/before", "snapshots/b"}; !slices.Equal(paths, want) {
		t.Errorf("subvolumes %q; want %q", paths, want)
	}
	top := imgtest.Mount(t, image, "subvolid=5")
	compare := func(source, at string, o imgtest.CompareOptions) {
		imgtest.CompareMounted(t, tree, tree.Lookup(source), filepath.Join(top, at), o)
	}
	compare("", "@", imgtest.CompareOptions{Elsewhere: []string{"a"}, Extra: []string{"mnt", "before"}})
	compare("aa", "@/before/aa", imgtest.CompareOptions{})
	compare("a", "@a", imgtest.CompareOptions{Elsewhere: []string{"b"}})
	compare("a/b", "@b", imgtest.CompareOptions{})
	compare("srv/data", "@/srv/data", imgtest.CompareOptions{})
	// In a snapshot a nested subvolume is an empty directory.
	for dir, want := range map[string]int{"@missing": 0, "@/before/srv": 0, "snapshots/b": 2, "snapshots/b/c": 0} {
		if got := len(entriesOf(t, filepath.Join(top, dir))); got != want {
			t.Errorf("%s holds %d entries; want %d", dir, got, want)
		}
	}
}

func entriesOf(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestPlacesOfSubvolumes puts subvolumes and swapfiles where the source has
// something that is hidden there, or has the name elsewhere.
func TestPlacesOfSubvolumes(t *testing.T) {
	tree := nestedTree(t)
	image, result := writeImage(t, tree, Params{
		Subvolumes: []Subvolume{{Path: "@"}, {Path: "@a", Source: "a"}, {Path: "@/a/file", Empty: true}},
		Swapfiles:  []Swapfile{{"srv/swap", MinSwapfile}, {"@/a/x/swap", MinSwapfile}},
	})
	checkAll(t, image)
	var paths []string
	for _, s := range result.Subvolumes {
		paths = append(paths, s.Path)
	}
	if want := []string{"", "@", "@/a/file", "@a", "srv"}; !slices.Equal(paths, want) {
		t.Errorf("subvolumes %q; want %q", paths, want)
	}
}

// TestTreeIsUnchanged checks that writing changes nothing in the tree.
func TestTreeIsUnchanged(t *testing.T) {
	tree := nestedTree(t)
	before := slices.Collect(func(yield func(string) bool) {
		for e := range tree.All() {
			if !yield(e.Path()) {
				return
			}
		}
	})
	for range 2 {
		writeImage(t, tree, Params{Subvolumes: []Subvolume{{Path: "@"}, {Path: "@a", Source: "a"}}, Swapfiles: []Swapfile{{"@/swap", MinSwapfile}}})
	}
	i := 0
	for e := range tree.All() {
		if e.Path() != before[i] {
			t.Fatalf("entry %d is %s; want %s", i, e.Path(), before[i])
		}
		i++
	}
	if i != len(before) {
		t.Errorf("%d entries; want %d", i, len(before))
	}
}

// TestContentBytes counts the files of each subvolume: hard links once, a
// snapshot as its origin, the content of a nested subvolume not twice.
func TestContentBytes(t *testing.T) {
	tree := fstree.New()
	file := addFile(t, tree, "a", make([]byte, 100))
	addInode(t, tree.Root(), "b", file)
	home, err := tree.MkdirAll("home", tree.Root().Inode)
	if err != nil {
		t.Fatal(err)
	}
	addInode(t, home, "c", &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: 7, Content: fstree.Bytes("content")})
	tree.Freeze()
	_, result := writeImage(t, tree, Params{
		Subvolumes: []Subvolume{{Path: "@"}, {Path: "@home", Source: "home"}, {Path: "@empty", Empty: true}},
		Snapshots:  []Snapshot{{Source: "@", Path: "@factory"}},
	})
	got := map[string]int64{}
	for _, v := range result.Subvolumes {
		got[v.Path] = v.Bytes
	}
	want := map[string]int64{"": 0, "@": 100, "@home": 7, "@empty": 0, "@factory": 100}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
}
