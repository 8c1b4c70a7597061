package reader

import (
	"context"
	"io/fs"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// FuzzCheck changes bytes of the metadata of a good image: nothing panics or
// runs forever, and what Check finds clean can be read to the end. Each three
// bytes of the input are a place among all bytes of the metadata and the value
// that goes there.
func FuzzCheck(f *testing.F) {
	whole := makeImage(f)
	b := whole.open().boot
	var places []int64
	ranges := [][2]int64{{0, 90}, {510, 2}, {512, 4}, {512 + 484, 28}, {6 * 512, 90}, {b.tableOffset, 60 * 4}, {b.tableOffset + b.tableSize, 60 * 4}}
	for _, dir := range []string{".", "EFI", "EFI/BOOT", "EFI/Linux", "loader", "loader/entries"} {
		extents, err := whole.open().Extents(dir)
		if err != nil {
			f.Fatal(err)
		}
		ranges = append(ranges, [2]int64{extents[0].Physical, 512})
	}
	for _, r := range ranges {
		for i := range r[1] {
			places = append(places, r[0]+i)
		}
	}
	f.Add([]byte{})
	for i := 0; i < len(places); i += imgtest.Stride(3) {
		f.Add([]byte{byte(i), byte(i >> 8), 0})
		if i%4 == 0 {
			f.Add([]byte{byte(i), byte(i >> 8), byte(i * 7)})
		}
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := &image{whole.Clone(), t}
		for ; len(edits) >= 3; edits = edits[3:] {
			m.put(places[(int(edits[0])|int(edits[1])<<8)%len(places)], edits[2])
		}
		fsys, err := Open(m, m.Size())
		if err != nil {
			return
		}
		if len(fsys.Check(context.Background())) > 0 {
			_, _ = fsys.ReadDir("loader/entries")
			_, _ = fsys.ReadFile("BIG.BIN")
			return
		}
		if err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = fsys.ReadFile(name)
			return err
		}); err != nil {
			t.Errorf("clean for Check, but: %v", err)
		}
	})
}
