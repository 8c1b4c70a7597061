package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestPinned: the hash that Nix is told is one of these sources.
func TestPinned(t *testing.T) {
	data, err := os.ReadFile("../modules.json")
	if err != nil {
		t.Fatal(err)
	}
	var p pin
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatal(err)
	}
	key, err := keyOf(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if p.Key != key {
		t.Errorf("%s is of other modules (key %s, want %s): run make nix-modules", pinFile, p.Key, key)
	}
	if len(p.Hash) != len("sha256-")+44 || !strings.HasPrefix(p.Hash, "sha256-") {
		t.Errorf("hash %q", p.Hash)
	}
}

// TestHash compares with Nix's own.
func TestHash(t *testing.T) {
	imgtest.Need(t, "nix-hash")
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a/b/c.go": 0o644, "a.go": 0o600, "a-b": 0o755, "z/empty": 0o444} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(strings.Repeat(name, len(name)%7)), mode); err != nil {
			t.Fatal(err)
		}
	}
	got, err := hashOf(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("nix-hash", "--type", "sha256", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "sha256-" + base64Of(t, strings.TrimSpace(string(out))); got != want {
		t.Errorf("hash %s; want %s", got, want)
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got, err := hashOf(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), "link: is L") {
		t.Errorf("with a symlink: %s, %v; want an error", got, err)
	}
}

func tree() fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	fsys := fstest.MapFS{
		"a.go":                     file("package a\nimport (\n\"fmt\"\n\"b.org/x\"\n\"github.com/6FaNcY9/mkimage/y\"\n)\n"),
		"sub/a_test.go":            file("package a\nimport _ \"a.org/t\"\n"),
		"sub/a_windows.go":         file("package a\nimport _ \"a.org/w/v2\"\n"),
		"sub/testdata/x.go":        file("package a\nimport _ \"c.org/not\"\n"),
		"_x/x.go":                  file("no Go"),
		"initramfs/busybox/b.go":   file("package b\nimport _ \"d.org/d\"\n"),
		"installer/restic/doc.txt": file("x"),
	}
	for _, dir := range []string{"", "initramfs/busybox/", "installer/restic/"} {
		fsys[dir+"go.mod"], fsys[dir+"go.sum"] = file("module "+dir+"\n"), file("")
	}
	return fsys
}

func TestImports(t *testing.T) {
	got, err := importsOf(tree(), ".")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.org/t", "a.org/w/v2", "b.org/x"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestKey: the key changes with what is vendored, and with nothing else.
func TestKey(t *testing.T) {
	before, err := keyOf(tree())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file, text string
		changes    bool
	}{
		"same":               {"a.go", string(tree()["a.go"].Data), false},
		"code":               {"sub/a_test.go", "package a\nimport _ \"a.org/t\"\nvar x int\n", false},
		"standard library":   {"new.go", "package a\nimport _ \"net/http\"\n", false},
		"package elsewhere":  {"new.go", "package a\nimport _ \"d.org/d\"\n", true},
		"no longer imported": {"a.go", "package a\n", true},
		"go.mod":             {"go.mod", "module x\n", true},
		"nested go.sum":      {"installer/restic/go.sum", "x\n", true},
		"nested import":      {"initramfs/busybox/b.go", "package b\n", true},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		tt := tests[name]
		t.Run(name, func(t *testing.T) {
			fsys := tree()
			fsys[tt.file] = &fstest.MapFile{Data: []byte(tt.text)}
			after, err := keyOf(fsys)
			if err != nil {
				t.Fatal(err)
			}
			if (before != after) != tt.changes {
				t.Errorf("key changes: %t; want %t", before != after, tt.changes)
			}
		})
	}
}

// base64Of writes hexadecimal digits as Nix has them in newer hashes.
func base64Of(t *testing.T, digits string) string {
	t.Helper()
	sum, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(sum)
}
