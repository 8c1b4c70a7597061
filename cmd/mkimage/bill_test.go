package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// systemOf returns the tree of a directory of files.
func systemOf(t *testing.T, files map[string]string) *fstree.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := fstree.ScanDir(t.Context(), dir, fstree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestOSID(t *testing.T) {
	const etc, usr = "etc/os-release", "usr/lib/os-release"
	pad := func(size int) string { return "ID=a\n" + strings.Repeat("#", size-5) }
	tests := []struct {
		name string
		in   map[string]string
		want string
	}{
		{"plain", map[string]string{etc: "NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\n"}, "ubuntu"},
		{"quoted, no new line", map[string]string{etc: `ID="Kali"`}, "kali"},
		{"in usr", map[string]string{usr: "ID='debian'\n"}, "debian"},
		{"both", map[string]string{etc: "ID=a\n", usr: "ID=b\n"}, "a"},
		{"no ID", map[string]string{etc: "VERSION_ID=1\n"}, ""},
		{"empty", map[string]string{etc: ""}, ""},
		{"no file", nil, ""},
		{"a directory", map[string]string{etc + "/x": ""}, ""},
		{"below the limit", map[string]string{etc: pad(maxRelease - 1)}, "a"},
		{"at the limit", map[string]string{etc: pad(maxRelease)}, "a"},
		{"above the limit", map[string]string{etc: pad(maxRelease + 1)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := osID(systemOf(t, tt.in)); got != tt.want {
				t.Errorf("osID = %q; want %q", got, tt.want)
			}
		})
	}
}

// TestMakeBill looks at what the bills of several builds say.
func TestMakeBill(t *testing.T) {
	var f planFlags
	f.size, f.source = "auto", "dir:system"
	first, _, err := f.makePlan("bandit-minimal")
	if err != nil {
		t.Fatal(err)
	}
	f.sets = []string{"hostname=other"}
	second, _, err := f.makePlan("bandit-minimal")
	if err != nil {
		t.Fatal(err)
	}
	src := &source.Source{Tree: systemOf(t, map[string]string{"etc/os-release": "ID=ubuntu\n"}),
		Packages: []source.Package{{Name: "bash", Version: "5", Architecture: "amd64"}},
		Objects:  []storedb.Object{{Path: nix.StorePath{Hash: strings.Repeat("0", 32), Name: "hello-2.12"}}}}
	seen := map[string]bool{}
	for _, tt := range []struct {
		name   string
		plan   *plan.Plan
		digest string
	}{{"one", first, "sha256:00"}, {"another source", first, "sha256:01"}, {"another plan", second, "sha256:00"}} {
		data, err := makeBill(tt.plan, src, tt.digest)
		if err != nil {
			t.Fatal(err)
		}
		var bill struct{ DocumentNamespace string }
		if err := json.Unmarshal(data, &bill); err != nil {
			t.Fatal(err)
		}
		if bill.DocumentNamespace == "" || seen[bill.DocumentNamespace] {
			t.Errorf("%s: namespace %q is not its own", tt.name, bill.DocumentNamespace)
		}
		seen[bill.DocumentNamespace] = true
		for _, want := range []string{"pkg:deb/ubuntu/bash@5?arch=amd64", "pkg:nix/hello@2.12?outputhash=0"} {
			if !strings.Contains(string(data), want) {
				t.Errorf("the bill has no %s:\n%s", want, data)
			}
		}
	}
}
