package source

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nixos"
)

const golden = "../nix/testdata/golden"

func goldenKey(t *testing.T) string {
	t.Helper()
	key, err := os.ReadFile(golden + "/key.pub")
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// cacheOptions are those of a test with an empty cache directory.
func cacheOptions(t *testing.T) Options {
	t.Helper()
	return Options{CacheDir: t.TempDir(), Epoch: time.Unix(1_700_000_000, 0), Nix: NixOptions{Keys: []string{goldenKey(t)}, CacheSize: 1 << 30}}
}

func openGolden(t *testing.T, url string, o Options) (*Source, error) {
	t.Helper()
	spec, err := Parse("cache:" + url + "#" + system)
	if err != nil {
		t.Fatal(err)
	}
	return Open(t.Context(), spec, o)
}

// TestOpenCache: a system out of a folder, out of another by HTTP, and without
// network out of what was kept, is the same.
func TestOpenCache(t *testing.T) {
	server := httptest.NewServer(http.FileServer(http.Dir(golden + "/cache-xz")))
	defer server.Close()
	var digest, tree string
	var kept Options
	check := func(name, url string, o Options) {
		t.Helper()
		s, err := openGolden(t, url, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer s.Close()
		if all, err := nixos.Generations(s.Tree); err != nil || len(all) != 1 || all[0].Spec.Toplevel.String() != system {
			t.Errorf("%s: generations %v, %v", name, all, err)
		}
		if len(s.Objects) != 13 {
			t.Errorf("%s: %d objects; want 13", name, len(s.Objects))
		}
		d, err := s.Digest(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all, err := treeDigest(context.Background(), s.Tree)
		if err != nil {
			t.Fatal(err)
		}
		if digest == "" {
			digest, tree = d, all
		}
		if d != digest || all != tree || !strings.HasPrefix(d, "closure-sha256:") {
			t.Errorf("%s: digests %s %s; want %s %s", name, d, all, digest, tree)
		}
	}
	check("folder", golden+"/cache-zstd", cacheOptions(t))
	kept = cacheOptions(t)
	check("HTTP", server.URL, kept)
	server.Close()
	kept.Nix.Offline = true
	check("offline", server.URL, kept)
	other := cacheOptions(t)
	other.Nix.Substituters = []string{"file://" + abs(t, golden+"/cache-xz")}
	empty := t.TempDir()
	if err := os.WriteFile(empty+"/nix-cache-info", []byte("StoreDir: /nix/store\nPriority: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check("substituter", empty, other)
	var told []string
	gone := cacheOptions(t)
	gone.Nix.Substituters = []string{"file:///absent"}
	gone.Nix.Note = func(text string) { told = append(told, text) }
	check("substituter that is gone", golden+"/cache-zstd", gone)
	if len(told) != 1 || !strings.Contains(told[0], "/absent") || !strings.HasSuffix(told[0], "going on without this cache") {
		t.Errorf("told %q", told)
	}
}

func abs(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenCacheErrors(t *testing.T) {
	tests := []struct {
		name, url string
		change    func(o *Options)
		class     fault.Class
		want      string
	}{
		{"no cache directory", golden + "/cache-zstd", func(o *Options) { o.CacheDir = "" }, fault.Config, "needs a cache directory"},
		{"default key", golden + "/cache-zstd", func(o *Options) { o.Nix.Keys = nil }, fault.Input, "fixture-1"},
		{"bad key", golden + "/cache-zstd", func(o *Options) { o.Nix.Keys = []string{"x"} }, fault.Config, "x"},
		{"no folder", "/absent", func(*Options) {}, fault.Input, "/absent/nix-cache-info: is not in the cache"},
		{"bad substituter", golden + "/cache-zstd", func(o *Options) { o.Nix.Substituters = []string{"s3://x"} }, fault.Config, "s3"},
		{"offline", "https://host.invalid", func(o *Options) { o.Nix.Offline = true }, fault.Input, "was not fetched before"},
		{"packages", golden + "/cache-zstd", func(o *Options) { o.Packages = []string{"vim"} }, fault.Config, "packages cannot be added"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := cacheOptions(t)
			dir := o.CacheDir
			tt.change(&o)
			_, err := openGolden(t, tt.url, o)
			if fault.ClassOf(err) != tt.class || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v (class %d); want class %d with %q", err, fault.ClassOf(err), tt.class, tt.want)
			}
			if left, _ := filepath.Glob(dir + "/*.partial"); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}

// TestCacheSize: of what was fetched no more is kept than was asked for.
func TestCacheSize(t *testing.T) {
	for _, size := range []int64{0, 10_000, 1 << 30} {
		o := cacheOptions(t)
		o.Nix.CacheSize = size
		var told []string
		o.Nix.Note = func(text string) { told = append(told, text) }
		s, err := openGolden(t, golden+"/cache-zstd", o)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a build closes it early, and at its end whatever happened
			if err := s.Close(); err != nil || len(told) > 0 {
				t.Fatal(err, told)
			}
		}
		var total int64
		files, _ := filepath.Glob(o.CacheDir + "/nar/*-*")
		all, _ := os.ReadDir(o.CacheDir + "/nar")
		for _, f := range all {
			info, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			total += info.Size()
		}
		if total > size || size > 1<<20 && total == 0 || len(files) > 0 {
			t.Errorf("%d bytes are kept of at most %d", total, size)
		}
	}
}
