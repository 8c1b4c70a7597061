package check_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// TestDeletionInProgress marks a subvolume as half deleted without deleting
// anything. The kernel would have freed what is before the mark: exactly those
// blocks must be without references now.
func TestDeletionInProgress(t *testing.T) {
	m := makeImage(t, "-n", "4k")
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	blocks := blocksOf(t, f, ondisk.FSTree)
	if blocks[0].level != 1 || len(blocks) < 8 {
		t.Fatalf("tree 5 has level %d and %d blocks, expected level 1 and at least 8", blocks[0].level, len(blocks))
	}
	raw := make([]byte, f.Super().NodeSize)
	if _, err := m.ReadAt(raw, int64(blocks[0].copies[0])); err != nil {
		t.Fatal(err)
	}
	ptrs, err := ondisk.DecodeNode(raw)
	if err != nil {
		t.Fatal(err)
	}
	gone := len(ptrs) / 2
	m.editItem(t, ondisk.RootTree, rootOf(ondisk.FSTree), func(_, d []byte) {
		copy(d[216:], append([]byte{0, 0, 0, 0}, ptrs[gone].Key.Append(nil)...)) // refs, drop_progress
		d[237] = 1                                                               // drop_level
	})
	r := m.run(t, check.Options{Data: true})
	var text strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&text, p)
	}
	for i, p := range ptrs {
		line := fmt.Sprintf("metadata block %d: has an extent item, but nothing refers to it", p.Block)
		if got := strings.Contains(text.String(), line); got != (i < gone) {
			t.Errorf("child %d of %d, of which %d are gone: reported as unreferenced: %v\n%s", i, len(ptrs), gone, got, text.String())
		}
	}
	if line := "subvolume 5: refs 0, but no ORPHAN_ITEM"; !strings.Contains(text.String(), line) {
		t.Errorf("not reported: %s", line)
	}
	if strings.Contains(text.String(), "INODE") || strings.Contains(text.String(), "nlink") {
		t.Errorf("inodes of a deleted subvolume were checked:\n%s", text.String())
	}
}
