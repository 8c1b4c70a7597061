package identity_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

var oldSeed, newSeed = ids.Seed{1}, ids.Seed{2}

// partuuid is the text that the edits of these tests replace.
func partuuid(seed ids.Seed) string { return seed.UUID(ids.Root).String() }

var fstabEdits = []identity.Edit{{Path: "@/etc/fstab", Old: partuuid(oldSeed), New: partuuid(newSeed)}}

// system returns a tree of some files with a raw /etc/fstab of that seed of at
// least size bytes.
func system(t testing.TB, tree *fstree.Tree, seed ids.Seed, size int) *fstree.Tree {
	t.Helper()
	line := "PARTUUID=" + partuuid(seed) + " / btrfs subvol=@ 0 0\n"
	text := strings.Repeat(line, max(1, (size+len(line)-1)/len(line)))
	etc, err := tree.Root().Add("etc", &fstree.Inode{Mode: fstree.TypeDir | 0o755})
	if err != nil {
		t.Fatal(err)
	}
	table := add(t, etc, "fstab", text)
	table.Content = fstree.Raw{Content: table.Content}
	tree.Freeze()
	return tree
}

func add(t testing.TB, dir *fstree.Entry, name, text string) *fstree.Inode {
	t.Helper()
	in := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(text)), Content: fstree.Bytes(text)}
	if _, err := dir.Add(name, in); err != nil {
		t.Fatal(err)
	}
	return in
}

// write writes a tree into subvolume @, with the label of the seed.
func write(t testing.TB, tree *fstree.Tree, seed ids.Seed, p btrfs.Params) *imgtest.MemDisk {
	t.Helper()
	p.Seed, p.Label = seed, label(seed)
	if len(p.Subvolumes) == 0 {
		p.Subvolumes = []btrfs.Subvolume{{Path: "@"}}
	}
	p.Default = "@"
	large := imgtest.NewMemDisk(1 << 40)
	result, err := btrfs.Write(t.Context(), large, tree, p)
	if err != nil {
		t.Fatal(err)
	}
	disk := imgtest.NewMemDisk(result.Size)
	page := make([]byte, ondisk.SectorSize)
	for _, at := range large.Written() {
		move(t, large, disk, page, at)
	}
	return disk
}

// label returns the label that goes with a seed; the old one is the longer.
func label(seed ids.Seed) string { return strings.Repeat("label", 4-int(seed[0])) }

// move copies the bytes at an offset from one disk to another.
func move(t testing.TB, from, to *imgtest.MemDisk, buf []byte, at int64) {
	t.Helper()
	if _, err := from.ReadAt(buf, at); err != nil {
		t.Fatal(err)
	}
	if _, err := to.WriteAt(buf, at); err != nil {
		t.Fatal(err)
	}
}

// prepare prepares the identity of newSeed.
func prepare(t testing.TB, disk *imgtest.MemDisk, edits ...identity.Edit) *identity.Rewrite {
	t.Helper()
	w, err := identity.Prepare(disk, disk.Size(), identity.FromSeed(newSeed, label(newSeed)), edits)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// chunksOf returns the chunks of a grid in which anything was written, in
// random order.
func chunksOf(disk *imgtest.MemDisk, grid int64) []int64 {
	var offsets []int64
	for _, at := range disk.Written() {
		if at -= at % grid; len(offsets) == 0 || offsets[len(offsets)-1] != at {
			offsets = append(offsets, at)
		}
	}
	rand.New(rand.NewPCG(1, uint64(grid))).Shuffle(len(offsets), func(i, j int) { offsets[i], offsets[j] = offsets[j], offsets[i] })
	return offsets
}

// copyAs copies the used chunks of a grid to a new disk as w says.
func copyAs(t testing.TB, disk *imgtest.MemDisk, w *identity.Rewrite, grid int64) *imgtest.MemDisk {
	t.Helper()
	target := imgtest.NewMemDisk(disk.Size())
	for _, at := range chunksOf(disk, grid) {
		buf := make([]byte, min(grid, disk.Size()-at))
		if _, err := disk.ReadAt(buf, at); err != nil {
			t.Fatal(err)
		}
		if err := w.Apply(buf, at); err != nil {
			t.Fatal(err)
		}
		if _, err := target.WriteAt(buf, at); err != nil {
			t.Fatal(err)
		}
	}
	return target
}

func open(t testing.TB, disk *imgtest.MemDisk) *reader.FS {
	t.Helper()
	f, err := reader.Open(disk, disk.Size())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// isClean fails the test when our own checker finds anything.
func isClean(t testing.TB, disk *imgtest.MemDisk) {
	t.Helper()
	report, err := check.Run(t.Context(), open(t, disk), check.Options{Data: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("mkimage check: %v", p)
	}
}

// holdsNone fails the test when the bytes of an identity are anywhere on the
// disk, also across pages.
func holdsNone(t testing.TB, disk *imgtest.MemDisk, n identity.New) {
	t.Helper()
	buf := make([]byte, ondisk.SectorSize+ondisk.UUIDSize)
	for _, at := range disk.Written() {
		part := buf[:min(int64(len(buf)), disk.Size()-at)]
		if _, err := disk.ReadAt(part, at); err != nil {
			t.Fatal(err)
		}
		for name, u := range map[string]ids.UUID{"fsid": n.FSID, "chunk tree UUID": n.ChunkTreeUUID, "device UUID": n.DeviceUUID} {
			if i := bytes.Index(part, u[:]); i >= 0 {
				t.Errorf("physical %d: the old %s", at+int64(i), name)
			}
		}
	}
}

// metaChunks returns in how many chunks of metadata there are tree blocks.
func metaChunks(t testing.TB, disk *imgtest.MemDisk) (n int) {
	t.Helper()
	written := disk.Written()
	for _, c := range open(t, disk).Chunks() {
		from := int64(c.Chunk.Stripes[0].Offset)
		inIt := func(at int64) bool { return at >= from && at < from+int64(c.Chunk.Length) }
		if c.Chunk.Type&ondisk.GroupMetadata != 0 && slices.ContainsFunc(written, inIt) {
			n++
		}
	}
	return n
}

// inlineFiles returns a tree of n files of 2000 bytes.
func inlineFiles(t testing.TB, n int) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for i := range n {
		add(t, tree.Root(), fmt.Sprintf("f%06d", i), strings.Repeat(fmt.Sprintf("%06d ", i), 286)[:2000])
	}
	return tree
}

// textOf returns the content of a file.
func textOf(t testing.TB, disk *imgtest.MemDisk, name string) string {
	t.Helper()
	v, err := open(t, disk).Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := v.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
