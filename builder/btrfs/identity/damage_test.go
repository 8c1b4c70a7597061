package identity_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestDamage flips a bit in every page that was written, one after the other: in
// tree blocks, superblocks and file data that changes it is found and its place
// named, so that it gets no right checksum; other file data is left as it is.
func TestDamage(t *testing.T) {
	disk := write(t, variant{files: 40, fstab: 10_000}.tree(t, oldSeed), oldSeed, btrfs.Params{})
	w := prepare(t, disk, fstabEdits...)
	edited, page := editedSectors(t, disk), make([]byte, ondisk.SectorSize)
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]int{}
	for _, at := range disk.Written() {
		if _, err := disk.ReadAt(page, at); err != nil {
			t.Fatal(err)
		}
		bit := rng.IntN(8 * len(page))
		page[bit/8] ^= 1 << (bit % 8)
		flipped := bytes.Clone(page)
		kind, name := placeOf(t, disk, edited, at)
		kinds[kind]++
		switch err := w.Apply(page, at); {
		case kind == "other":
			if err != nil || !bytes.Equal(page, flipped) {
				t.Errorf("physical %d: %v; want it as it is", at, err)
			}
		case fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), name):
			t.Errorf("physical %d, bit %d: %v; want an error about %s", at, bit, err, name)
		}
	}
	for _, kind := range []string{"tree", "super", "edited", "other"} {
		if kinds[kind] == 0 {
			t.Errorf("nothing of kind %s was there", kind)
		}
	}
}

// editedSectors returns the logical address of each sector of the fstab by the
// physical one.
func editedSectors(t *testing.T, disk *imgtest.MemDisk) map[int64]ondisk.Logical {
	t.Helper()
	v, err := open(t, disk).Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	extents, err := v.Extents("@/etc/fstab")
	if err != nil {
		t.Fatal(err)
	}
	sectors := map[int64]ondisk.Logical{}
	for _, e := range extents {
		for i := int64(0); i < e.Length; i += ondisk.SectorSize {
			sectors[int64(e.Physical)+e.Offset+i] = e.Logical + ondisk.Logical(e.Offset+i)
		}
	}
	return sectors
}

// placeOf says what stands in a page, and how an error about it names it.
func placeOf(t *testing.T, disk *imgtest.MemDisk, edited map[int64]ondisk.Logical, at int64) (kind, name string) {
	t.Helper()
	if l, ok := edited[at]; ok {
		return "edited", fmt.Sprintf("file data at logical %d", l)
	}
	for _, m := range ondisk.SuperMirrors {
		if int64(m) == at {
			return "super", fmt.Sprintf("superblock at %d", at)
		}
	}
	for _, c := range open(t, disk).Chunks() {
		for _, s := range c.Chunk.Stripes {
			if from := int64(s.Offset); c.Chunk.Type&ondisk.GroupData == 0 && at >= from && at < from+int64(c.Chunk.Length) {
				l := int64(c.Logical) + at - from
				return "tree", fmt.Sprintf("tree block %d:", l-l%ondisk.NodeSize)
			}
		}
	}
	return "other", ""
}

// tamper changes the only leaf of a tree, in all its copies, and makes its
// checksum right.
func tamper(t testing.TB, disk *imgtest.MemDisk, tree uint64, change func(leaf []byte, items []ondisk.Item)) {
	t.Helper()
	f := open(t, disk)
	ref, err := f.RootRef(tree)
	if err != nil {
		t.Fatal(err)
	}
	shared, _, err := f.ReadBlock(ref)
	if err != nil {
		t.Fatal(err)
	}
	raw := bytes.Clone(shared)
	items, err := ondisk.DecodeLeaf(raw)
	if err != nil {
		t.Fatal(err)
	}
	change(raw, items)
	ondisk.CRC32C.Seal(raw)
	copies, err := f.Copies(ref.Bytenr, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range copies {
		if _, err := disk.WriteAt(raw, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}

// tamperSuper changes a copy of the superblock and makes its checksum right.
func tamperSuper(t testing.TB, disk *imgtest.MemDisk, mirror int, change func(super []byte)) {
	t.Helper()
	at, b := int64(ondisk.SuperMirrors[mirror]), make([]byte, ondisk.SuperSize)
	if _, err := disk.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	change(b)
	ondisk.CRC32C.Seal(b)
	if _, err := disk.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// dataOf returns the data of the first item of a type.
func dataOf(t testing.TB, items []ondisk.Item, kind ondisk.Type) []byte {
	t.Helper()
	for _, item := range items {
		if item.Key.Type == kind {
			return item.Data
		}
	}
	t.Fatalf("no item %v", kind)
	return nil
}

// metaChunk returns the data of the first chunk item of metadata.
func metaChunk(t testing.TB, items []ondisk.Item) []byte {
	t.Helper()
	for _, item := range items {
		if c, _, err := ondisk.DecodeChunk(item.Data); item.Key.Type == ondisk.TypeChunkItem && err == nil && c.Type&ondisk.GroupMetadata != 0 {
			return item.Data
		}
	}
	t.Fatal("no chunk of metadata")
	return nil
}

// lastKey returns where the key of the last item of a leaf is encoded.
func lastKey(leaf []byte, items []ondisk.Item) []byte {
	return leaf[ondisk.HeaderSize+(len(items)-1)*ondisk.ItemHeaderSize:][:0:ondisk.KeySize]
}

// refused fails the test unless Prepare refuses a disk.
func refused(t *testing.T, disk *imgtest.MemDisk, class fault.Class, want string, edits ...identity.Edit) {
	t.Helper()
	w, err := identity.Prepare(disk, disk.Size(), identity.FromSeed(newSeed, ""), edits)
	if w != nil || fault.ClassOf(err) != class || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Prepare: %v; want an error of class %d with %q", err, class, want)
	}
}
