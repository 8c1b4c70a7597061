package btrfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// TestEveryCase writes a tree with everything that a root file system may hold
// under every option of the format, and asks the kernel, both modes of btrfs
// check and scrub about it.
func TestEveryCase(t *testing.T) {
	imgtest.NeedRoot(t)
	tests := []struct {
		name   string
		params Params
		sizes  chunkSizes
	}{
		{"plain", Params{}, defaultChunkSizes},
		{"zstd", Params{Compression: Compression{3}, Label: "nixos"}, defaultChunkSizes},
		{"zstd 1 single", Params{Compression: Compression{1}, Metadata: Single}, defaultChunkSizes},
		{"zstd 15 block group tree", Params{Compression: Compression{15}, BlockGroupTree: true}, defaultChunkSizes},
		{"xxhash64", Params{Compression: Compression{3}, Checksum: ondisk.XXHash64}, defaultChunkSizes},
		{"sha256", Params{Checksum: ondisk.SHA256, BlockGroupTree: true}, defaultChunkSizes},
		{"blake2b", Params{Compression: Compression{7}, Checksum: ondisk.BLAKE2b, Metadata: Single}, defaultChunkSizes},
		{"many chunks", Params{Compression: Compression{3}}, smallChunks},
		{"many chunks plain", Params{BlockGroupTree: true, Metadata: Single}, smallChunks},
		{"no copy-on-write", Params{Compression: Compression{3}, Default: "@",
			Subvolumes: []Subvolume{{Path: "@", NoDataCow: true}}, Snapshots: []Snapshot{{"@", "@snap"}}}, defaultChunkSizes},
		{"given size", Params{Compression: Compression{3}, Size: 1 << 30}, defaultChunkSizes},
	}
	tree := imgtest.EveryCase(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			image, result := writeImageSized(t, tree, test.params, test.sizes)
			if info, err := os.Stat(image); err != nil || info.Size() != result.Size {
				t.Fatalf("image: %v, %v; want %d bytes", info.Size(), err, result.Size)
			}
			checkAll(t, image)
			dir := imgtest.Mount(t, image)
			imgtest.CompareMounted(t, tree, nil, dir, imgtest.CompareOptions{})
			imgtest.Scrub(t, dir)
		})
	}
}

// TestExtrefs is apart from TestEveryCase since btrfs check
// 6.14 in mode lowmem complains of any such file, the kernel's own too.
func TestExtrefs(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := imgtest.Extrefs()
	image, _ := writeImage(t, tree, Params{})
	ownCheck(t, image)
	imgtest.BtrfsCheck(t, image, "original")
	imgtest.CompareMounted(t, tree, nil, imgtest.Mount(t, image, "ro"), imgtest.CompareOptions{})
}

// TestSubvolumes writes the subvolumes, snapshots and swapfile of the
// reference machine and compares each with its part of the tree.
func TestSubvolumes(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := imgtest.EveryCase(t)
	image, result := writeImage(t, tree, allRoles(Params{Compression: Compression{3}}))
	checkAll(t, image)
	checkRoles(t, tree, image, result)
}

// checkRoles mounts a file system written with allRoles and looks at
// everything that allRoles asks for.
func checkRoles(t *testing.T, tree *fstree.Tree, image string, result *Result) {
	t.Helper()
	m := imgtest.MountImage(t, image, imgtest.MountOptions{Options: []string{"subvolid=5"}})
	defer m.Unmount(t)
	compareRoles(t, tree, m.Dir)
	checkSwapfile(t, image, m.Dir, result)
	imgtest.Scrub(t, m.Dir)
	if err := os.WriteFile(filepath.Join(m.Dir, "@factory", "x"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("@factory: write says %v; want a read-only snapshot", err)
	}
	if got := printed(t, "btrfs", "subvolume", "get-default", m.Dir); !strings.HasSuffix(got, " path @\n") {
		t.Errorf("default subvolume: %q; want @", got)
	}
	if got := printed(t, "lsattr", "-d", filepath.Join(m.Dir, "@/srv/cow")); !strings.Contains(got[:22], "C") {
		t.Errorf("@/srv/cow: attributes %q; want C for no copy-on-write", got)
	}
}

// compareRoles compares the subvolumes of allRoles with the tree.
func compareRoles(t *testing.T, tree *fstree.Tree, top string) {
	t.Helper()
	root := imgtest.CompareOptions{Extra: []string{"srv", "srv/cow"}}
	for _, name := range []string{"home", "nix", "var"} {
		part := tree.Lookup(name)
		if part == nil {
			root.Extra = append(root.Extra, name)
			continue
		}
		root.Elsewhere = append(root.Elsewhere, name)
		imgtest.CompareMounted(t, tree, part, filepath.Join(top, "@"+name), imgtest.CompareOptions{Extra: []string{".snapshots"}})
	}
	imgtest.CompareMounted(t, tree, nil, filepath.Join(top, "@"), root)
	imgtest.CompareMounted(t, tree, nil, filepath.Join(top, "@factory"), root)
	imgtest.CompareMounted(t, tree, tree.Lookup("home"), filepath.Join(top, "@home/.snapshots/1"), imgtest.CompareOptions{Extra: []string{".snapshots"}})
}

// printed returns what a command prints.
func printed(t testing.TB, name string, args ...string) string {
	t.Helper()
	imgtest.Need(t, name)
	b, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(b)
}

// checkSwapfile uses the swapfile and compares its offset with that of
// btrfs-progs and of our own reader.
func checkSwapfile(t *testing.T, image, top string, result *Result) {
	t.Helper()
	volume, err := openImage(t, image).Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range result.Swapfiles {
		file := filepath.Join(top, s.Path)
		if want := imgtest.SwapfileOffset(t, file); s.PhysicalPage != want {
			t.Errorf("%s: page %d; want %d as btrfs inspect-internal map-swapfile", s.Path, s.PhysicalPage, want)
		}
		if got, err := volume.SwapfileOffset(s.Path); err != nil || got != s.PhysicalPage {
			t.Errorf("%s: reader finds page %d, %v; want %d", s.Path, got, err, s.PhysicalPage)
		}
		imgtest.Swapon(t, file)
		imgtest.Swapoff(t, file)
	}
}

// TestLiveInIt uses file systems that were written here as years of service
// would, and checks them again.
func TestLiveInIt(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := imgtest.EveryCase(t)
	tests := []struct {
		name   string
		params Params
		sizes  chunkSizes
	}{
		{"roles", allRoles(Params{Compression: Compression{3}}), defaultChunkSizes},
		{"single block group tree", allRoles(Params{Metadata: Single, BlockGroupTree: true, Checksum: ondisk.XXHash64}), defaultChunkSizes},
		{"many chunks", Params{Compression: Compression{3}}, smallChunks},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			image, _ := writeImageSized(t, tree, test.params, test.sizes)
			subvolume := ""
			if len(test.params.Subvolumes) > 0 {
				subvolume = "@home"
			}
			imgtest.LiveInIt(t, image, subvolume)
			checkMost(t, image)
		})
	}
}

// TestReferenceTree is TestSubvolumes and TestLiveInIt for a real Debian
// userland, read from the directory.
func TestReferenceTree(t *testing.T) {
	imgtest.NeedRoot(t)
	tree, err := fstree.ScanDir(t.Context(), userland.Reference(t).Dir, fstree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	image, result := writeImage(t, tree, allRoles(Params{Compression: Compression{3}}))
	checkAll(t, image)
	checkRoles(t, tree, image, result)
	imgtest.LiveInIt(t, image, "@home")
	checkMost(t, image)
}
