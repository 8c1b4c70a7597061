package check_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// named reports whether some problem's place holds the text.
func named(r *check.Report, text string) bool {
	for _, p := range r.Problems {
		if strings.Contains(p.Where, text) {
			return true
		}
	}
	return false
}

// positions returns all bytes of a block's header, and every 97th of the rest
// with its last one.
func positions(size int) []int {
	var at []int
	for i := range size {
		if i < ondisk.HeaderSize || i%97 == 0 || i == size-1 {
			at = append(at, i)
		}
	}
	return at
}

// TestFlipOneCopy flips the same byte of one copy of every tree block, and
// demands that each of them is named and nothing else.
func TestFlipOneCopy(t *testing.T) {
	m := makeImage(t, "--csum", "crc32c")
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	blocks := allBlocks(t, f)
	for which := range 2 {
		for _, at := range positions(int(f.Super().NodeSize)) {
			bad := m.clean()
			for _, b := range blocks {
				bad.flip(t, b.copies[which]+ondisk.Physical(at))
			}
			r := bad.run(t, check.Options{})
			for _, b := range blocks {
				want := fmt.Sprintf("metadata block %d (copy %d of 2, physical %d), tree %d", b.bytenr, which+1, b.copies[which], int64(b.tree))
				if !named(r, want) {
					t.Fatalf("byte %d of copy %d flipped in all blocks: none of %d problems is about %q", at, which+1, r.Found, want)
				}
			}
			if r.Found != int64(len(blocks)) || len(r.Skipped) > 0 {
				t.Fatalf("byte %d of copy %d flipped in %d blocks: %d problems, skipped %q", at, which+1, len(blocks), r.Found, r.Skipped)
			}
		}
	}
}

// TestFlipAllCopies damages one block at a time beyond repair. The reader may
// refuse to open the file system, but then it must name the block, too.
func TestFlipAllCopies(t *testing.T) {
	m := makeImage(t, "-n", "4k")
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range allBlocks(t, f) {
		for _, at := range []int{0, 33, 50, 87, 100, 2000, 4095} {
			bad := m.clean()
			for _, c := range b.copies {
				bad.flip(t, c+ondisk.Physical(at))
			}
			if _, err := bad.open(); err != nil {
				if !strings.Contains(err.Error(), fmt.Sprintf("tree block %d", b.bytenr)) {
					t.Fatalf("block %d: Open = %v; want the block named", b.bytenr, err)
				}
				continue
			}
			r := bad.run(t, check.Options{Data: true})
			for i, c := range b.copies {
				if want := fmt.Sprintf("metadata block %d (copy %d of 2, physical %d), tree %d", b.bytenr, i+1, c, int64(b.tree)); !named(r, want) {
					t.Fatalf("byte %d: none of the problems is about %q: %v", at, want, r.Problems)
				}
			}
			// What follows from the unreadable block must not be reported as damage of its own.
			if r.Found != 2 {
				t.Fatalf("block %d of tree %d: %d problems, want 2: %v", b.bytenr, int64(b.tree), r.Found, r.Problems)
			}
		}
	}
}

// TestFlipData flips a byte in every sector of file data, one copy at a time.
func TestFlipData(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		copies int
	}{
		{"single", nil, 1},
		{"twice", []string{"-d", "dup"}, 2},
		{"blake2", []string{"--csum", "blake2"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := makeImage(t, c.args...)
			f, err := m.open()
			if err != nil {
				t.Fatal(err)
			}
			size := f.Super().Checksum.Size()
			for which := range c.copies {
				var wants []string
				bad := m.clean()
				for item, err := range f.Items(ondisk.CsumTree, ondisk.Key{}, ondisk.Key{ObjectID: ^uint64(0)}) {
					if err != nil {
						t.Fatal(err)
					}
					for i := range len(item.Data) / size {
						at := ondisk.Logical(item.Key.Offset) + ondisk.Logical(i*ondisk.SectorSize)
						copies, err := f.Copies(at, ondisk.SectorSize)
						if err != nil {
							t.Fatal(err)
						}
						bad.flip(t, copies[which]+ondisk.Physical(i*131%ondisk.SectorSize))
						wants = append(wants, fmt.Sprintf("data extent %d+4096 (subvolume 5, inode ", at))
						wants = append(wants, fmt.Sprintf("(copy %d of %d, physical %d)", which+1, c.copies, copies[which]))
					}
				}
				r := bad.run(t, check.Options{Data: true})
				for _, want := range wants {
					if !named(r, want) {
						t.Errorf("none of the problems is about %q", want)
					}
				}
				if r.Found != int64(len(wants)/2) || !named(r, `("/text"), file offset 4096)`) {
					t.Errorf("%d problems, want %d and the second sector of /text: %v", r.Found, len(wants)/2, r.Problems)
				}
				if r := bad.run(t, check.Options{}); r.Found != 0 {
					t.Errorf("without Options.Data: %d problems, want none", r.Found)
				}
			}
		})
	}
}

// TestFlipSuper flips bytes of the second copy of the superblock.
func TestFlipSuper(t *testing.T) {
	m := makeImage(t)
	for at := range ondisk.SuperSize {
		if at > 600 && at%97 != 0 || at >= 4 && at < ondisk.ChecksumSize {
			continue // the rest of the checksum's field is not covered, as in the kernel
		}
		bad := m.clean()
		bad.flip(t, ondisk.SuperMirrors[1]+ondisk.Physical(at))
		r := bad.run(t, check.Options{})
		if r.Found != 1 || !named(r, "superblock copy 2 at physical 67108864") {
			t.Fatalf("byte %d: %v; want one problem about copy 2", at, r.Problems)
		}
	}
}
