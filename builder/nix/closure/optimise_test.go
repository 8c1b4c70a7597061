package closure

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/nar"
)

var linksTime = time.Unix(1_700_000_000, 0)

// linkName returns the name that Nix gives a file, of the archive of it alone.
func linkName(t *testing.T, e *fstree.Entry) string {
	t.Helper()
	h := sha256.New()
	encoder := nar.NewEncoder(h)
	var err error
	if e.IsSymlink() {
		err = encoder.Symlink("", e.Link)
	} else {
		var data []byte
		if data, err = e.Read(1 << 30); err == nil {
			err = encoder.File(nar.File{Executable: e.Mode&0o100 != 0, Size: e.Size}, strings.NewReader(string(data)))
		}
	}
	if err == nil {
		err = encoder.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return nixbase32.EncodeToString(h.Sum(nil))
}

// checkLinks wants each file of a store to be a name of the one in .links that has its
// digest, nothing else there, and returns how many files are there more than once.
func checkLinks(t *testing.T, tree *fstree.Tree) (again int) {
	t.Helper()
	dir := tree.Lookup(nix.StoreDir + "/.links")
	if !dir.IsIndex() {
		t.Error(".links is no index: all files would be placed in the order of their digests")
	}
	if dir.Mode != fstree.TypeDir|0o755 || dir.UID != 0 || dir.GID != 0 || !dir.MTime().Equal(linksTime) {
		t.Errorf(".links: mode %o, owner %d:%d, time %v", dir.Mode, dir.UID, dir.GID, dir.MTime())
	}
	names := map[string]int{}
	for _, object := range tree.Lookup(nix.StoreDir).Children() {
		for e := range object.All() {
			if object == dir || e.IsDir() {
				continue
			}
			name := linkName(t, e)
			if link := dir.Child(name); link == nil || link.Inode != e.Inode {
				t.Errorf("%s: is not .links/%s", e.Path(), name)
			}
			names[name]++
		}
	}
	for _, link := range dir.Children() {
		if n := names[link.Name]; n == 0 || link.Links() != n+1 {
			t.Errorf(".links/%s: %d names in all, %d of them of objects", link.Name, link.Links(), n)
		}
		again += max(names[link.Name]-1, 0)
	}
	return again
}

// TestOptimise: files of a cache and of a store are linked in the same way, and say
// what they said before.
func TestOptimise(t *testing.T) {
	plain := goldenClosure(t)
	o := options(t, copyCache(t, "zstd", nil))
	o.FileSums = true
	fetched, err := Fetch(t.Context(), goldenRoots(t), o)
	if err != nil {
		t.Fatal(err)
	}
	host := openHost(t, materialise(t, plain, nil))
	stored, err := host.Closure(t.Context(), goldenRoots(t), HostOptions{Keys: goldenKeys(t), FileSums: true})
	if err != nil {
		t.Fatal(err)
	}
	want := listing(t, plain.Tree)
	for name, c := range map[string]*Closure{"fetched": fetched, "stored": stored} {
		if err := c.Optimise(linksTime); err != nil {
			t.Fatal(err)
		}
		if again := checkLinks(t, c.Tree); again == 0 {
			t.Errorf("%s: no two files are the same", name)
		}
		dir := c.Tree.Lookup(nix.StoreDir)
		dir.Remove(dir.Child(".links"))
		if diff := cmp.Diff(want, listing(t, c.Tree)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestOptimiseApart: what can run is another file than what cannot, and a symlink is
// another than a file with its target.
func TestOptimiseApart(t *testing.T) {
	c, dir := emptyClosure(t)
	for name, inode := range map[string]*fstree.Inode{
		"program": {Mode: modeProgram}, "file": {Mode: modeFile}, "again": {Mode: modeFile},
		"link": {Mode: modeSymlink, Link: "x", Size: 1}, "link again": {Mode: modeSymlink, Link: "x", Size: 1}, "other": {Mode: modeSymlink, Link: "y", Size: 1},
	} {
		inode.Sec = storeTime
		if _, err := dir.Add(name, inode); err != nil {
			t.Fatal(err)
		}
	}
	sum(c)
	if err := c.Optimise(linksTime); err != nil {
		t.Fatal(err)
	}
	if again := checkLinks(t, c.Tree); again != 2 {
		t.Errorf("%d files are the same; want 2", again)
	}
}

// sum gives a closure of empty files and symlinks the digests that its fetcher makes.
func sum(c *Closure) {
	for e := range c.Tree.Lookup(nix.StoreDir).All() {
		switch {
		case e.IsSymlink():
			c.files = append(c.files, summedFile{nar.SymlinkSum(e.Link), e})
		case e.IsRegular():
			c.files = append(c.files, summedFile{nar.NewFileSum(e.Mode == modeProgram, 0).Sum(), e})
		}
	}
}

// emptyClosure returns one of an object that is an empty directory.
func emptyClosure(t *testing.T) (*Closure, *fstree.Entry) {
	t.Helper()
	c := &Closure{Tree: fstree.New(), fileSums: true}
	dir, err := c.Tree.MkdirAll(goldenRoots(t)[0].String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// TestOptimiseLimit: a file gets as many names as it can have, and no more.
func TestOptimiseLimit(t *testing.T) {
	for files, alone := range map[int]int{maxLinks - 2: 0, maxLinks - 1: 0, maxLinks: 1, maxLinks + 1: 2} {
		c, dir := emptyClosure(t)
		for i := range files {
			if _, err := dir.Add(fmt.Sprintf("%06d", i), &fstree.Inode{Mode: modeFile}); err != nil {
				t.Fatal(err)
			}
		}
		sum(c)
		if err := c.Optimise(linksTime); err != nil {
			t.Fatal(err)
		}
		links := c.Tree.Lookup(nix.StoreDir + "/.links").Children()
		if len(links) != 1 || links[0].Links() != files+1-alone {
			t.Errorf("%d files: %d links, the first with %d names; want one with %d", files, len(links), links[0].Links(), files+1-alone)
		}
		children := dir.Children()
		for i, c := range children {
			if last := i >= files-alone; (c.Links() == 1) != last {
				t.Fatalf("%d files: file %d has %d names", files, i, c.Links())
			}
		}
	}
}

// TestOptimiseUnhashed: a closure without digests of files is refused, and left as it is.
func TestOptimiseUnhashed(t *testing.T) {
	c := goldenClosure(t)
	if err := c.Optimise(linksTime); err == nil || !strings.Contains(err.Error(), "FileSums") {
		t.Errorf("error %v", err)
	}
	if c.Tree.Lookup(nix.StoreDir+"/.links") != nil {
		t.Error("has .links")
	}
}
