package source

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
)

// openConfigured opens a system whose nix.conf has some text, and which has two files
// that are the same.
func openConfigured(t *testing.T, conf string, optimise *bool) (*Source, error) {
	t.Helper()
	dir, etc := t.TempDir(), nixcache.Path("etc").String()
	system := nixcache.Object{Name: "system", References: []string{"etc"}, Files: map[string]nixcache.File{"etc": {Link: etc + "/etc"}, "a": {Content: []byte("same")}}}
	other := nixcache.Object{Name: "etc", Files: map[string]nixcache.File{"etc/nix/nix.conf": {Content: []byte(conf)}, "b": {Content: []byte("same")}}}
	if err := nixcache.Write(dir, "none", []nixcache.Object{system, other}); err != nil {
		t.Fatal(err)
	}
	spec, err := Parse("cache:" + dir + "#" + nixcache.Path("system").String())
	if err != nil {
		t.Fatal(err)
	}
	o := cacheOptions(t)
	o.Nix.Keys, o.Nix.Optimise = []string{nixcache.Key()}, optimise
	return Open(t.Context(), spec, o)
}

// TestOptimise: equal files are linked where the system says so, unless the options say
// otherwise.
func TestOptimise(t *testing.T) {
	on, off := true, false
	const yes, no = "auto-optimise-store = true\n", "cores = 0\n"
	tests := []struct {
		name, conf string
		optimise   *bool
		want       bool
	}{
		{"the system does", yes, nil, true},
		{"the system does not", no, nil, false},
		{"asked for", no, &on, true},
		{"refused", yes, &off, false},
		{"refused whatever the system says", "auto-optimise-store = maybe", &off, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := openConfigured(t, tt.conf, tt.optimise)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			inode := func(path string) *fstree.Inode { return s.Tree.Lookup(path).Inode }
			a, b := inode(nixcache.Path("system").String()+"/a"), inode(nixcache.Path("etc").String()+"/b")
			links := s.Tree.Lookup("nix/store/.links")
			if (a == b) != tt.want || (links != nil) != tt.want || links != nil && !links.MTime().Equal(cacheOptions(t).Epoch) {
				t.Errorf("one file: %v, .links: %v; want %v", a == b, links, tt.want)
			}
		})
	}
	if _, err := openConfigured(t, "auto-optimise-store = maybe", nil); fault.ClassOf(err) != fault.Input {
		t.Errorf("error %v", err)
	}
}
