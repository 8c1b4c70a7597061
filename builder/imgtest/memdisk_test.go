package imgtest

import (
	"bytes"
	"os"
	"testing"
)

// TestMemDisk writes across pages and compares with what a file would hold.
func TestMemDisk(t *testing.T) {
	d := NewMemDisk(3*memPage + 5)
	data := bytes.Repeat([]byte{7}, memPage+2)
	for _, at := range []int64{memPage - 1, 3*memPage + 5 - int64(len(data))} {
		if _, err := d.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
	}
	want := make([]byte, d.Size())
	copy(want[memPage-1:], data)
	copy(want[len(want)-len(data):], data)
	got := make([]byte, len(want)+1)
	if n, err := d.ReadAt(got, 0); n != len(want) || err == nil || !bytes.Equal(got[:n], want) {
		t.Errorf("ReadAt = %d, %v; want %d bytes as written and the end", n, err, len(want))
	}
	if file, err := os.ReadFile(d.File(t)); err != nil || !bytes.Equal(file, want) {
		t.Errorf("File holds other bytes (%v)", err)
	}
	if _, err := d.WriteAt([]byte{1, 2}, d.Size()-1); err == nil {
		t.Errorf("WriteAt over the end: no error")
	}
	c := d.Clone()
	if !c.Equal(d) {
		t.Errorf("a clone differs")
	}
	if _, err := c.WriteAt([]byte{9}, 0); err != nil || c.Equal(d) || d.pages[0][0] != 0 {
		t.Errorf("a clone shares its bytes (%v)", err)
	}
	if n := len(NewMemDisk(1 << 40).Written()); n != 0 {
		t.Errorf("%d pages written in a new disk", n)
	}
}
