package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestMkfsDiskFull writes onto file systems of several sizes, the last of which
// is large enough: the run must fail with a hint and leave nothing, wherever
// the space ends.
func TestMkfsDiskFull(t *testing.T) {
	imgtest.NeedRoot(t)
	source := t.TempDir()
	// 7 MB: more than the writer buffers, so that it fails in the middle.
	content := bytes.Repeat([]byte("content that is not compressed here\n"), 200<<10)
	if err := os.WriteFile(filepath.Join(source, "file"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, size string
		code       int
	}{
		{"no room for data", "size=1m", 1},
		{"room for some data", "size=6m", 1},
		{"room for all", "size=64m", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := t.TempDir()
			if err := unix.Mount("tmpfs", disk, "tmpfs", 0, tt.size); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(disk, 0); err != nil {
					t.Error(err)
				}
			})
			var out, errs bytes.Buffer
			args := []string{"mkfs", "--from", "dir:" + source, "--compress", "none", "--quiet", "-o", filepath.Join(disk, "fs.img")}
			if code := run(t.Context(), args, stdio{out: &out, err: &errs}); code != tt.code {
				t.Fatalf("exit code %d; want %d\n%s", code, tt.code, &errs)
			}
			if tt.code == 0 {
				return
			}
			if !bytes.Contains(errs.Bytes(), []byte("no space left on device\nmkimage: hint: free space there")) {
				t.Errorf("stderr is %q; want the cause and a hint", &errs)
			}
			if got := names(t, disk); got != "" {
				t.Errorf("the disk holds %s; want nothing", got)
			}
		})
	}
}
