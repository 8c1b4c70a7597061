package btrfs

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// flipped is an image with one byte changed.
type flipped struct {
	io.ReaderAt
	at int64
}

func (f flipped) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.ReaderAt.ReadAt(p, off)
	if i := f.at - off; i >= 0 && i < int64(n) {
		p[i] ^= 0x10
	}
	return n, err
}

// damageFound returns what our checker says about an image, or about opening
// it.
func damageFound(t *testing.T, r io.ReaderAt, size int64) string {
	t.Helper()
	fs, err := reader.Open(r, size)
	if err != nil {
		return err.Error()
	}
	report, err := check.Run(t.Context(), fs, check.Options{Data: true})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(report.Problems)
}

// TestFlippedByte changes one byte in every copy of every tree block, and in
// every sector of data, one at a time: the checker must name the place.
func TestFlippedByte(t *testing.T) {
	tree := nestedTree(t)
	addFile(t, tree, "data", randomBytes(200_000, 1))
	addFile(t, tree, "text", []byte(strings.Repeat("hello, world\n", 5000)))
	image, result := writeImage(t, tree, Params{Compression: Compression{3}, Subvolumes: []Subvolume{{Path: "@"}, {Path: "@a", Source: "a"}}})
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flips := 0
	for _, c := range openImage(t, image).Chunks() {
		step, inside := int64(ondisk.NodeSize), []int64{3, 60, 100, 101, 5000, ondisk.NodeSize - 1}
		if c.Chunk.Type&ondisk.GroupData != 0 {
			step, inside = ondisk.SectorSize, []int64{0, ondisk.SectorSize - 1}
		}
		for at := int64(0); at < int64(c.Chunk.Length); at += step {
			if step == ondisk.NodeSize && !isBlock(t, f, int64(c.Chunk.Stripes[0].Offset)+at) {
				break // chunks are filled from their start
			}
			if step == ondisk.SectorSize && at >= result.StoredBytes {
				break
			}
			for _, s := range c.Chunk.Stripes {
				for _, i := range inside {
					flips++
					physical := int64(s.Offset) + at
					found := damageFound(t, flipped{f, physical + i}, result.Size)
					if !strings.Contains(found, fmt.Sprint(physical)) && !strings.Contains(found, fmt.Sprint(int64(c.Logical)+at)) {
						t.Errorf("byte %d flipped: found %s; want physical %d or logical %d named", physical+i, found, physical, int64(c.Logical)+at)
					}
				}
			}
		}
	}
	if flips < 200 {
		t.Errorf("only %d bytes were flipped", flips)
	}
}

// isBlock reports whether a tree block with a right checksum stands at an
// address.
func isBlock(t *testing.T, r io.ReaderAt, at int64) bool {
	t.Helper()
	block := make([]byte, ondisk.NodeSize)
	if _, err := r.ReadAt(block, at); err != nil {
		t.Fatal(err)
	}
	return ondisk.CRC32C.Verify(block)
}

// TestCheckerAgrees runs the checker over every case, so that TestFlippedByte
// cannot pass by complaining of everything.
func TestCheckerAgrees(t *testing.T) {
	for _, c := range imgtest.Cases() {
		image, _ := writeImage(t, c.Tree(), Params{Compression: Compression{3}})
		ownCheck(t, image)
	}
}
