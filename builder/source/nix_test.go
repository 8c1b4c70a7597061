package source

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
)

// hostStore returns a store of Nix with the golden system.
func hostStore(t *testing.T) string {
	t.Helper()
	imgtest.Need(t, "nix")
	dir := filepath.Join(t.TempDir(), "store")
	t.Cleanup(func() {
		if err := nixcache.Writable(dir); err != nil {
			t.Error(err)
		}
	})
	if err := nixcache.CopyToStore(t.Context(), golden+"/cache-zstd", strings.TrimSpace(goldenKey(t)), dir, system); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openSystem(t *testing.T, o Options) (*Source, error) {
	t.Helper()
	spec, err := Parse("nix:" + system)
	if err != nil {
		t.Fatal(err)
	}
	return Open(t.Context(), spec, o)
}

// TestOpenNix: a store of Nix gives what the cache does that it was filled from.
func TestOpenNix(t *testing.T) {
	o := cacheOptions(t)
	o.CacheDir += "/new" // is made
	o.Nix.Store = hostStore(t)
	var digests [2][2]string
	for i, open := range []func() (*Source, error){
		func() (*Source, error) { return openGolden(t, golden+"/cache-zstd", cacheOptions(t)) },
		func() (*Source, error) { return openSystem(t, o) },
	} {
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if digests[i][0], err = s.Digest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if digests[i][1], err = treeDigest(t.Context(), s.Tree); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("digests %s out of the cache, %s out of the store", digests[0], digests[1])
	}
	left, err := filepath.Glob(o.CacheDir + "/*/*")
	if want := []string{filepath.Join(o.CacheDir, slotsDir, "database.lock")}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left in the cache directory: %q, %v; want %q", left, err, want)
	}
}

func TestOpenNixErrors(t *testing.T) {
	empty := t.TempDir()
	tests := []struct {
		name   string
		change func(o *Options)
		class  fault.Class
		want   string
	}{
		{"no cache directory", func(o *Options) { o.CacheDir = "" }, fault.Config, "needs a cache directory"},
		{"bad key", func(o *Options) { o.Nix.Keys = []string{"x"} }, fault.Config, "x"},
		{"no store", func(o *Options) { o.Nix.Store = empty }, fault.Input, "store " + empty + "/nix/store: no such file or directory"},
		{"packages", func(o *Options) { o.Packages = []string{"vim"} }, fault.Config, "packages cannot be added"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := cacheOptions(t)
			tt.change(&o)
			if _, err := openSystem(t, o); fault.ClassOf(err) != tt.class || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v (class %d); want class %d with %q", err, fault.ClassOf(err), tt.class, tt.want)
			}
		})
	}
}
