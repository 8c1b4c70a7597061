package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestMkfs rewrites a file system of mkfs.btrfs, in which a chunk of metadata
// covers the second superblock, with tree blocks of the smallest, the usual and
// the largest size.
func TestMkfs(t *testing.T) {
	imgtest.Need(t, "mkfs.btrfs", "btrfs")
	source := t.TempDir()
	text := strings.Repeat(partuuid(oldSeed)+"\n", 200)
	if err := os.WriteFile(filepath.Join(source, "fstab"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, nodeSize := range []string{"4096", "16384", "65536"} {
		t.Run(nodeSize, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "fs.img")
			if err := os.WriteFile(image, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(image, 300<<20); err != nil {
				t.Fatal(err)
			}
			run(t, "mkfs.btrfs", "-q", "-n", nodeSize, "--rootdir", source, image)
			disk := load(t, image)
			mirrorIsCovered(t, disk)
			w := prepare(t, disk, identity.Edit{Path: "fstab", Old: partuuid(oldSeed), New: partuuid(newSeed)})
			target := copyAs(t, disk, w, 1<<20)
			isClean(t, target)
			inPlaces(t, disk, target, w.Places())
			imgtest.BtrfsCheck(t, target.File(t))
			super := open(t, disk).Super()
			old := identity.New{FSID: super.FSID, DeviceUUID: super.DevItem.UUID, ChunkTreeUUID: chunkUUID(t, disk)}
			holdsNone(t, allocated(t, target), old)
			if got := textOf(t, target, "fstab"); got != strings.ReplaceAll(text, partuuid(oldSeed), partuuid(newSeed)) {
				t.Errorf("fstab %q", got)
			}
			second := make([]byte, ondisk.SuperSize)
			if _, err := target.ReadAt(second, int64(ondisk.SuperMirrors[1])); err != nil {
				t.Fatal(err)
			}
			if s, err := ondisk.DecodeSuperblock(second); err != nil || s.FSID != newSeed.UUID(ids.BtrfsFSID) {
				t.Errorf("second superblock: %v", err)
			}
		})
	}
}

// allocated returns a disk of the superblocks and of what stands in chunks:
// mkfs.btrfs leaves tree blocks elsewhere, which stay.
func allocated(t *testing.T, disk *imgtest.MemDisk) *imgtest.MemDisk {
	t.Helper()
	some := imgtest.NewMemDisk(disk.Size())
	for _, at := range disk.Written() {
		if kind, _ := placeOf(t, disk, nil, at); kind != "other" {
			move(t, disk, some, make([]byte, ondisk.SectorSize), at)
		}
	}
	return some
}

// mirrorIsCovered fails the test unless a chunk of metadata covers the second
// superblock.
func mirrorIsCovered(t *testing.T, disk *imgtest.MemDisk) {
	t.Helper()
	for _, c := range open(t, disk).Chunks() {
		for _, s := range c.Chunk.Stripes {
			end := s.Offset + ondisk.Physical(c.Chunk.Length)
			if c.Chunk.Type&ondisk.GroupMetadata != 0 && s.Offset <= ondisk.SuperMirrors[1] && ondisk.SuperMirrors[1] < end {
				return
			}
		}
	}
	t.Error("no chunk of metadata covers the second superblock")
}

// chunkUUID returns the UUID of the chunk tree.
func chunkUUID(t *testing.T, disk *imgtest.MemDisk) ids.UUID {
	t.Helper()
	f := open(t, disk)
	ref, err := f.RootRef(ondisk.ChunkTree)
	if err != nil {
		t.Fatal(err)
	}
	_, header, err := f.ReadBlock(ref)
	if err != nil {
		t.Fatal(err)
	}
	return header.ChunkUUID
}
