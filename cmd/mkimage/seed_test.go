package main

import (
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// seedTree returns a tree with a directory, two links to one file, a symlink
// and a device.
func seedTree(t *testing.T) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	add := func(parent *fstree.Entry, name string, inode *fstree.Inode) *fstree.Entry {
		e, err := parent.Add(name, inode)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	d := add(tree.Root(), "d", &fstree.Inode{Mode: fstree.TypeDir | 0o755})
	file := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: 5, Sec: 7, Nsec: 8,
		Xattrs: []fstree.Xattr{{Name: "user.a", Value: []byte("v")}}}
	add(d, "one", file)
	add(d, "two", file)
	add(tree.Root(), "link", &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: "d/one", Size: 5})
	add(tree.Root(), "null", &fstree.Inode{Mode: fstree.TypeChar | 0o666, Rdev: fstree.MakeRdev(1, 3)})
	tree.Freeze()
	return tree
}

// TestDeriveSeed changes one thing at a time: each must give another seed,
// except what does not reach the bytes of the file system.
func TestDeriveSeed(t *testing.T) {
	base := deriveSeed(seedTree(t), &btrfs.Params{})
	if again := deriveSeed(seedTree(t), &btrfs.Params{}); again != base {
		t.Fatalf("equal trees gave %v and %v", base, again)
	}
	one := func(tree *fstree.Tree) *fstree.Entry { return tree.Lookup("d/one") }
	tests := []struct {
		name   string
		change func(*fstree.Tree, *btrfs.Params)
		same   bool
	}{
		{"mode", func(t *fstree.Tree, _ *btrfs.Params) { one(t).Mode ^= 1 }, false},
		{"type", func(t *fstree.Tree, _ *btrfs.Params) { t.Lookup("null").Mode ^= fstree.TypeChar ^ fstree.TypeBlock }, false},
		{"uid", func(t *fstree.Tree, _ *btrfs.Params) { one(t).UID++ }, false},
		{"gid", func(t *fstree.Tree, _ *btrfs.Params) { one(t).GID++ }, false},
		{"seconds", func(t *fstree.Tree, _ *btrfs.Params) { one(t).Sec++ }, false},
		{"nanoseconds", func(t *fstree.Tree, _ *btrfs.Params) { one(t).Nsec++ }, false},
		{"size", func(t *fstree.Tree, _ *btrfs.Params) { one(t).Size++ }, false},
		{"symlink target", func(t *fstree.Tree, _ *btrfs.Params) { t.Lookup("link").Link = "d/two" }, false},
		{"device", func(t *fstree.Tree, _ *btrfs.Params) { t.Lookup("null").Rdev++ }, false},
		{"xattr name", func(t *fstree.Tree, _ *btrfs.Params) { one(t).Xattrs[0].Name = "user.b" }, false},
		{"xattr value", func(t *fstree.Tree, _ *btrfs.Params) { one(t).Xattrs[0].Value[0]++ }, false},
		{"root", func(t *fstree.Tree, _ *btrfs.Params) { t.Root().Mode ^= 1 }, false},
		{"another file", func(t *fstree.Tree, _ *btrfs.Params) { t.Root().Add("new", &fstree.Inode{Mode: fstree.TypeRegular}) }, false},
		{"two files for two links", func(t *fstree.Tree, _ *btrfs.Params) {
			copied := *one(t).Inode
			two := t.Lookup("d/two")
			two.Parent().Remove(two)
			t.Lookup("d").Add("two", &copied)
		}, false},
		{"label", func(_ *fstree.Tree, p *btrfs.Params) { p.Label = "x" }, false},
		{"file system size", func(_ *fstree.Tree, p *btrfs.Params) { p.Size = 1 }, false},
		{"timestamp", func(_ *fstree.Tree, p *btrfs.Params) { p.Timestamp = time.Unix(0, 1) }, false},
		{"metadata", func(_ *fstree.Tree, p *btrfs.Params) { p.Metadata = btrfs.Single }, false},
		{"checksum", func(_ *fstree.Tree, p *btrfs.Params) { p.Checksum = ondisk.SHA256 }, false},
		{"compression", func(_ *fstree.Tree, p *btrfs.Params) { p.Compression.Level = 3 }, false},
		{"block group tree", func(_ *fstree.Tree, p *btrfs.Params) { p.BlockGroupTree = true }, false},
		{"subvolume", func(_ *fstree.Tree, p *btrfs.Params) { p.Subvolumes = []btrfs.Subvolume{{Path: "@"}} }, false},
		{"snapshot", func(_ *fstree.Tree, p *btrfs.Params) { p.Snapshots = []btrfs.Snapshot{{Path: "@"}} }, false},
		{"swapfile", func(_ *fstree.Tree, p *btrfs.Params) { p.Swapfiles = []btrfs.Swapfile{{Path: "@"}} }, false},
		{"default", func(_ *fstree.Tree, p *btrfs.Params) { p.Default = "@" }, false},
		{"workers", func(_ *fstree.Tree, p *btrfs.Params) { p.Workers = 3 }, true},
		{"seed", func(_ *fstree.Tree, p *btrfs.Params) { p.Seed = ids.Seed{1} }, true},
		{"progress", func(_ *fstree.Tree, p *btrfs.Params) { p.Progress = func(int64, int64) {} }, true},
	}
	seen := map[ids.Seed]string{base: "nothing"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, p := seedTree(t), btrfs.Params{}
			tt.change(tree, &p)
			seed := deriveSeed(tree, &p)
			if other, known := seen[seed]; known != tt.same {
				t.Errorf("seed %v; known from %q: %v, want %v", seed, other, known, tt.same)
			}
			if !tt.same {
				seen[seed] = tt.name
			}
		})
	}
}
