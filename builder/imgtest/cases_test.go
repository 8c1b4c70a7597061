package imgtest

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// digest is a hash over everything that a tree holds.
func digest(t *testing.T, tree *fstree.Tree) uint64 {
	t.Helper()
	h := fnv.New64a()
	for e := range tree.All() {
		fmt.Fprintf(h, "%q %o %d %d %d.%d %d %q %d %q\n", e.Path(), e.Mode, e.UID, e.GID, e.Sec, e.Nsec, e.Size, e.Link, e.Rdev, e.Xattrs)
		if e.Content == nil || e.Size > 16<<20 {
			continue
		}
		f, err := e.Content.Open(e)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(h, io.NewSectionReader(f, 0, e.Size)); n != e.Size || err != nil {
			t.Fatalf("%s: read %d of %d bytes: %v", e.Path(), n, e.Size, err)
		}
	}
	return h.Sum64()
}

func TestTreesAreReproducible(t *testing.T) {
	trees := map[string]func() *fstree.Tree{
		"every case":  func() *fstree.Tree { return EveryCase(t) },
		"small files": func() *fstree.Tree { return SmallFiles(3000) },
		"random":      func() *fstree.Tree { return RandomTree(rand.New(rand.NewPCG(1, 2)), 500) },
	}
	for name, grow := range trees {
		t.Run(name, func(t *testing.T) {
			if a, b := digest(t, grow()), digest(t, grow()); a != b {
				t.Errorf("two trees differ: %x and %x", a, b)
			}
		})
	}
}

// TestEveryCaseHolds names what must be found in the tree, so that a case
// cannot be lost unseen.
func TestEveryCaseHolds(t *testing.T) {
	tree := EveryCase(t)
	found := map[string]bool{}
	for e := range tree.All() {
		note(found, e)
	}
	for _, bytes := range nameBytes(tree) {
		found["links across directories"] = found["links across directories"] || len(bytes) > 1
	}
	want := []string{
		"char", "block", "fifo", "socket", "symlink of 4095", "name of 255", "mode 0000", "setuid", "setgid", "sticky",
		"before 1970", "after 2038", "nsec 999999999", "uid 4294967294", "value of 16000", "empty value", "hash collision",
		"10 GiB", "links across directories", "level 200", "security.capability",
		"system.posix_acl_access", "system.posix_acl_default", "directory of 2000", "empty directory",
	}
	for _, w := range want {
		if !found[w] {
			t.Errorf("EveryCase lacks: %s", w)
		}
	}
}

// nameBytes returns for every inode the bytes that its names take in the
// INODE_REF item of each directory.
func nameBytes(tree *fstree.Tree) map[*fstree.Inode]map[*fstree.Entry]int {
	bytes := map[*fstree.Inode]map[*fstree.Entry]int{}
	for e := range tree.All() {
		if e.Parent() == nil {
			continue
		}
		if bytes[e.Inode] == nil {
			bytes[e.Inode] = map[*fstree.Entry]int{}
		}
		bytes[e.Inode][e.Parent()] += 10 + len(e.Name)
	}
	return bytes
}

// TestReferenceLimit expects names that just fit an INODE_REF item in one tree
// and names beyond it, alone and with names elsewhere, in the other.
func TestReferenceLimit(t *testing.T) {
	const item = 16258 // bytes of names in one item
	most := 0
	for _, bytes := range nameBytes(EveryCase(t)) {
		for _, n := range bytes {
			most = max(most, n)
		}
	}
	if most > item || most+10+refNameLen <= item {
		t.Errorf("EveryCase: names of %d bytes; want the most that fit %d", most, item)
	}
	alone, across := false, false
	for _, bytes := range nameBytes(Extrefs()) {
		for _, n := range bytes {
			alone = alone || n > item && len(bytes) == 1
			across = across || n > item && len(bytes) > 1
		}
	}
	if !alone || !across {
		t.Errorf("Extrefs: beyond an item alone %v, with names elsewhere %v; want both", alone, across)
	}
}

func note(found map[string]bool, e *fstree.Entry) {
	set := func(what string, is bool) { found[what] = found[what] || is }
	set("char", e.Type() == fstree.TypeChar)
	set("block", e.Type() == fstree.TypeBlock)
	set("fifo", e.Type() == fstree.TypeFIFO)
	set("socket", e.Type() == fstree.TypeSocket)
	set("symlink of 4095", e.IsSymlink() && e.Size == 4095 && len(e.Link) == 4095)
	set("name of 255", len(e.Name) == 255)
	set("mode 0000", e.Mode&fstree.PermMask == 0)
	set("setuid", e.Mode&0o4000 != 0)
	set("setgid", e.Mode&0o2000 != 0)
	set("sticky", e.Mode&0o1000 != 0)
	set("before 1970", e.Sec < 0)
	set("after 2038", e.Sec > 1<<31)
	set("nsec 999999999", e.Nsec == 999999999)
	set("uid 4294967294", e.UID == 4294967294)
	set("10 GiB", e.Size > 10<<30)
	set("level 200", strings.Count(e.Path(), "/") > 200)
	set("directory of 2000", len(e.Children()) == 2000)
	set("empty directory", e.IsDir() && len(e.Children()) == 0)
	for _, x := range e.Xattrs {
		set("value of 16000", len(x.Value) == 16000)
		set("empty value", len(x.Value) == 0)
		set(x.Name, true)
	}
	hashes := map[uint64]int{}
	for _, c := range e.Children() {
		hashes[ondisk.NameHash(c.Name)]++
	}
	for _, n := range hashes {
		set("hash collision", n > 1)
	}
}

// TestTreesAreValid holds every tree to the invariants of fstree.
func TestTreesAreValid(t *testing.T) {
	trees := map[string]*fstree.Tree{
		"every case": EveryCase(t), "wide": Wide(3000), "small": SmallFiles(2500),
		"random": RandomTree(rand.New(rand.NewPCG(7, 7)), 3000),
	}
	for name, tree := range trees {
		t.Run(name, func(t *testing.T) {
			for e := range tree.All() {
				if e.Nsec > 999_999_999 || e.IsSymlink() && int(e.Size) != len(e.Link) || len(e.Name) > 255 {
					t.Errorf("%s: invalid time, target or name", e.Path())
				}
				if !slices.IsSortedFunc(e.Xattrs, func(a, b fstree.Xattr) int { return strings.Compare(a.Name, b.Name) }) {
					t.Errorf("%s: xattrs are not sorted", e.Path())
				}
			}
		})
	}
}

func TestCasesStandAlone(t *testing.T) {
	for _, c := range Cases() {
		if len(c.Tree().Root().Children()) == 0 {
			t.Errorf("case %q plants nothing", c.Name)
		}
	}
}

// TestSmallFilesMemory holds a tree of small files to 400 bytes an entry: it
// serves to measure the memory of others.
func TestSmallFilesMemory(t *testing.T) {
	const n = 100_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	tree := SmallFiles(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := int64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%d bytes an entry, made in %v", per, time.Since(start))
	if per > 400 {
		t.Errorf("%d bytes an entry; want at most 400", per)
	}
	runtime.KeepAlive(tree)
}
