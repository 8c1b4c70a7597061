package storedb

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// fuzzTime is far more than a small database takes, on a busy machine too. One
// that takes longer has pages that form a circle.
const fuzzTime = 20 * time.Second

// maxFuzz bounds a database, in bytes, so that each takes milliseconds.
const maxFuzz = 128 << 10

// FuzzRead reads a database of any bytes: it ends, with objects that Write takes,
// or with an error that is not of this machine.
func FuzzRead(f *testing.F) {
	small := written(f, few())
	open(f, small, "pragma page_size = 512; vacuum") // an eighth of the bytes
	data, err := os.ReadFile(small)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(bytes.Replace(data, []byte("sha256:"), []byte("sha255:"), 1))
	open(f, small, asNix, register(0, 3), "pragma wal_checkpoint(passive)")
	if data, err = os.ReadFile(small); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxFuzz {
			return
		}
		name := inStore(t)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), fuzzTime)
		defer cancel()
		objects, err := Read(ctx, name)
		if ctx.Err() != nil {
			t.Fatalf("did not end in %s", fuzzTime)
		}
		if err != nil {
			if fault.ClassOf(err) != fault.Input {
				t.Errorf("Read = %v; want class input", err)
			}
			return
		}
		// Derivations may have lost their outputs.
		if err := Write(ctx, filepath.Join(t.TempDir(), "again"), objects); err != nil && !strings.Contains(err.Error(), "derivation without outputs") {
			t.Errorf("Write of what was read: %v", err)
		}
		if len(objects) > 0 {
			if _, err := Closure(ctx, name, objects[0].Path); err != nil && fault.ClassOf(err) != fault.Input {
				t.Errorf("Closure = %v; want class input", err)
			}
		}
	})
}
