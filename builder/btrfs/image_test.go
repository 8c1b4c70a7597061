package btrfs

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// smallChunks make a file system of many chunks from little data.
var smallChunks = chunkSizes{
	system: 1 << 20, firstMeta: 256 << 10, maxMeta: 512 << 10, maxData: 1 << 20, headroom: 16 << 20, minMeta: 1 << 20, rounds: 10,
}

// writeImage writes a file system into a new sparse file.
func writeImage(t testing.TB, tree *fstree.Tree, p Params) (string, *Result) {
	t.Helper()
	return writeImageSized(t, tree, p, defaultChunkSizes)
}

func writeImageSized(t testing.TB, tree *fstree.Tree, p Params, sizes chunkSizes) (string, *Result) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fs.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	result, err := writeSized(t.Context(), f, tree, p, sizes)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(result.Size); err != nil {
		t.Fatal(err)
	}
	return name, result
}

// writeFails fails the test unless writing the tree fails with an error of that
// class that holds the text, and leaves no superblock behind.
func writeFails(t testing.TB, tree *fstree.Tree, p Params, class fault.Class, text string) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "fs")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = Write(t.Context(), f, tree, p)
	if err == nil || !strings.Contains(err.Error(), text) || fault.ClassOf(err) != class {
		t.Errorf("error %v of class %d; want class %d and %q", err, fault.ClassOf(err), class, text)
	}
	super := make([]byte, ondisk.SuperSize)
	if n, _ := f.ReadAt(super, int64(ondisk.SuperMirrors[0])); n > 0 && !bytes.Equal(super, make([]byte, len(super))) {
		t.Errorf("a superblock was written although Write failed")
	}
}

// randomBytes returns n bytes that do not compress, the same for one seed.
func randomBytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// openImage opens a file system with our own reader until the end of the test.
func openImage(t testing.TB, image string) *reader.FS {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	fs, err := reader.Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// ownCheck fails the test when our own checker finds anything.
func ownCheck(t testing.TB, image string) {
	t.Helper()
	report, err := check.Run(t.Context(), openImage(t, image), check.Options{Data: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("mkimage check: %v", p)
	}
}

// checkAll runs both checkers, that of btrfs-progs in both modes.
func checkAll(t testing.TB, image string) {
	t.Helper()
	ownCheck(t, image)
	imgtest.BtrfsCheck(t, image)
}

// checkMost is checkAll, but mode lowmem of btrfs check only where the slow cases are
// wanted. It looks for the same as the other in another way and takes much longer: this
// is for what it has looked at before the kernel worked on it, or in a smaller image.
func checkMost(t testing.TB, image string) {
	t.Helper()
	if imgtest.Full() {
		checkAll(t, image)
		return
	}
	ownCheck(t, image)
	imgtest.BtrfsCheck(t, image, "original")
}

// allRoles is how the reference machine's file system is cut into subvolumes.
func allRoles(p Params) Params {
	p.Subvolumes = []Subvolume{
		{Path: "@", Source: "/"}, {Path: "@home", Source: "/home"}, {Path: "@nix", Source: "nix"},
		{Path: "@var", Source: "/var"}, {Path: "@home/.snapshots", Empty: true},
		{Path: "@/srv/cow", Empty: true, NoDataCow: true},
	}
	p.Snapshots = []Snapshot{{Source: "@", Path: "@factory"}, {Source: "@home", Path: "@home/.snapshots/1"}}
	p.Swapfiles = []Swapfile{{Path: "@swap/swapfile", Size: 160 << 20}}
	p.Default = "@"
	return p
}
