package identity_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// variant is a way to write the file system of a test.
type variant struct {
	name   string
	params btrfs.Params
	files  int   // small ones
	inline int   // whose content is in the tree, eight to a leaf
	fstab  int   // bytes at least
	grid   int64 // of the copy
	level  uint8 // of the tree of @ at least
}

var variants = []variant{
	{name: "DUP", grid: 1 << 20},
	{name: "single", params: btrfs.Params{Metadata: btrfs.Single}, files: 10, grid: 1 << 20},
	{name: "pages", params: btrfs.Params{BlockGroupTree: true, Compression: btrfs.Compression{Level: 3}}, files: 300, grid: ondisk.SectorSize, level: 1},
	{name: "odd grid", params: btrfs.Params{BlockGroupTree: true}, files: 300, grid: 5 * ondisk.SectorSize, level: 1},
	{name: "fstab of a sector", files: 10, fstab: ondisk.SectorSize - 50, grid: 1 << 20},
	{name: "fstab of sectors", params: btrfs.Params{Compression: btrfs.Compression{Level: 3}}, files: 100, fstab: 300_000, grid: 1 << 20},
	{name: "no checksums", params: btrfs.Params{Subvolumes: []btrfs.Subvolume{{Path: "@", NoDataCow: true}}}, files: 10, fstab: 9000, grid: 1 << 20},
	{name: "several chunks", params: btrfs.Params{Metadata: btrfs.Single}, inline: 15_000, grid: 1<<20 + ondisk.SectorSize, level: 2},
	{name: "third superblock", params: btrfs.Params{Size: 256<<30 + 64<<10}, files: 10, grid: 1 << 20},
}

// tree returns the files of the variant with what depends on the seed.
func (v variant) tree(t testing.TB, seed [32]byte) *fstree.Tree {
	if v.inline > 0 {
		return system(t, inlineFiles(t, v.inline), seed, v.fstab)
	}
	return system(t, imgtest.SmallFiles(v.files), seed, v.fstab)
}

// TestRewrite copies file systems chunk by chunk: the copy is clean, has
// nothing of the old identity, and is what the writer writes with the new seed,
// but for the UUIDs of subvolumes.
func TestRewrite(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			disk := write(t, v.tree(t, oldSeed), oldSeed, v.params)
			if v.inline > 0 && metaChunks(t, disk) < 2 {
				t.Fatalf("tree blocks in one chunk of metadata; want them in several")
			}
			if ref, err := open(t, disk).RootRef(ondisk.FirstFree); err != nil || ref.Level < v.level {
				t.Fatalf("tree of @: level %d, %v; want at least %d", ref.Level, err, v.level)
			}
			original := disk.Clone()
			w := prepare(t, disk, fstabEdits...)
			target := copyAs(t, disk, w, v.grid)
			if !disk.Equal(original) {
				t.Errorf("the original was written to")
			}
			isClean(t, target)
			holdsNone(t, target, identity.FromSeed(oldSeed, ""))
			direct := write(t, v.tree(t, newSeed), newSeed, v.params)
			sameButSubvolumes(t, target, direct)
			inPlaces(t, disk, target, w.Places())
			if text := textOf(t, target, "@/etc/fstab"); text != textOf(t, direct, "@/etc/fstab") || !strings.Contains(text, partuuid(newSeed)) {
				t.Errorf("fstab %q", text)
			}
		})
	}
}

// sameButSubvolumes compares two file systems page by page. Only the root tree
// and the UUID tree, which name subvolumes, may differ.
func sameButSubvolumes(t *testing.T, got, want *imgtest.MemDisk) {
	t.Helper()
	if got.Size() != want.Size() {
		t.Fatalf("%d bytes; want %d", got.Size(), want.Size())
	}
	a, b := make([]byte, ondisk.NodeSize), make([]byte, ondisk.NodeSize)
	differing := 0
	for _, disk := range []*imgtest.MemDisk{got, want} {
		for _, at := range disk.Written() {
			at -= at % ondisk.NodeSize
			n := min(int64(len(a)), got.Size()-at)
			if _, err := got.ReadAt(a[:n], at); err != nil {
				t.Fatal(err)
			}
			if _, err := want.ReadAt(b[:n], at); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(a[:n], b[:n]) {
				continue
			}
			h, _ := ondisk.DecodeHeader(a)
			if h.Owner != ondisk.RootTree && h.Owner != ondisk.UUIDTree {
				t.Errorf("physical %d, tree %d: differs", at, h.Owner)
			}
			if differing++; differing > 100 {
				t.Fatalf("and more")
			}
		}
	}
	if differing == 0 {
		t.Errorf("nothing differs; want the UUIDs of subvolumes")
	}
}

// inPlaces demands that all that differs is inside of places, and that they are
// in order and do not touch.
func inPlaces(t *testing.T, from, to *imgtest.MemDisk, places []identity.Place) {
	t.Helper()
	for i, p := range places {
		if i > 0 && p.Offset <= places[i-1].Offset+places[i-1].Length {
			t.Errorf("place %+v follows %+v", p, places[i-1])
		}
	}
	a, b := make([]byte, ondisk.SectorSize), make([]byte, ondisk.SectorSize)
	i := 0
	for _, at := range from.Written() {
		for i < len(places) && places[i].Offset+places[i].Length <= at {
			i++
		}
		if _, err := from.ReadAt(a, at); err != nil {
			t.Fatal(err)
		}
		if _, err := to.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) && (i == len(places) || places[i].Offset > at) {
			t.Errorf("physical %d: changed, and is in no place", at)
		}
	}
}

// TestPlacesAreFew: of a tree block that has a new header alone, one page
// changes.
func TestPlacesAreFew(t *testing.T) {
	disk := write(t, variants[2].tree(t, oldSeed), oldSeed, btrfs.Params{Metadata: btrfs.Single})
	nodes := 0
	for _, p := range prepare(t, disk).Places() {
		if p.Length == ondisk.SectorSize {
			nodes++
		}
	}
	if nodes < 5 {
		t.Errorf("%d places of a page; want one for each tree block but a few", nodes)
	}
}

// TestConcurrent applies all chunks at once.
func TestConcurrent(t *testing.T) {
	disk := write(t, variants[2].tree(t, oldSeed), oldSeed, btrfs.Params{})
	w := prepare(t, disk, fstabEdits...)
	want := copyAs(t, disk, w, 1<<20)
	var group sync.WaitGroup
	offsets := chunksOf(disk, 1<<20)
	chunks := make([][]byte, len(offsets))
	errs := make([]error, len(offsets))
	for i, at := range offsets {
		chunks[i] = make([]byte, min(1<<20, disk.Size()-at))
		if _, err := disk.ReadAt(chunks[i], at); err != nil {
			t.Fatal(err)
		}
		group.Go(func() { errs[i] = w.Apply(chunks[i], at) })
	}
	group.Wait()
	got := imgtest.NewMemDisk(disk.Size())
	for i, at := range offsets {
		if errs[i] != nil {
			t.Error(errs[i])
		}
		if _, err := got.WriteAt(chunks[i], at); err != nil {
			t.Fatal(err)
		}
	}
	if !got.Equal(want) {
		t.Errorf("another result than one after the other")
	}
}

// TestFreeSpaceIsCleared: what is left of a freed tree block goes, wherever it
// stands in an area of metadata, and what stands elsewhere stays.
func TestFreeSpaceIsCleared(t *testing.T) {
	disk := write(t, variants[1].tree(t, oldSeed), oldSeed, btrfs.Params{})
	clean := copyAs(t, disk, prepare(t, disk, fstabEdits...), 1<<20)
	f := open(t, disk)
	root, err := f.RootRef(ondisk.RootTree)
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := f.ReadBlock(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Chunks() {
		for _, s := range c.Chunk.Stripes {
			if c.Chunk.Type&ondisk.GroupData == 0 {
				if _, err := disk.WriteAt(raw, int64(s.Offset)+int64(c.Chunk.Length)-ondisk.NodeSize); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	target := copyAs(t, disk, prepare(t, disk, fstabEdits...), 1<<20)
	if !target.Equal(clean) {
		t.Errorf("what was freed is in the copy")
	}
	const outside = 512 << 10 // before all chunks
	if _, err := disk.WriteAt(raw, outside); err != nil {
		t.Fatal(err)
	}
	kept := make([]byte, len(raw))
	if _, err := copyAs(t, disk, prepare(t, disk), 1<<20).ReadAt(kept, outside); err != nil || !bytes.Equal(kept, raw) {
		t.Errorf("what stands in no chunk was changed, %v", err)
	}
}

// TestApplyArguments: places and lengths of whole sectors alone, and none
// beyond what an offset can say.
func TestApplyArguments(t *testing.T) {
	disk := write(t, variants[0].tree(t, oldSeed), oldSeed, btrfs.Params{})
	w := prepare(t, disk)
	for _, test := range []struct {
		off  int64
		n    int
		want string
	}{
		{0, 0, ""}, {disk.Size(), 4096, ""}, {1<<63 - 8192, 4096, ""},
		{-4096, 4096, "multiples"}, {1, 4096, "multiples"}, {4095, 4096, "multiples"}, {4097, 4096, "multiples"},
		{0, 4095, "multiples"}, {0, 4097, "multiples"}, {1<<63 - 4096, 4096, "multiples"},
	} {
		err := w.Apply(make([]byte, test.n), test.off)
		if fmt.Sprint(err) == "<nil>" != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%d bytes at %d: %v; want %q", test.n, test.off, err, test.want)
		}
	}
}
