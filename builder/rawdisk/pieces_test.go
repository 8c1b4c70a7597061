package rawdisk

import (
	"bytes"
	"os"
	"testing"
)

// TestPieces writes pieces of every size around a block at every place around one.
func TestPieces(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		name, want := image(t, 64<<10+sector) // with sectors of 512 bytes it ends within a block
		node := loop(t, name, sector)
		d := Pieces{open(t, node, os.O_RDWR)}
		next := byte(0)
		for _, at := range []int64{0, 1, 4095, 4096, 4097, 8191, 8192} {
			for _, n := range []int{0, 1, 4095, 4096, 4097, 8191, 8192, 8193} {
				next++
				p := bytes.Repeat([]byte{next}, n)
				if got, err := d.WriteAt(p, at); err != nil || got != n {
					t.Fatalf("%d bytes at %d: %d, %v", n, at, got, err)
				}
				copy(want[at:], p)
				got := make([]byte, len(want))
				if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes at %d: the disk is not as it should be: %v", n, at, err)
				}
			}
		}
		if n, err := d.WriteAt(make([]byte, 2), int64(len(want))-2); err != nil || n != 2 {
			t.Errorf("the last bytes: %d, %v", n, err)
		}
		for _, at := range []int64{-1, int64(len(want)) - 1} {
			if n, err := d.WriteAt(make([]byte, 2), at); err == nil || n != 0 {
				t.Errorf("2 bytes at %d: %d, %v; want an error", at, n, err)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	name, _ := image(t, 5000)
	d := Pieces{open(t, name, os.O_RDWR)}
	defer d.Close()
	if n, err := d.WriteAt([]byte("xyz"), 4999); err != nil || n != 3 {
		t.Errorf("a file: %d, %v", n, err)
	}
}
