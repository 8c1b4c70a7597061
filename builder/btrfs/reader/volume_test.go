package reader_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// TestSymlinks resolves targets as in a chroot at the root of the volume.
func TestSymlinks(t *testing.T) {
	tests := []struct {
		name, target string
		want         uint64 // inode; 0 is an error
	}{
		{"beside", "below", 265},
		{"up", "../inline", 257},
		{"absolute", "/dir/below", 265},
		{"absolute with dots", "/../dir/./below", 265},
		{"above the root", "../../../inline", 257},
		{"root", "/", 256},
		{"double slash", "..//inline", 257},
		{"through a link", "../link", 265},
		{"through a file", "../inline/..", 0},
		{"into a file", "../inline/.", 0},
		{"dangling", "absent", 0},
		{"into a subvolume and back", "../nested/../inline", 257},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := sampleImage(t)
			im.file(ondisk.FSTree, 264, 400, "symlink", symlink, uint64(len(test.target)), 0)
			im.extent(ondisk.FSTree, 400, 0, ondisk.FileExtent{RAMBytes: uint64(len(test.target)), Inline: []byte(test.target)})
			v := volume(t, openBytes(t, im.build()), "")
			if got, err := v.ReadLink("dir/symlink"); err != nil || got != test.target {
				t.Errorf("ReadLink = %q, %v; want %q", got, err, test.target)
			}
			if info, err := v.Lstat("dir/symlink"); err != nil || info.Mode().Type() != fs.ModeSymlink {
				t.Errorf("Lstat = %v, %v; want a symlink", info, err)
			}
			info, err := v.Stat("dir/symlink")
			if test.want == 0 {
				if err == nil {
					t.Errorf("Stat(%q) succeeded", test.target)
				}
				return
			}
			if err != nil || info.Sys().(*reader.Stat).Ino != test.want {
				t.Errorf("Stat of a link to %q: %v; want inode %d", test.target, err, test.want)
			}
		})
	}
}

// TestSymlinkCount has chains of as many links as may be, and one more.
func TestSymlinkCount(t *testing.T) {
	im := sampleImage(t)
	target := "inline"
	for i := range 41 {
		name := "chain" + strings.Repeat("x", i)
		im.file(ondisk.FSTree, 256, uint64(400+i), name, symlink, uint64(len(target)), 0)
		im.extent(ondisk.FSTree, uint64(400+i), 0, ondisk.FileExtent{RAMBytes: uint64(len(target)), Inline: []byte(target)})
		target = name
	}
	v := volume(t, openBytes(t, im.build()), "")
	if _, err := v.Stat("chain" + strings.Repeat("x", 39)); err != nil {
		t.Errorf("40 links: %v", err)
	}
	if _, err := v.Stat("chain" + strings.Repeat("x", 40)); err == nil || !strings.Contains(err.Error(), "too many levels") {
		t.Errorf("41 links: %v; want too many", err)
	}
}

func TestFileModes(t *testing.T) {
	for mode, want := range map[uint32]fs.FileMode{
		0o100644: 0o644,
		0o104755: 0o755 | fs.ModeSetuid,
		0o102755: 0o755 | fs.ModeSetgid,
		0o101777: 0o777 | fs.ModeSticky,
		0o020620: 0o620 | fs.ModeDevice | fs.ModeCharDevice,
		0o060660: 0o660 | fs.ModeDevice,
		0o010600: 0o600 | fs.ModeNamedPipe,
		0o140600: 0o600 | fs.ModeSocket,
		0o170000: fs.ModeIrregular,
	} {
		im := sampleImage(t)
		im.file(ondisk.FSTree, 256, 400, "file", mode, 0, 0)
		info, err := volume(t, openBytes(t, im.build()), "").Lstat("file")
		if err != nil || info.Mode() != want {
			t.Errorf("mode %o: %v, %v; want %v", mode, info.Mode(), err, want)
		}
	}
}

// TestDeletedSubvolume has one that is deleted but not cleaned away yet.
func TestDeletedSubvolume(t *testing.T) {
	im := sampleImage(t)
	im.deleted = 256
	f := openBytes(t, im.build())
	if list, err := f.Subvolumes(); err != nil || len(list) != 0 {
		t.Errorf("Subvolumes() = %v, %v; want none", list, err)
	}
	if _, err := f.VolumeByID(256); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("VolumeByID = %v; want fs.ErrNotExist", err)
	}
}

// TestDefaultSubvolume reads the entry in the root tree's directory.
func TestDefaultSubvolume(t *testing.T) {
	entry := func(name string, location ondisk.Key) []byte {
		d := ondisk.DirItem{Location: location, Type: ondisk.FileDir, Name: name}
		return d.Append(nil)
	}
	for _, test := range []struct {
		name string
		data []byte
		want uint64
	}{
		{"no entry", nil, ondisk.FSTree},
		{"top level", entry("default", ondisk.Key{ObjectID: 5, Type: ondisk.TypeRootItem, Offset: 1<<64 - 1}), 5},
		{"subvolume", entry("default", ondisk.Key{ObjectID: 256, Type: ondisk.TypeRootItem}), 256},
		{"other name", entry("other", ondisk.Key{ObjectID: 256, Type: ondisk.TypeRootItem}), 0},
		{"other tree", entry("default", ondisk.Key{ObjectID: 7, Type: ondisk.TypeRootItem}), 0},
		{"inode", entry("default", ondisk.Key{ObjectID: 256, Type: ondisk.TypeInodeItem}), 0},
		{"broken", []byte{1}, 0},
	} {
		im := sampleImage(t)
		if test.data != nil {
			im.add(ondisk.RootTree, ondisk.RootTreeDir, ondisk.TypeDirItem, ondisk.NameHash("default"), test.data)
		}
		got, err := openBytes(t, im.build()).DefaultSubvolume()
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("%s: DefaultSubvolume() = %d, %v; want %d", test.name, got, err, test.want)
		}
	}
}

// TestXattrType refuses an entry of a directory among the xattrs.
func TestXattrType(t *testing.T) {
	im := sampleImage(t)
	x := ondisk.DirItem{Type: ondisk.FileRegular, Name: "user.wrong"}
	im.add(ondisk.FSTree, 264, ondisk.TypeXattrItem, ondisk.NameHash(x.Name), x.Append(nil))
	if _, err := volume(t, openBytes(t, im.build()), "").Xattrs("dir"); err == nil || !strings.Contains(err.Error(), "expected an xattr") {
		t.Errorf("Xattrs = %v; want a refusal", err)
	}
}

// TestExtentsOfHoles has holes at the start, explicit and at the end.
func TestExtentsOfHoles(t *testing.T) {
	got, err := volume(t, openBytes(t, sampleImage(t).build()), "").Extents("holes")
	want := []reader.Extent{
		{Length: 8192, Kind: reader.ExtentHole},
		{FileOffset: 8192, Length: 4096, Logical: dataAt, Physical: 4 << 20, DiskLength: 12288, Offset: 4096},
		{FileOffset: 12288, Length: 4096, Kind: reader.ExtentHole},
		{FileOffset: 16384, Length: 4096, Kind: reader.ExtentHole},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Extents: %v (-want +got):\n%s", err, diff)
	}
	for kind, want := range map[reader.ExtentKind]string{
		reader.ExtentData: "data", reader.ExtentInline: "inline", reader.ExtentPrealloc: "prealloc", reader.ExtentHole: "hole", 4: "unknown",
	} {
		if kind.String() != want {
			t.Errorf("String() = %q; want %q", kind, want)
		}
	}
}
