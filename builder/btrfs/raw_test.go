package btrfs

import (
	"bytes"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestRaw stores files of content that compresses well as they are, around the
// largest that goes into the tree and beyond one block, beside files of equal
// content that are compressed and shared.
func TestRaw(t *testing.T) {
	for _, size := range []int{1, maxInline - 1, maxInline, maxInline + 1, ondisk.SectorSize, ondisk.SectorSize + 1, blockSize, 2*blockSize + 1} {
		tree := fstree.New()
		content := bytes.Repeat([]byte("PARTUUID "), size)[:size]
		for _, name := range []string{"packed1", "packed2", "raw1", "raw2"} {
			in := addFile(t, tree, name, content)
			if name[0] == 'r' {
				in.Content = fstree.Raw{Content: in.Content}
			}
			in.Xattrs = []fstree.Xattr{{Name: compressionXattr, Value: []byte("zstd")}}
		}
		image, _ := writeImage(t, tree, Params{Compression: Compression{3}})
		checkAll(t, image)
		seen := map[ondisk.Logical]bool{}
		for _, name := range []string{"raw1", "raw2"} {
			extents := extentsOf(t, image, name)
			if len(extents) != 1 || extents[0].Compression != ondisk.CompressNone || (extents[0].Kind == reader.ExtentInline) != (size <= maxInline) {
				t.Errorf("%s of %d bytes: extents %+v; want one that is plain", name, size, extents)
			}
			if at := extents[0].Logical; at != 0 && seen[at] {
				t.Errorf("%s of %d bytes: shares the extent at %d", name, size, at)
			}
			seen[extents[0].Logical] = true
			if flags := inodeFlags(t, image, name); flags != ondisk.InodeNoCompress {
				t.Errorf("%s: flags %#x; want NOCOMPRESS alone", name, flags)
			}
		}
		if flags := inodeFlags(t, image, "packed1"); flags != ondisk.InodeCompress {
			t.Errorf("packed1: flags %#x; want COMPRESS alone", flags)
		}
		if packed := extentsOf(t, image, "packed1"); size >= maxInline && packed[0].Compression != ondisk.CompressZstd {
			t.Errorf("packed1 of %d bytes: extents %+v; want zstd", size, packed)
		}
	}
}

// TestRawMounted has the kernel read files that are stored as they are, also in
// a subvolume without checksums.
func TestRawMounted(t *testing.T) {
	imgtest.NeedRoot(t)
	tree := fstree.New()
	for _, size := range []int{100, 5000, blockSize + 1} {
		in := addFile(t, tree, string(rune('a'+size%26)), bytes.Repeat([]byte{'x'}, size))
		in.Content = fstree.Raw{Content: in.Content}
	}
	for _, plain := range []bool{false, true} {
		image, _ := writeImage(t, tree, Params{Compression: Compression{3}, Subvolumes: []Subvolume{{Path: "@", NoDataCow: plain}}, Default: "@"})
		checkAll(t, image)
		m := imgtest.MountImage(t, image, imgtest.MountOptions{})
		imgtest.CompareMounted(t, tree, nil, m.Dir, imgtest.CompareOptions{})
		imgtest.Scrub(t, m.Dir)
		m.Unmount(t)
	}
}

func inodeFlags(t *testing.T, image, name string) uint64 {
	t.Helper()
	volume, err := openImage(t, image).Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	info, err := volume.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*reader.Stat).Inode.Flags
}
