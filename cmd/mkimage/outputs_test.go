package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestPublishOrder takes a file from beside the image away while it is being
// made: the image must not get its name, because it comes last, and nothing may
// be left under a temporary one.
func TestPublishOrder(t *testing.T) {
	for _, missing := range []string{"", "first", "second"} {
		t.Run("missing "+missing, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "disk.img")
			o, err := openOutputs(name, filepath.Join(dir, "lock"))
			if err != nil {
				t.Fatal(err)
			}
			defer o.discard()
			for _, beside := range []string{"first", "second"} {
				if err := o.writeFile(filepath.Join(dir, beside), []byte(beside)); err != nil {
					t.Fatal(err)
				}
			}
			if missing != "" {
				if err := os.Remove(filepath.Join(dir, missing+partialSuffix)); err != nil {
					t.Fatal(err)
				}
			}
			if err := o.publish(); (err == nil) != (missing == "") {
				t.Errorf("publish: %v", err)
			}
			o.discard()
			if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) != (missing != "") {
				t.Errorf("image: %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*"+partialSuffix)); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}
