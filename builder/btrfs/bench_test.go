package btrfs

import (
	"fmt"
	"os"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// BenchmarkWrite writes the reference userland from its directory.
func BenchmarkWrite(b *testing.B) {
	dir := userland.Reference(b).Dir
	for _, level := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("zstd %d", level), func(b *testing.B) {
			benchmarkWrite(b, Params{Compression: Compression{level}}, func() *fstree.Tree {
				tree, err := fstree.ScanDir(b.Context(), dir, fstree.DirOptions{})
				if err != nil {
					b.Fatal(err)
				}
				return tree
			})
		})
	}
}

// BenchmarkSmallFiles writes trees of small files: the time for a file should
// not depend on their number.
func BenchmarkSmallFiles(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkWrite(b, Params{Compression: Compression{3}}, func() *fstree.Tree { return imgtest.SmallFiles(n) })
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "us/file")
		})
	}
}

func benchmarkWrite(b *testing.B, p Params, tree func() *fstree.Tree) {
	b.ReportAllocs()
	name := b.TempDir() + "/fs"
	for b.Loop() {
		t := tree()
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		result, err := Write(b.Context(), f, t, p)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
		b.SetBytes(result.DataBytes)
	}
}
