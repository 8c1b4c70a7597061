package reader_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestKernelWritten has the kernel write one of everything under each
// combination of format options that matters, and compares every file.
func TestKernelWritten(t *testing.T) {
	tests := []struct {
		name  string
		mkfs  []string
		mount string
		want  string // parts of this kind must be among the extents
	}{
		{name: "defaults", want: "data 0"},
		{name: "zstd", mount: "compress-force=zstd", want: "data 3"},
		{name: "zlib xxhash", mkfs: []string{"--csum", "xxhash"}, mount: "compress-force=zlib", want: "data 1"},
		{name: "lzo", mount: "compress-force=lzo", want: "data 2"},
		{name: "lzo inline", mount: "compress=lzo,max_inline=4095", want: "inline 2"},
		{name: "zstd sha256 node 4k", mkfs: []string{"--csum", "sha256", "-n", "4096"}, mount: "compress=zstd", want: "inline 3"},
		{name: "blake2 node 64k", mkfs: []string{"--csum", "blake2", "-n", "65536"}, mount: "compress=zlib", want: "inline 1"},
		{name: "dup data", mkfs: []string{"-d", "dup", "-m", "dup"}, want: "prealloc 0"},
		{name: "single", mkfs: []string{"-m", "single"}, mount: "nodatasum", want: "inline 0"},
		{name: "no data cow", mount: "nodatacow", want: "data 0"},
		{name: "mixed groups", mkfs: []string{"-M"}, mount: "compress=zstd", want: "data 3"},
		{name: "explicit holes", mkfs: []string{"-O", "^no-holes"}, want: "hole 0"},
		{name: "block group tree", mkfs: []string{"-O", "block-group-tree"}, want: "hole 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			imgtest.NeedRoot(t)
			img := mkfs(t, 1<<30, test.mkfs...)
			dir, unmount := mount(t, img, test.mount)
			populate(t, dir)
			unmount()
			dir, _ = mount(t, img, "ro")
			f := open(t, img)
			v := volume(t, f, "")
			if n := compareTrees(t, v, dir); n < 1350 {
				t.Errorf("compared %d files; want at least 1350", n)
			}
			if kinds := kindsOfExtents(t, v); kinds[test.want] == 0 {
				t.Errorf("kinds of extents seen: %v; want %q among them", kinds, test.want)
			}
		})
	}
}

// kindsOfExtents counts extents by kind and compression, and checks that they
// cover each file without gap or overlap.
func kindsOfExtents(t *testing.T, v *reader.Volume) map[string]int {
	t.Helper()
	kinds := map[string]int{}
	err := fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		extents, err := v.Extents(name)
		if err != nil {
			return err
		}
		var next int64
		for _, e := range extents {
			kinds[fmt.Sprint(e.Kind, " ", e.Compression)]++
			if e.FileOffset != next {
				t.Errorf("%q: extent at %d, want %d", name, e.FileOffset, next)
			}
			next = e.FileOffset + e.Length
		}
		if next < info.Size() {
			t.Errorf("%q: extents end at %d, size %d", name, next, info.Size())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return kinds
}

// TestMkfsWritten reads what mkfs.btrfs --rootdir makes, which differs from the
// kernel in details, without root. The large file has three extents where it is
// compressed; fstest.TestFS reads it several times byte by byte.
func TestMkfsWritten(t *testing.T) {
	const large = 270_000
	source := t.TempDir()
	for name, size := range map[string]int{"empty": 0, "inline": 1000, "large": large} {
		if err := os.WriteFile(filepath.Join(source, name), text(size), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("large", filepath.Join(source, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(source, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, compress := range []string{"no", "zstd:3", "zlib:9", "lzo"} {
		t.Run(compress, func(t *testing.T) {
			img := mkfs(t, 256<<20, "--rootdir", source, "--compress", compress)
			v := volume(t, open(t, img), "")
			for name, size := range map[string]int{"empty": 0, "inline": 1000, "large": large, "link": large} {
				got, err := v.ReadFile(name)
				if err != nil || string(got) != string(text(size)) {
					t.Errorf("ReadFile(%q): %d bytes, %v; want %d bytes", name, len(got), err, size)
				}
			}
			if err := fstest.TestFS(v, "empty", "inline", "large", "dir"); err != nil {
				t.Error(err)
			}
		})
	}
}
