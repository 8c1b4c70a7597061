package identity_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

var le = binary.LittleEndian

// set64 sets bits of a number.
func set64(b []byte, bits uint64) { le.PutUint64(b, le.Uint64(b)|bits) }

// TestRefusesSuperblock: features that are not known, and what is not clean.
func TestRefusesSuperblock(t *testing.T) {
	disk := write(t, variants[0].tree(t, oldSeed), oldSeed, btrfs.Params{Size: 512 << 20})
	tests := []struct {
		name   string
		mirror int
		change func(super []byte)
		want   string
	}{
		{"metadata UUID", 0, func(s []byte) { set64(s[188:], ondisk.IncompatMetadataUUID); copy(s[571:587], s[32:48]) }, "feature METADATA_UUID"},
		{"mixed groups", 0, func(s []byte) { set64(s[188:], ondisk.IncompatMixedGroups) }, "feature MIXED_GROUPS"},
		{"unknown feature", 0, func(s []byte) { set64(s[188:], 1<<40) }, "bit 40"},
		{"unknown compat_ro", 0, func(s []byte) { set64(s[180:], 1<<20) }, "compat_ro flags 0x100003"},
		{"seed", 0, func(s []byte) { set64(s[56:], 1<<32) }, "seed of other file systems"},
		{"error", 0, func(s []byte) { set64(s[56:], 1<<2) }, "flag ERROR"},
		{"log tree", 0, func(s []byte) { le.PutUint64(s[96:], 1<<20) }, "log tree"},
		{"devices", 0, func(s []byte) { le.PutUint64(s[136:], 2) }, "2 devices"},
		{"device of another", 0, func(s []byte) { s[283]++ }, "its device belongs to"},
		{"other UUID of the device", 0, func(s []byte) { s[267]++ }, "stripe on device"},
		{"older copy", 1, func(s []byte) { le.PutUint64(s[72:], 0) }, "superblock at 67108864: generation 0, differs"},
		{"copy of another", 1, func(s []byte) { s[32]++ }, "superblock at 67108864: generation 1, differs"},
		{"copy in a wrong place", 1, func(s []byte) { s[48]++ }, "superblock at 67108864: wrong checksum or place"},
		{"no copy", 1, func(s []byte) { clear(s) }, "superblock at 67108864: superblock: magic"},
		{"first is none", 0, func(s []byte) { clear(s) }, "superblock at 65536: damaged"},
		{"too small for any", 0, func(s []byte) { le.PutUint64(s[112:], 64<<10) }, "expected a superblock in it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := disk.Clone()
			tamperSuper(t, bad, test.mirror, test.change)
			refused(t, bad, fault.Input, test.want)
		})
	}
	for _, kind := range []ondisk.ChecksumType{ondisk.XXHash64, ondisk.SHA256, ondisk.BLAKE2b} {
		other := write(t, variants[0].tree(t, oldSeed), oldSeed, btrfs.Params{Checksum: kind})
		refused(t, other, fault.Input, "checksums are "+kind.String()+", expected crc32c")
	}
	refused(t, imgtest.NewMemDisk(1<<20), fault.Input, "not a btrfs file system")
}

// TestRefusesTrees: what trees say that is damaged, or that a mount would go on
// with.
func TestRefusesTrees(t *testing.T) {
	disk := write(t, variants[0].tree(t, oldSeed), oldSeed, btrfs.Params{Size: 512 << 20})
	type change = func(t *testing.T, leaf []byte, items []ondisk.Item)
	tests := []struct {
		name   string
		tree   uint64
		change change
		want   string
		hint   string
	}{
		{"no device", ondisk.ChunkTree, func(_ *testing.T, leaf []byte, _ []ondisk.Item) { leaf[ondisk.HeaderSize+8]-- }, "0 device items", "check"},
		{"another device", ondisk.ChunkTree, func(t *testing.T, _ []byte, items []ondisk.Item) { dataOf(t, items, ondisk.TypeDevItem)[66]++ }, "device 1, UUID", "check"},
		{"device of another", ondisk.ChunkTree, func(t *testing.T, _ []byte, items []ondisk.Item) { dataOf(t, items, ondisk.TypeDevItem)[82]++ }, "device 1, UUID", "check"},
		{"stripe of another", ondisk.ChunkTree, func(t *testing.T, _ []byte, items []ondisk.Item) { metaChunk(t, items)[64]++ }, "stripe on device", "check"},
		{"stripes in one place", ondisk.ChunkTree, func(t *testing.T, _ []byte, items []ondisk.Item) {
			c := metaChunk(t, items)
			copy(c[88:96], c[56:64])
		}, "overlaps chunk", "check"},
		{"data and metadata", ondisk.ChunkTree, func(t *testing.T, _ []byte, items []ondisk.Item) { metaChunk(t, items)[24] |= 1 }, "expected data and metadata apart", "check"},
		{"tree in data", ondisk.ChunkTree, func(t *testing.T, _ []byte, items []ondisk.Item) { metaChunk(t, items)[24] ^= 5 }, "in a chunk of data", "check"},
		{"superblock in a tree block", ondisk.ChunkTree, func(t *testing.T, _ []byte, items []ondisk.Item) {
			le.PutUint64(metaChunk(t, items)[88:], 64<<20)
		}, "superblock at 67108864: stands in tree block", "check"},
		{"deleted subvolume", ondisk.RootTree, func(t *testing.T, _ []byte, items []ondisk.Item) {
			for _, item := range items {
				if item.Key.ObjectID == ondisk.FirstFree && item.Key.Type == ondisk.TypeRootItem {
					clear(item.Data[216:220])
				}
			}
		}, "subvolume 256 is being deleted", "subvolume sync"},
		{"relocation", ondisk.RootTree, func(_ *testing.T, leaf []byte, items []ondisk.Item) {
			ondisk.Key{ObjectID: ondisk.TreeReloc, Type: ondisk.TypeRootItem}.Append(lastKey(leaf, items))
		}, "tree -8 is there", "mount it and unmount"},
		{"balance", ondisk.RootTree, func(_ *testing.T, leaf []byte, items []ondisk.Item) {
			ondisk.Key{ObjectID: ^uint64(3), Type: 248}.Append(lastKey(leaf, items))
		}, "a balance was interrupted", "balance status"},
		{"level", ondisk.RootTree, func(t *testing.T, _ []byte, items []ondisk.Item) { dataOf(t, items, ondisk.TypeRootItem)[238] = 8 }, "level 8", ""},
		{"no tree block", ondisk.RootTree, func(t *testing.T, _ []byte, items []ondisk.Item) { dataOf(t, items, ondisk.TypeRootItem)[176] = 1 }, "tree block", "check"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := disk.Clone()
			tamper(t, bad, test.tree, func(leaf []byte, items []ondisk.Item) { test.change(t, leaf, items) })
			refused(t, bad, fault.Input, test.want)
			if _, err := identity.Prepare(bad, bad.Size(), identity.FromSeed(newSeed, ""), nil); !strings.Contains(fault.HintOf(err), test.hint) {
				t.Errorf("hint %q; want %q", fault.HintOf(err), test.hint)
			}
		})
	}
}

// TestExtentOfZeroUUID: some kernels leave the UUID in a device extent zero.
func TestExtentOfZeroUUID(t *testing.T) {
	disk := write(t, variants[0].tree(t, oldSeed), oldSeed, btrfs.Params{})
	tamper(t, disk, ondisk.DevTree, func(_ []byte, items []ondisk.Item) { clear(dataOf(t, items, ondisk.TypeDevExtent)[32:48]) })
	target := copyAs(t, disk, prepare(t, disk), 1<<20)
	isClean(t, target)
	tamper(t, target, ondisk.DevTree, func(_ []byte, items []ondisk.Item) {
		if d, err := ondisk.DecodeDevExtent(dataOf(t, items, ondisk.TypeDevExtent)); err != nil || d.ChunkUUID != [16]byte{} {
			t.Errorf("UUID %x, %v; want zero", d.ChunkUUID, err)
		}
	})
}

// TestNew: identities that are none, or not another one, and labels around the
// longest.
func TestNew(t *testing.T) {
	disk := write(t, variants[0].tree(t, oldSeed), oldSeed, btrfs.Params{})
	old := identity.FromSeed(oldSeed, "")
	tests := []struct {
		name   string
		change func(*identity.New)
		want   string
	}{
		{"longest label", func(n *identity.New) { n.Label = strings.Repeat("x", 255) }, ""},
		{"long label", func(n *identity.New) { n.Label = strings.Repeat("x", 256) }, "label: 256 bytes, expected at most 255"},
		{"NUL", func(n *identity.New) { n.Label = "a\x00b" }, "holds a NUL byte"},
		{"no fsid", func(n *identity.New) { n.FSID = ids.UUID{} }, "expected none of zeros"},
		{"no chunk tree", func(n *identity.New) { n.ChunkTreeUUID = ids.UUID{} }, "expected none of zeros"},
		{"no device", func(n *identity.New) { n.DeviceUUID = ids.UUID{} }, "expected none of zeros"},
		{"same fsid", func(n *identity.New) { n.FSID = old.FSID }, "that of the original"},
		{"same device", func(n *identity.New) { n.DeviceUUID = old.DeviceUUID }, "that of the original"},
	}
	for _, test := range tests {
		n := identity.FromSeed(newSeed, "")
		test.change(&n)
		w, err := identity.Prepare(disk, disk.Size(), n, nil)
		switch {
		case test.want != "":
			if fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v; want a usage error with %q", test.name, err, test.want)
			}
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
		default:
			target := copyAs(t, disk, w, 1<<20)
			if got := open(t, target).Super().Label; got != n.Label {
				t.Errorf("%s: label %q", test.name, got)
			}
		}
	}
}
