package btrfs

import (
	"math"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// TestInvalidInodes gives what no file system can hold, and the last that it
// can.
func TestInvalidInodes(t *testing.T) {
	regular := func(change func(*fstree.Inode)) *fstree.Inode {
		in := &fstree.Inode{Mode: fstree.TypeRegular | 0o644}
		change(in)
		return in
	}
	xattrs := func(list ...fstree.Xattr) *fstree.Inode {
		return regular(func(in *fstree.Inode) { in.Xattrs = list })
	}
	compression := func(value string) *fstree.Inode {
		return xattrs(fstree.Xattr{Name: compressionXattr, Value: []byte(value)})
	}
	tests := []struct {
		name  string
		inode *fstree.Inode
		want  string
	}{
		{"mode bits", regular(func(in *fstree.Inode) { in.Mode |= 1 << 16 }), "f: unknown file type in mode 0300644"},
		{"nul in target", &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: "a\x00b"}, `f: symlink target "a\x00b" holds a NUL byte`},
		{"negative size", regular(func(in *fstree.Inode) { in.Size = -1 }), "f: size -1, expected 0 to"},
		{"longest", regular(func(in *fstree.Inode) { in.Size = maxFileSize }), ""},
		{"too long", regular(func(in *fstree.Inode) { in.Size = maxFileSize + 1 }), "expected 0 to 9223372036854644735"},
		{"longest of all", regular(func(in *fstree.Inode) { in.Size = math.MaxInt64 }), "f: size 9223372036854775807"},
		{"last nanosecond", regular(func(in *fstree.Inode) { in.Nsec = 999_999_999 }), ""},
		{"a second", regular(func(in *fstree.Inode) { in.Nsec = 1_000_000_000 }), "with 1000000000 nanoseconds"},
		{"last uid", regular(func(in *fstree.Inode) { in.UID, in.GID = noID-1, noID-1 }), ""},
		{"no uid", regular(func(in *fstree.Inode) { in.UID = noID }), "f: owner 4294967295:0"},
		{"no gid", regular(func(in *fstree.Inode) { in.GID = noID }), "f: owner 0:4294967295"},
		{"xattr nul", xattrs(fstree.Xattr{Name: "user.a\x00b"}), "holds a NUL byte"},
		{"xattr twice", xattrs(fstree.Xattr{Name: "user.a"}, fstree.Xattr{Name: "user.a"}), "xattr user.a is there twice"},
		{"zstd", compression("zstd:3"), ""},
		{"lzo", compression("lzo"), ""},
		{"none", compression("none"), ""},
		{"reset", compression(""), ""},
		{"unknown", compression("foo"), `btrfs.compression="foo", expected zstd, zlib, lzo, no or none`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstree.New()
			addInode(t, tree.Root(), "f", test.inode)
			if test.want != "" {
				writeFails(t, tree, Params{}, fault.Input, test.want)
				return
			}
			image, _ := writeImage(t, tree, Params{})
			checkAll(t, image)
		})
	}
}

// TestCompressionFlags checks the inode flags that go with the xattr.
func TestCompressionFlags(t *testing.T) {
	for value, want := range map[string]uint64{
		"zstd": ondisk.InodeCompress, "lzo:1": ondisk.InodeCompress, "none": ondisk.InodeNoCompress, "no": ondisk.InodeNoCompress, "": 0,
	} {
		if got := compressionFlags([]fstree.Xattr{{Name: compressionXattr, Value: []byte(value)}}); got != want {
			t.Errorf("%q: flags %#x; want %#x", value, got, want)
		}
	}
}

// TestSettle writes file systems whose first metadata chunk ends at every block
// of the last trees, with a leaf of the free space tree just full: there a
// chunk without free space needs fewer blocks.
func TestSettle(t *testing.T) {
	tree := fstree.New()
	addFile(t, tree, "a", randomBytes(ondisk.SectorSize, 1))
	content := randomBytes(ondisk.StripeLen, 2)
	for i := range 487 {
		content[0], content[1] = byte(i), byte(i>>8)
		addFile(t, tree, string(rune('b'+i%20))+string(rune('a'+i/20)), append([]byte(nil), content...))
	}
	for blocks := uint64(12); blocks < 60; blocks++ {
		image := &memoryImage{map[int64]*[ondisk.SectorSize]byte{}}
		sizes := chunkSizes{system: 1 << 20, firstMeta: blocks * ondisk.NodeSize, maxMeta: blocks * ondisk.NodeSize,
			maxData: ondisk.StripeLen, headroom: 16 << 20, minMeta: 1 << 20}
		if _, err := writeSized(t.Context(), image, tree, Params{}, sizes); err != nil {
			t.Errorf("first chunk of %d blocks: %v", blocks, err)
		}
	}
}
