package reader_test

import (
	"io"
	"io/fs"
	"os"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// BenchmarkReadAll opens an image of the kind that mkimage makes and reads
// every file: MKIMAGE_BENCH_DIR names the tree that goes into it.
func BenchmarkReadAll(b *testing.B) {
	source := os.Getenv("MKIMAGE_BENCH_DIR")
	if source == "" {
		b.Skip("MKIMAGE_BENCH_DIR is not set")
	}
	imgtest.Need(b, "mkfs.btrfs")
	img := mkfs(b, 8<<30, "--rootdir", source, "--compress", "zstd:3")
	b.ReportAllocs()
	for b.Loop() {
		v := volume(b, open(b, img), "")
		var total int64
		err := fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			file, err := v.Open(name)
			if err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, file)
			total += n
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(total)
	}
}
