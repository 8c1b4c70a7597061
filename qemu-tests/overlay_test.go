package qemutests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestOverlay starts over an image, then over what has become of it or over
// another: only the same image may be gone on with.
func TestOverlay(t *testing.T) {
	imgtest.Need(t, "qemu-img")
	written := time.Unix(1_700_000_000, 123)
	tests := []struct {
		name   string
		change func(t *testing.T, image, state string) (next string)
		want   string // of the error
	}{
		{"the same", func(_ *testing.T, image, _ string) string { return image }, ""},
		{"by another name", func(_ *testing.T, image, _ string) string {
			return filepath.Dir(image) + "/./disk.img"
		}, ""},
		{"another image", func(t *testing.T, image, _ string) string {
			other := image + ".other"
			writeImage(t, other, 1<<20, written)
			return other
		}, "disk.img, expected over "},
		{"written again", func(t *testing.T, image, _ string) string {
			writeImage(t, image, 1<<20, written.Add(1))
			return image
		}, "what it was before it was written again"},
		{"another size", func(t *testing.T, image, _ string) string {
			writeImage(t, image, 2<<20, written)
			return image
		}, "what it was before it was written again"},
		{"no record", func(t *testing.T, image, state string) string {
			if err := os.Remove(filepath.Join(state, "disk0.backing")); err != nil {
				t.Fatal(err)
			}
			return image
		}, "an unknown image"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state, image := t.TempDir(), filepath.Join(t.TempDir(), "disk.img")
			writeImage(t, image, 1<<20, written)
			first, err := overlay(Disk{File: image, Format: "raw"}, 0, state)
			if err != nil || !isFile(first) {
				t.Fatalf("overlay = %q, %v", first, err)
			}
			again, err := overlay(Disk{File: tt.change(t, image, state), Format: "raw"}, 0, state)
			if tt.want == "" {
				if err != nil || again != first {
					t.Errorf("again: %q, %v; want %q", again, err, first)
				}
				return
			}
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) || !strings.Contains(fault.HintOf(err), state) {
				t.Errorf("again: %v (hint %q); want an error of class Input with %q", err, fault.HintOf(err), tt.want)
			}
		})
	}
}

// writeImage makes a file of zeros that was written at a time.
func writeImage(t *testing.T, name string, size int, at time.Time) {
	t.Helper()
	if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}
