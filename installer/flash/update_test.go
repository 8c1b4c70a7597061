package flash_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// TestUpdate changes a disk that has the image, and updates it.
func TestUpdate(t *testing.T) {
	const size, disk = 12 * mib, 14*mib + 512
	b := newImage(t, size, 1, 1, 2, 3, 4, 6, 7, 8, 9)
	for _, tt := range []struct {
		name    string
		at      []int64 // bytes that are changed
		written int64   // chunks
		events  bool
	}{
		{"nothing", nil, 0, false},
		{"unused and free behind the image", []int64{size + 5}, 0, false},
		{"one", []int64{3 * mib}, 3, true}, // and the tables
		{"one byte at the end of a chunk", []int64{4*mib - 1}, 3, true},
		{"both sides of a border", []int64{4*mib - 1, 4 * mib}, 4, true},
		{"the primary table", []int64{600}, 2, true},
		{"the backup table", []int64{size - 100}, 2, true},
		{"zeros that mean something", []int64{5*mib + 9}, 2, true},
		{"the end of the disk", []int64{disk - 1}, 2, true},
		{"most", []int64{1 * mib, 2 * mib, 3 * mib, 4 * mib, 6 * mib, 7 * mib}, 8, true},
	} {
		for _, withManifest := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, manifest %v", tt.name, withManifest), func(t *testing.T) {
				r := &recorder{disk: imgtest.NewMemDisk(disk)}
				put(t, r.disk, 0, b)
				for _, at := range tt.at {
					put(t, r.disk, at, []byte{0x77})
				}
				o := flash.Options{Update: true}
				if withManifest {
					o.Manifest = manifestOf(t, b)
				}
				result, err := run(t, t.Context(), b, r, o)
				if err != nil {
					t.Fatal(err)
				}
				if result.Written != tt.written*mib || (r.writes() > 0) != tt.events || result.Blank {
					t.Errorf("%+v, %d writes; want %d chunks", result, r.writes(), tt.written)
				}
				if want := int64(10-tt.written) * mib; result.Unchanged != want {
					t.Errorf("%d bytes unchanged; want %d", result.Unchanged, want)
				}
				// Zeros that were right are not made again, but for those at the end.
				if right := tt.name != "zeros that mean something" && tt.name != "the end of the disk"; tt.events && right && result.Zeroed != mib+512 {
					t.Errorf("%+v: zeros are made again", result)
				}
				got := bytesOf(t, r.disk)
				if !bytes.Equal(got[:size], b) || tt.events && !zero(got[disk-mib:]) {
					t.Error("the disk is not the image")
				}
			})
		}
	}
}

// TestUpdateMuch updates disks of which much differs: from some point on it is not
// looked for what does not.
func TestUpdateMuch(t *testing.T) {
	const chunks, size = 66, 70 * mib
	var list []int64
	for i := range int64(chunks - 2) {
		list = append(list, i+1)
	}
	b := newImage(t, size, 1, list...)
	for _, tt := range []struct {
		name    string
		changed int // of 64 chunks, from the first on
		all     bool
	}{{"a half", 32, false}, {"more than a half", 36, true}, {"all", 64, true}} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{disk: imgtest.NewMemDisk(size)}
			put(t, r.disk, 0, b)
			for i := range tt.changed {
				put(t, r.disk, int64(i+1)*mib+7, []byte{0x77})
			}
			result, err := run(t, t.Context(), b, r, flash.Options{Update: true, Manifest: manifestOf(t, b)})
			if err != nil {
				t.Fatal(err)
			}
			if (result.Unchanged == 0) != tt.all || !bytes.Equal(bytesOf(t, r.disk), b) {
				t.Errorf("%+v; want all written: %v", result, tt.all)
			}
			if tt.all && result.Compared < int64(chunks)*mib {
				t.Errorf("%+v: not all was read back", result)
			}
		})
	}
}

// TestUpdateLies updates a false disk that an image was written to by others:
// what it has no room for stands in the place of something else.
func TestUpdateLies(t *testing.T) {
	const size = 12 * mib
	b := newImage(t, size, 1, 1, 2, 3, 4, 9, 10)
	r := &recorder{disk: imgtest.NewMemDisk(size)}
	r.write = func(r *recorder, p []byte, off int64) (int, error) { return r.disk.WriteAt(p, off%(8*mib)) }
	r.read = func(r *recorder, p []byte, off int64) (int, error) { return r.disk.ReadAt(p, off%(8*mib)) }
	for at := int64(0); at < size; at += mib {
		if _, err := r.WriteAt(b[at:at+mib], at); err != nil {
			t.Fatal(err)
		}
	}
	result, err := run(t, t.Context(), b, r, flash.Options{Update: true, Manifest: manifestOf(t, b)})
	classIs(t, err, fault.Mismatch)
	if err == nil || !strings.Contains(err.Error(), "more, up to byte") || !result.Blank || hasTable(r, size) {
		t.Errorf("%+v, %v", result, err)
	}
}
