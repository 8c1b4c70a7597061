package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// made is where the Makefile puts the archive.
const made = "../embedded/programs/busybox.cpio.zst"

// TestBuildReproducible builds once more, from another folder and in another
// environment, and compares with what the Makefile built.
func TestBuildReproducible(t *testing.T) {
	want, err := os.ReadFile(made)
	if err != nil {
		if os.Getenv("MKIMAGE_REQUIRE_TOOLS") == "1" {
			t.Fatalf("%v, expected it from make build", err)
		}
		t.Skip("needs what make build makes")
	}
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, kv := range pinned { // build changes them
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	t.Setenv("GOAMD64", "v3")
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("TMPDIR", t.TempDir())
	output := filepath.Join(dir, "out")
	if err := build(t.Context(), dir, output, io.Discard); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes that differ from the %d of %s", len(got), len(want), made)
	}
}

func TestTools(t *testing.T) {
	commands, err := tools(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	got := names(commands)
	if !slices.IsSorted(got) || !slices.Contains(got, shell) {
		t.Errorf("commands %q; want a sorted list with %s", got, shell)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module m\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tools(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "go.mod has no tools") {
		t.Errorf("tools of a module without: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tools(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "unknown directive") {
		t.Errorf("tools of a broken module: %v", err)
	}
}
