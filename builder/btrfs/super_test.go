package btrfs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestSuperMirrors writes devices that end around the superblock copies.
func TestSuperMirrors(t *testing.T) {
	imgtest.NeedRoot(t)
	const m64, m256 = int64(64 << 20), int64(256 << 30)
	tests := []struct {
		size    int64
		mirrors int
	}{
		{m64 - 4096, 1}, {m64, 1}, {m64 + 4096, 2}, {m64 + 65536, 2},
		{m256 - 4096, 2}, {m256, 2}, {m256 + 4096, 3}, {m256 + 1<<30, 3},
	}
	tree := imgtest.Wide(10)
	for _, test := range tests {
		image, _ := writeImage(t, tree, Params{Size: test.size, Metadata: Single})
		if got := mirrorsOf(t, image); got != test.mirrors {
			t.Errorf("%d bytes: %d superblocks; want %d", test.size, got, test.mirrors)
		}
		checkAll(t, image)
		m := imgtest.MountImage(t, image, imgtest.MountOptions{})
		imgtest.CompareMounted(t, tree, nil, m.Dir, imgtest.CompareOptions{})
		m.Unmount(t)
		checkAll(t, image)
		if err := os.Remove(image); err != nil {
			t.Fatal(err)
		}
	}
}

// mirrorsOf counts the superblocks that are where they say.
func mirrorsOf(t *testing.T, image string) int {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for _, at := range ondisk.SuperMirrors {
		b := make([]byte, ondisk.SuperSize)
		if _, err := f.ReadAt(b, int64(at)); err != nil {
			break
		}
		if s, err := ondisk.DecodeSuperblock(b); err == nil && s.Bytenr == at && ondisk.CRC32C.Verify(b) {
			n++
		}
	}
	return n
}

// TestLongSwapfiles places swapfiles around extents, chunks and superblock
// copies; the longest would reach over the copy at 256 GiB.
func TestLongSwapfiles(t *testing.T) {
	imgtest.NeedRoot(t)
	p := Params{Metadata: Single, Swapfiles: []Swapfile{
		{"@swap/a", MinSwapfile}, {"@swap/b", maxPlainExtent - 4096}, {"@swap/c", maxPlainExtent}, {"@swap/d", maxPlainExtent + 4096},
		{"@swap/e", 1<<30 + 4096}, {"@swap/f", 255 << 30},
	}}
	tree := imgtest.Wide(10)
	short, _ := writeImage(t, tree, Params{Metadata: Single, Swapfiles: p.Swapfiles[:5]})
	checkAll(t, short)
	image, result := writeImage(t, tree, p)
	checkMost(t, image) // to mode lowmem each extent of a file takes as long as it has extents before it
	m := imgtest.MountImage(t, image, imgtest.MountOptions{Options: []string{"subvolid=5"}})
	checkSwapfile(t, image, m.Dir, result)
	imgtest.CompareMounted(t, tree, nil, m.Dir, imgtest.CompareOptions{Extra: []string{"@swap"}})
	for _, s := range result.Swapfiles {
		if info, err := os.Stat(filepath.Join(m.Dir, s.Path)); err != nil || info.Size() != s.Size || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want %d bytes of mode 0600", s.Path, info, err, s.Size)
		}
	}
	m.Unmount(t)
	if want := int64(256<<30) + 65536; result.Swapfiles[5].PhysicalPage*4096 < want {
		t.Errorf("@swap/f at %d; want it behind the superblock copy, from %d", result.Swapfiles[5].PhysicalPage*4096, want)
	}
}

// TestLabel writes the longest label.
func TestLabel(t *testing.T) {
	label := fmt.Sprintf("%0255d", 1)
	image, _ := writeImage(t, imgtest.Wide(1), Params{Label: label})
	if got := openImage(t, image).Super().Label; got != label {
		t.Errorf("label %q; want %q", got, label)
	}
}

// TestFree asks for free space beside the smallest size: the size grows by it
// and ends at a whole MiB, and the kernel's checker agrees with the totals.
func TestFree(t *testing.T) {
	const mib = 1 << 20
	tree := fstree.New()
	addFile(t, tree, "file", randomBytes(3*mib, 1))
	tree.Freeze()
	_, least := writeImage(t, tree, Params{})
	for _, free := range []int64{1, mib - 1, mib, mib + 1, 1 << 30} {
		image, got := writeImage(t, tree, Params{Free: free})
		want := (least.Size + free + mib - 1) / mib * mib
		if got.Size != want {
			t.Errorf("Free %d: size %d; want %d", free, got.Size, want)
		}
		checkAll(t, image)
	}
	image, got := writeImage(t, tree, Params{Free: mib, Size: 1 << 30})
	if got.Size != 1<<30 {
		t.Errorf("Free with a size: size %d; want the size that was asked for", got.Size)
	}
	checkAll(t, image)
	for _, free := range []int64{-1, maxFree + 1} {
		writeFails(t, tree, Params{Free: free}, fault.Usage, "free space")
	}
}
