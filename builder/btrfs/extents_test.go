package btrfs

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestInlineRefLimit shares one extent among as many files as an extent item
// has references for, and one more and one fewer.
func TestInlineRefLimit(t *testing.T) {
	if maxInlineRefs != 33 {
		t.Fatalf("maxInlineRefs = %d; want 33", maxInlineRefs)
	}
	content := randomBytes(5000, 1)
	for _, files := range []int{maxInlineRefs - 1, maxInlineRefs, maxInlineRefs + 1, 500} {
		tree := fstree.New()
		for i := range files {
			addFile(t, tree, fmt.Sprint(i), content)
		}
		image, result := writeImage(t, tree, Params{})
		checkAll(t, image)
		if want := int64(8192); result.StoredBytes != want {
			t.Errorf("%d files: %d bytes stored; want %d", files, result.StoredBytes, want)
		}
	}
}

// TestSharedWithinFile repeats blocks inside one file, so that one inode has
// many references to one extent, also to a plain extent that is still growing.
func TestSharedWithinFile(t *testing.T) {
	a, b := randomBytes(blockSize, 1), randomBytes(blockSize, 2)
	zero := make([]byte, blockSize)
	for name, content := range map[string][]byte{
		"aaaa": bytes.Repeat(a, 4), "abab": bytes.Repeat(append(a, b...), 40),
		"aabbaa": bytes.Join([][]byte{a, a, b, b, a, a}, nil), "zeros": bytes.Repeat(zero, 100),
		"tail": append(bytes.Repeat(a, 2), a[:5000]...),
	} {
		for _, level := range []int{0, 3} {
			tree := fstree.New()
			addFile(t, tree, "one", content)
			addFile(t, tree, "two", content)
			image, _ := writeImage(t, tree, Params{Compression: Compression{level}, Snapshots: nil})
			checkAll(t, image)
			imgtest.NeedRoot(t)
			m := imgtest.MountImage(t, image, imgtest.MountOptions{})
			imgtest.CompareMounted(t, tree, nil, m.Dir, imgtest.CompareOptions{})
			imgtest.Scrub(t, m.Dir)
			m.Unmount(t)
			if t.Failed() {
				t.Fatalf("content %s at level %d", name, level)
			}
		}
	}
}

// TestSharedExtentDoesNotGrow writes a file that starts with the content of an
// earlier one: what follows must not lengthen the earlier file's extent.
func TestSharedExtentDoesNotGrow(t *testing.T) {
	tree := fstree.New()
	long := randomBytes(blockSize+ondisk.SectorSize, 1)
	for _, name := range []string{"a1", "a2"} {
		addFile(t, tree, name, long[:blockSize])
	}
	for _, name := range []string{"b1", "b2"} {
		addFile(t, tree, name, long)
	}
	image, _ := writeImage(t, tree, Params{})
	checkAll(t, image)
	if extents := extentsOf(t, image, "b1"); len(extents) != 2 {
		t.Errorf("b1: %d extents; want one shared and one of its own", len(extents))
	}
}

// TestEmitKeyed gives references with equal hashes.
func TestEmitKeyed(t *testing.T) {
	refs := []hashedRef{{hash: 9}, {hash: 7}, {hash: 5}, {hash: 5}, {hash: 5}, {hash: 1}}
	var got []uint64
	err := emitKeyed(4096, refs, func(k ondisk.Key, data []byte) error {
		if k.ObjectID != 4096 || k.Type != ondisk.TypeExtentDataRef || len(data) != ondisk.ExtentDataRefSize {
			t.Errorf("key %v with %d bytes", k, len(data))
		}
		got = append(got, k.Offset)
		return nil
	})
	if want := "[1 5 6 7 8 9]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("offsets %v, %v; want %s", got, err, want)
	}
}

// TestMergeRefs adds up equal references.
func TestMergeRefs(t *testing.T) {
	v := &volume{id: 5, snapshots: []*volume{{id: 300}}}
	refs := appendRefs(nil, extentRef{vol: v, ino: 257, offset: 0, count: 1})
	refs = appendRefs(refs, extentRef{vol: v, ino: 258, offset: 4096, count: 2})
	refs = appendRefs(refs, extentRef{vol: v, ino: 257, offset: 0, count: 3})
	got := mergeRefs(refs)
	counts := map[ondisk.DataRef]bool{}
	for i, r := range got {
		counts[r.DataRef] = true
		if i > 0 && got[i-1].hash < r.hash {
			t.Errorf("reference %d: hash %d after %d; want descending", i, r.hash, got[i-1].hash)
		}
	}
	for _, root := range []uint64{5, 300} {
		for _, want := range []ondisk.DataRef{{Root: root, ObjectID: 257, Count: 4}, {Root: root, ObjectID: 258, Offset: 4096, Count: 2}} {
			if !counts[want] {
				t.Errorf("no reference %+v in %+v", want, got)
			}
		}
	}
	if len(got) != 4 {
		t.Errorf("%d references; want 4", len(got))
	}
}

// TestCsumItemLimit writes runs of data around what one checksum item holds.
func TestCsumItemLimit(t *testing.T) {
	if got := maxItemSums(4); got != 4057 {
		t.Errorf("maxItemSums(4) = %d; want 4057", got)
	}
	for _, checksum := range []ondisk.ChecksumType{ondisk.CRC32C, ondisk.SHA256} {
		for _, more := range []int{-1, 0, 1} {
			tree := fstree.New()
			addFile(t, tree, "f", randomBytes((maxItemSums(checksum.Size())+more)*ondisk.SectorSize, 1))
			image, _ := writeImage(t, tree, Params{Checksum: checksum})
			checkAll(t, image)
		}
	}
}
