package identity_test

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// BenchmarkPrepare reads the trees of 50,000 files.
func BenchmarkPrepare(b *testing.B) {
	disk := write(b, system(b, imgtest.SmallFiles(50_000), oldSeed, 1), oldSeed, btrfs.Params{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identity.Prepare(disk, disk.Size(), identity.FromSeed(newSeed, ""), fstabEdits); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply changes all used chunks of a file system that is tree blocks for
// the most part, and of one that is file data. Reading them is not measured.
func BenchmarkApply(b *testing.B) {
	data := func() *fstree.Tree {
		tree := fstree.New()
		in := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: 256 << 20, Content: imgtest.Fill(256<<20, imgtest.Random, 1)}
		if _, err := tree.Root().Add("data", in); err != nil {
			b.Fatal(err)
		}
		return tree
	}
	for name, tree := range map[string]*fstree.Tree{"metadata": inlineFiles(b, 15_000), "data": data()} {
		disk := write(b, system(b, tree, oldSeed, 1), oldSeed, btrfs.Params{})
		w := prepare(b, disk, fstabEdits...)
		offsets := chunksOf(disk, 1<<20)
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 1<<20)
			var total int64
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				total = 0
				for _, at := range offsets {
					chunk := buf[:min(int64(len(buf)), disk.Size()-at)]
					b.StopTimer()
					if _, err := disk.ReadAt(chunk, at); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					if err := w.Apply(chunk, at); err != nil {
						b.Fatal(err)
					}
					total += int64(len(chunk))
				}
			}
			b.SetBytes(total)
		})
	}
}
