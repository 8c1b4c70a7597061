package projectcache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProjectRoot(t *testing.T) {
	root, err := projectRoot()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.Contains(string(mod), "module github.com/6FaNcY9/mkimage\n") {
		t.Errorf("projectRoot = %s: %v; want the directory of this module", root, err)
	}
	t.Chdir(t.TempDir())
	if got, err := projectRoot(); err == nil {
		t.Errorf("projectRoot outside of a module = %s; want an error", got)
	}
}

// TestFolder: a folder is made when it is not there, as a whole or not at all.
func TestFolder(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	if err := os.WriteFile("go.mod", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	calls := 0
	failed := errors.New("out of luck")
	get := func(result error) (string, error) {
		return Folder("things", "key", func(dir string) error {
			calls++
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
				t.Errorf("call %d: got a folder with %v, %v; want an empty one", calls, entries, err)
			}
			if err := os.WriteFile(filepath.Join(dir, "part"), nil, 0o644); err != nil {
				t.Error(err)
			}
			return result
		})
	}
	if _, err := get(failed); err != failed {
		t.Errorf("Folder = %v; want %v", err, failed)
	}
	for range 2 {
		dir, err := get(nil)
		if err != nil || dir != filepath.Join(root, ".cache", "things", "key") {
			t.Fatalf("Folder = %s, %v", dir, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "part")); err != nil {
			t.Error(err)
		}
	}
	if calls != 2 {
		t.Errorf("made %d times; want 2: the one that failed, and one more", calls)
	}
}
