package check_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// TestTamperSuper changes one field in all copies of the superblock.
func TestTamperSuper(t *testing.T) {
	m := makeImage(t, "--compress", "zstd", "-O", "block-group-tree")
	for _, c := range []struct {
		name string
		edit func(*ondisk.Superblock)
		want string
	}{
		{"bytes_used", func(s *ondisk.Superblock) { s.BytesUsed += 4096 }, "superblock: bytes_used"},
		{"total_bytes", func(s *ondisk.Superblock) { s.TotalBytes -= 4096 }, "its device item has"},
		{"flags", func(s *ondisk.Superblock) { s.Flags |= 4 }, "flags 0x5"},
		{"root directory", func(s *ondisk.Superblock) { s.RootDirObjectID = 5 }, "root directory 5"},
		{"generation", func(s *ondisk.Superblock) { s.Generation++ }, "tree 1: level 0: generation"},
		{"root level", func(s *ondisk.Superblock) { s.RootLevel = 1 }, "tree 1: level 1: level 0, expected 1"},
		{"zstd flag", func(s *ondisk.Superblock) { s.IncompatFlags &^= ondisk.IncompatCompressZSTD }, "without COMPRESS_ZSTD"},
		{"mixed backref", func(s *ondisk.Superblock) { s.IncompatFlags &^= ondisk.IncompatMixedBackref }, "without MIXED_BACKREF"},
		{"skinny metadata", func(s *ondisk.Superblock) { s.IncompatFlags &^= ondisk.IncompatSkinnyMetadata }, "without SKINNY_METADATA"},
		{"no holes", func(s *ondisk.Superblock) { s.IncompatFlags &^= ondisk.IncompatNoHoles }, "BLOCK_GROUP_TREE without"},
		{"block group tree", func(s *ondisk.Superblock) { s.CompatROFlags &^= ondisk.CompatROBlockGroupTree }, "stands in tree 11"},
		{"free space tree", func(s *ondisk.Superblock) { s.CompatROFlags &^= ondisk.CompatROFreeSpaceTree }, "FREE_SPACE_TREE_VALID without FREE_SPACE_TREE"},
		{"device item", func(s *ondisk.Superblock) { s.DevItem.Generation++ }, "device item differs"},
		{"system chunk twice", func(s *ondisk.Superblock) { s.SysChunks = append(s.SysChunks, s.SysChunks[0]) }, "2 system chunks"},
		{"log root", func(s *ondisk.Superblock) { s.LogRoot = 1 << 20 }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := m.clean()
			bad.editSuper(t, c.edit)
			if c.want != "" {
				wantProblem(t, bad, c.want)
				return
			}
			if r := bad.run(t, check.Options{}); len(r.Skipped) != 1 || r.Found != 0 {
				t.Errorf("Run = %+v; want the log tree skipped and nothing found", r)
			}
		})
	}
}

// TestSuperCopy changes the second copy alone.
func TestSuperCopy(t *testing.T) {
	m := makeImage(t)
	for _, c := range []struct {
		name string
		edit func(*ondisk.Superblock)
		want string // "" is no problem
	}{
		{"same", func(*ondisk.Superblock) {}, ""},
		{"older", func(s *ondisk.Superblock) { s.Generation--; s.BytesUsed++ }, ""},
		{"newer", func(s *ondisk.Superblock) { s.Generation++ }, "the copy in use has"},
		{"fsid", func(s *ondisk.Superblock) { s.FSID[3]++ }, "fsid"},
		{"bytenr", func(s *ondisk.Superblock) { s.Bytenr = 65536 }, "says that it stands at 65536"},
		{"label", func(s *ondisk.Superblock) { s.Label = "x" }, "differs from the copy in use"},
		{"checksum type", func(s *ondisk.Superblock) { s.Checksum = ondisk.SHA256 }, "checksum type sha256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := m.clean()
			bad.editSuperAt(t, ondisk.SuperMirrors[1], c.edit)
			r := bad.run(t, check.Options{})
			if c.want == "" {
				wantClean(t, r)
				return
			}
			if r.Found != 1 || !strings.HasPrefix(r.Problems[0].Where, "superblock copy 2") || !strings.Contains(r.Problems[0].What, c.want) {
				t.Errorf("Run = %v; want one problem of copy 2 that says %q", r.Problems, c.want)
			}
		})
	}
}

// TestTamperHeader changes a field of the header of every leaf in turn.
func TestTamperHeader(t *testing.T) {
	m := makeImage(t, "-n", "4k")
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	blocks := allBlocks(t, f)
	for _, c := range []struct {
		name string
		edit func(raw []byte)
		want string
	}{
		{"owner", func(raw []byte) { raw[88] = 99 }, "belongs to tree"},
		{"flags", func(raw []byte) { raw[56] = 0 }, "WRITTEN"},
		{"backref revision", func(raw []byte) { raw[63] = 0 }, "header flags 0x1, expected"},
		{"chunk uuid", func(raw []byte) { raw[70]++ }, "chunk tree UUID"},
		{"generation", func(raw []byte) { raw[80]++ }, "generation"},
		{"fsid", func(raw []byte) { raw[40]++ }, "belongs to file system"},
		{"bytenr", func(raw []byte) { raw[50]++ }, "says that it stands at"},
		{"level", func(raw []byte) { raw[100]++ }, ""},
		{"items", func(raw []byte) { binary.LittleEndian.PutUint32(raw[96:], 1<<31) }, "items"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, b := range blocks {
				if b.level > 0 {
					continue
				}
				bad := m.clean()
				bad.editBlock(t, b, c.edit)
				wantProblem(t, bad, c.want)
			}
		})
	}
}

// TestCopiesDiffer makes two copies of a block that are both right in themselves.
func TestCopiesDiffer(t *testing.T) {
	m := makeImage(t)
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	b := blocksOf(t, f, ondisk.FSTree)[0]
	bad := m.clean()
	second := b
	second.copies = b.copies[1:]
	bad.editBlock(t, second, func(raw []byte) { raw[ondisk.HeaderSize+60*ondisk.ItemHeaderSize+ondisk.KeySize-1]++ })
	if r := bad.run(t, check.Options{}); r.Found != 1 {
		t.Errorf("Run = %v; want one problem", r.Problems)
	}
	bad = m.clean()
	second = blocksOf(t, f, ondisk.DevTree)[0]
	second.copies = second.copies[1:]
	bad.editBlock(t, second, func(raw []byte) { raw[2000]++ }) // in the gap between headers and data
	if r := bad.run(t, check.Options{}); r.Found != 1 || !strings.Contains(r.Problems[0].String(), "(copy 2 of 2") {
		t.Errorf("Run = %v; want one problem about copy 2", r.Problems)
	}
}

// TestKeyRange gives the last item of a leaf a key that belongs in the next
// leaf.
func TestKeyRange(t *testing.T) {
	m := makeImage(t, "-n", "4k")
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	blocks := blocksOf(t, f, ondisk.FSTree)
	if blocks[1].level != 0 || len(blocks) < 3 {
		t.Fatalf("block %+v of %d, expected a leaf of several", blocks[1], len(blocks))
	}
	m.editBlock(t, blocks[1], func(raw []byte) {
		last := int(binary.LittleEndian.Uint32(raw[96:])) - 1
		raw[ondisk.HeaderSize+last*ondisk.ItemHeaderSize+6] = 0x7f // of the objectid
	})
	wantProblem(t, m, "where its parent's next child starts")
}
