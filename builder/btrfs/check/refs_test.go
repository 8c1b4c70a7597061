package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

func testChecker() *checker {
	return &checker{
		super: &ondisk.Superblock{NodeSize: ondisk.NodeSize, Generation: 9}, visited: map[ondisk.Logical]uint32{},
		brokenTrees: map[uint64]bool{}, log: log{report: &Report{}}, roots: []root{{id: ondisk.ExtentTree}},
	}
}

// TestCompareReferences feeds references to the comparison directly: shared
// ones need snapshots, and some mistakes cannot be made by changing one field.
func TestCompareReferences(t *testing.T) {
	data := func(parent, ino uint64) backref {
		return backref{bytenr: 4096, parent: ondisk.Logical(parent), root: 5, ino: ino, length: 8192, count: 1, data: true}
	}
	listed := func(ino, count uint64) backref {
		return backref{bytenr: 4096, root: 5, ino: ino, count: count, data: true}
	}
	shared := func(parent uint64, count uint64) backref {
		return backref{bytenr: 4096, parent: ondisk.Logical(parent), shared: true, count: count, data: true}
	}
	one := extent{start: 4096, length: 8192, refs: 1, data: true}
	two := extent{start: 4096, length: 8192, refs: 2, data: true}
	leaf := extent{start: 1 << 20, length: ondisk.NodeSize, refs: 1, full: true}
	leafRefs := backref{bytenr: 1 << 20, root: 5, count: 1}
	for _, c := range []struct {
		name       string
		extents    []extent
		want, have []backref
		broken     bool
		problem    string // "" is none
	}{
		{"equal", []extent{one}, []backref{data(1<<20, 300)}, []backref{listed(300, 1)}, false, ""},
		{"twice from one inode", []extent{two}, []backref{data(1<<20, 300), data(2<<20, 300)}, []backref{listed(300, 2)}, false, ""},
		{"twice, listed apart", []extent{two}, []backref{data(1<<20, 300), data(2<<20, 300)}, []backref{listed(300, 1), listed(300, 1)}, false, "stands twice"},
		{"count too low", []extent{one}, []backref{data(1<<20, 300), data(2<<20, 300)}, []backref{listed(300, 1)}, false, "found 2 times, the extent tree says 1"},
		{"count too high", []extent{two}, []backref{data(1<<20, 300)}, []backref{listed(300, 2)}, false, "found 1 times, the extent tree says 2"},
		{"count too high, tree broken", []extent{two}, []backref{data(1<<20, 300)}, []backref{listed(300, 2)}, true, ""},
		{"shared", []extent{two, leaf}, []backref{data(1<<20, 300), data(1<<20, 301), leafRefs}, []backref{shared(1<<20, 2), leafRefs}, false, ""},
		{"shared, listed plain", []extent{one, leaf}, []backref{data(1<<20, 300), leafRefs}, []backref{listed(300, 1), leafRefs}, false, "SHARED_DATA_REF from block 1048576 found 1 times is missing"},
		{"plain, listed shared", []extent{one}, []backref{data(1<<20, 300)}, []backref{shared(1<<20, 1)}, false, "EXTENT_DATA_REF from subvolume 5, inode 300, offset 0 found 1 times is missing"},
		{"no extent", nil, []backref{data(1<<20, 300)}, nil, false, "is referenced, but has no extent item"},
		{"no extent, listed", nil, nil, []backref{listed(300, 1)}, false, "has a reference, but no extent item"},
		{"unreferenced", []extent{one}, nil, []backref{listed(300, 1)}, false, "nothing refers to it"},
		{"unreferenced, tree broken", []extent{one}, nil, []backref{listed(300, 1)}, true, ""},
		{"refs", []extent{two}, []backref{data(1<<20, 300)}, []backref{listed(300, 1)}, false, "refs 2, its references add up to 1"},
		{"lengths differ", []extent{two}, []backref{data(1<<20, 300), {bytenr: 4096, parent: 2 << 20, root: 5, ino: 300, length: 4096, count: 1, data: true}}, []backref{listed(300, 2)}, false, "takes it for data: true"},
		{"block taken for data", []extent{leaf}, []backref{{bytenr: 1 << 20, parent: 2 << 20, root: 5, ino: 300, length: ondisk.NodeSize, count: 1, data: true}}, []backref{leafRefs}, false, "takes it for data: true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := testChecker()
			k.extents, k.want, k.have, k.broken = c.extents, c.want, c.have, c.broken
			k.fs = nil
			k.roots = []root{{id: ondisk.ExtentTree}}
			for i := range k.want {
				if k.want[i].data && c.problem != "" {
					k.want[i].root = ondisk.DataRelocTree // has no paths, so that no file system is needed
				}
			}
			for i := range k.have {
				if k.have[i].data && !k.have[i].shared && c.problem != "" {
					k.have[i].root = ondisk.DataRelocTree
				}
			}
			k.checkReferences()
			text := strings.ReplaceAll(fmt.Sprint(k.log.report.Problems), "subvolume -9", "subvolume 5")
			if c.problem == "" && k.log.report.Found != 0 || !strings.Contains(text, c.problem) {
				t.Errorf("checkReferences: %s; want %q", text, c.problem)
			}
		})
	}
}

func TestInlineRefOrder(t *testing.T) {
	place := itemPlace{leaf: &leaf{tree: &tree{id: 2}}}
	ref := func(typ ondisk.Type, offset uint64) ondisk.InlineRef {
		return ondisk.InlineRef{Type: typ, Offset: offset, Count: 1}
	}
	for _, c := range []struct {
		name string
		in   []ondisk.InlineRef
		want int64
	}{
		{"one", []ondisk.InlineRef{ref(ondisk.TypeTreeBlockRef, 5)}, 0},
		{"descending", []ondisk.InlineRef{ref(ondisk.TypeTreeBlockRef, 300), ref(ondisk.TypeTreeBlockRef, 5)}, 0},
		{"ascending", []ondisk.InlineRef{ref(ondisk.TypeTreeBlockRef, 5), ref(ondisk.TypeTreeBlockRef, 300)}, 1},
		{"types ascending", []ondisk.InlineRef{ref(ondisk.TypeExtentOwnerRef, 5), ref(ondisk.TypeTreeBlockRef, 5), ref(ondisk.TypeSharedBlockRef, 4096)}, 0},
		{"types descending", []ondisk.InlineRef{ref(ondisk.TypeSharedBlockRef, 4096), ref(ondisk.TypeTreeBlockRef, 5)}, 1},
		{"count 0", []ondisk.InlineRef{{Type: ondisk.TypeSharedDataRef, Offset: 4096}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := testChecker()
			k.inlineRefs(place, &extent{start: 4096}, c.in)
			if k.log.report.Found != c.want {
				t.Errorf("inlineRefs: %v; want %d problems", k.log.report.Problems, c.want)
			}
		})
	}
}

func TestDropped(t *testing.T) {
	key := func(id uint64) ondisk.Key { return ondisk.Key{ObjectID: id, Type: ondisk.TypeInodeItem} }
	ptrs := []ondisk.KeyPtr{{Key: key(256)}, {Key: key(300)}, {Key: key(400)}}
	half := &tree{id: 256, item: &ondisk.RootItem{DropProgress: key(300), DropLevel: 1}}
	for _, c := range []struct {
		name  string
		tree  *tree
		level uint8
		want  [3]bool
	}{
		{"no root item", &tree{id: 1}, 1, [3]bool{}},
		{"not begun", &tree{id: 256, item: &ondisk.RootItem{}}, 1, [3]bool{}},
		{"level of progress", half, 1, [3]bool{true, false, false}},
		{"level above: the child of the progress is still there", half, 2, [3]bool{true, false, false}},
		{"level above, between", &tree{item: &ondisk.RootItem{DropProgress: key(350), DropLevel: 1}}, 2, [3]bool{true, false, false}},
		{"level above, last", &tree{item: &ondisk.RootItem{DropProgress: key(500), DropLevel: 1}}, 2, [3]bool{true, true, false}},
		{"level below", &tree{item: &ondisk.RootItem{DropProgress: key(300), DropLevel: 2}}, 1, [3]bool{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got [3]bool
			for i := range ptrs {
				got[i] = c.tree.dropped(c.level, ptrs, i)
			}
			if got != c.want {
				t.Errorf("dropped = %v; want %v", got, c.want)
			}
		})
	}
}

func TestProblemsAreCapped(t *testing.T) {
	for _, n := range []int{maxProblems - 1, maxProblems, maxProblems + 1} {
		k := testChecker()
		for range n {
			k.log.add(text("x"), "y")
		}
		if r := k.log.report; r.Found != int64(n) || len(r.Problems) != min(n, maxProblems) || r.Clean() {
			t.Errorf("%d problems: Found %d, kept %d", n, r.Found, len(r.Problems))
		}
	}
}
