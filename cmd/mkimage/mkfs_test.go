package main

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hook calls f at the first write that holds text, before it keeps it. With
// --progress=json it thus acts in the middle of a run.
type hook struct {
	bytes.Buffer
	text string
	f    func()
}

func (h *hook) Write(p []byte) (int, error) {
	if h.f != nil && bytes.Contains(p, []byte(h.text)) {
		h.f()
		h.f = nil
	}
	return h.Buffer.Write(p)
}

// archive writes a tar archive and returns its name. It holds one file, and
// before it a directory whose content btrfs is asked to compress.
func archive(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	compressed := tar.Header{Typeflag: tar.TypeDir, Name: "packed/", Mode: 0o755,
		PAXRecords: map[string]string{"SCHILY.xattr.btrfs.compression": "zstd"}}
	if err := w.WriteHeader(&compressed); err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("content\n", 1000)
	if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "source.tar")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestMkfsMeanwhile lets something happen while a run is under way; it must
// fail with the right code and leave nothing but its source.
func TestMkfsMeanwhile(t *testing.T) {
	tests := []struct {
		name  string
		event func(source string, cancel func())
		code  int
		want  string // on stderr
	}{
		{"nothing", func(string, func()) {}, 0, ""},
		{"the archive changes", func(source string, _ func()) { os.Chtimes(source, time.Unix(1, 0), time.Unix(1, 0)) }, 4, "changed while it was read"},
		{"the archive is cut", func(source string, _ func()) { os.Truncate(source, 3000) }, 4, "mkimage: error: "},
		{"the run is cancelled", func(_ string, cancel func()) { cancel() }, 130, "mkimage: error: interrupted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			source := archive(t, dir)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			errs := &hook{text: `"stage":"write"`, f: func() { tt.event(source, cancel) }}
			args := []string{"mkfs", "--from", "tar:" + source, "--progress=json", "-q", "-o", filepath.Join(dir, "fs.img")}
			code := run(ctx, args, stdio{out: &bytes.Buffer{}, err: errs})
			if code != tt.code || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("exit code %d, stderr %s; want %d and %q", code, errs, tt.code, tt.want)
			}
			want := "source.tar"
			if tt.code == 0 {
				want = "fs.img source.tar"
			}
			if got := names(t, dir); got != want {
				t.Errorf("the folder holds %s; want %s", got, want)
			}
		})
	}
}

// TestMkfsSwapfileCompressed asks for swapfiles below a directory that is to be
// compressed, which the kernel would not swap to, and beside it.
func TestMkfsSwapfileCompressed(t *testing.T) {
	tests := []struct {
		name, path string
		code       int
		want       string
	}{
		{"in it", "packed/swapfile", 2, "btrfs.compression=zstd"},
		{"below it", "packed/deep/swapfile", 2, "btrfs.compression=zstd"},
		{"beside it", "swapfile", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var errs bytes.Buffer
			args := []string{"mkfs", "--from", "tar:" + archive(t, dir), "--swapfile", tt.path + "=1MiB", "-q", "-o", filepath.Join(dir, "fs.img")}
			code := run(t.Context(), args, stdio{out: &bytes.Buffer{}, err: &errs})
			if code != tt.code || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("exit code %d, stderr %s; want %d and %q", code, &errs, tt.code, tt.want)
			}
		})
	}
}
