package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// newOutputs begins an image disk.img in dir, with two files beside it.
func newOutputs(t *testing.T, dir string) *outputs {
	t.Helper()
	f := buildFlags{output: filepath.Join(dir, "disk.img"), format: formatRaw}
	f.lock = filepath.Join(dir, "lock")
	o, err := f.openOutputs("fox", modePlain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.discard)
	for _, beside := range []string{"first", "second"} {
		if err := o.writeFile(filepath.Join(dir, beside), []byte(beside)); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// TestPublishOrder lets the publishing of files fail in many places: the image
// must not get its name then, because it comes last, and nothing may be left
// under a temporary one.
func TestPublishOrder(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(o *outputs) error
		want  string // what there is in the end
	}{
		{"nothing fails", func(*outputs) error { return nil }, "disk.img first second"},
		{"the first is gone", func(o *outputs) error { return os.Remove(o.files[0].file.Name()) }, ""},
		{"the second is gone", func(o *outputs) error { return os.Remove(o.files[1].file.Name()) }, "first"},
		{"the second cannot be synced", func(o *outputs) error { return o.files[1].file.Close() }, ""},
		{"the image cannot be synced", func(o *outputs) error { return o.image.file.Close() }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := newOutputs(t, dir)
			if err := tt.spoil(o); err != nil {
				t.Fatal(err)
			}
			if err := o.publish(); (err == nil) != (tt.name == "nothing fails") {
				t.Errorf("publish: %v", err)
			}
			o.discard()
			if got := names(t, dir); got != tt.want {
				t.Errorf("the folder holds %q; want %q", got, tt.want)
			}
		})
	}
}

func TestCheckApart(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	tests := []struct {
		image, lock string
		ok          bool
	}{
		{"disk.img", "fox.lock.json", true},
		{"disk.img", "disk.img.lock.json", true},
		{"disk.img", "sub/disk.img", true},
		{"disk.img", "disk.img", false},
		{"disk.img", "./sub/../disk.img", false},
		{"disk.img", filepath.Join(dir, "disk.img"), false},
		{"disk.img", "disk.img.partial", false},
		{"disk.img.partial", "disk.img", false},
		{"disk.img", "disk.img.manifest.json", false},
		{"disk.img", "disk.img.manifest.json.partial", false},
		{"disk.img", "disk.img.spdx.json", false},
		{"fox.lock.json", "fox.lock.json", false},
	}
	for _, tt := range tests {
		err := checkApart(tt.image, tt.lock)
		if (err == nil) != tt.ok || err != nil && fault.ClassOf(err) != fault.Usage {
			t.Errorf("image %s, lock %s: %v; want it allowed: %t", tt.image, tt.lock, err, tt.ok)
		}
	}
}

func TestImageMode(t *testing.T) {
	hash := map[string]string{"fox": "$y$"}
	tests := []struct {
		source    string
		passwords map[string]string
		want      os.FileMode
	}{
		{"debian:trixie", nil, 0o666},
		{"debian:trixie", hash, 0o600},
		{"dir:/", nil, 0o600},
		{"tar:root.tar", nil, 0o600},
		{"tar:root.tar", hash, 0o600},
	}
	for _, tt := range tests {
		if got := imageMode(tt.source, tt.passwords); got != tt.want {
			t.Errorf("%s, passwords %v: %v; want %v", tt.source, tt.passwords, got, tt.want)
		}
	}
}
