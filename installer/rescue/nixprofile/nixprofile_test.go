package nixprofile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// newSystem has the generations 1, 2 and 7, of which 2 has lost its system.
func newSystem(t testing.TB) *os.Root {
	t.Helper()
	dir := t.TempDir()
	profiles := filepath.Join(dir, Dir)
	for _, name := range []string{"one", "seven"} {
		if err := os.MkdirAll(filepath.Join(dir, "nix/store", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(profiles, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"system-1-link": "/nix/store/one", "system-2-link": "/nix/store/two", "system-7-link": "/nix/store/seven", "system": "system-7-link",
		temporary: "system-2-link", // a power cut has left it
	} {
		if err := os.Symlink(to, filepath.Join(profiles, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestUse(t *testing.T) {
	root := newSystem(t)
	for _, number := range []int{1, 1, 7} {
		if err := Use(root, number); err != nil {
			t.Fatal(err)
		}
		if got, err := Current(root); got != number || err != nil {
			t.Errorf("Current: %d, %v; want %d", got, err, number)
		}
		if _, err := root.Lstat(filepath.Join(Dir, temporary)); err == nil {
			t.Errorf("%s is left", temporary)
		}
	}
}

func TestUseRefused(t *testing.T) {
	root := newSystem(t)
	for number, want := range map[int]struct {
		class fault.Class
		text  string
	}{0: {fault.Usage, "generation 0: the system has none"}, 2: {fault.Target, "generation 2: "}, 3: {fault.Usage, "generation 3: "}} {
		if err := Use(root, number); fault.ClassOf(err) != want.class || !strings.Contains(err.Error(), want.text) {
			t.Errorf("Use(%d): %v, class %v; want %q", number, err, fault.ClassOf(err), want.text)
		}
		if got, err := Current(root); got != 7 || err != nil {
			t.Errorf("Use(%d): Current is %d, %v; want 7", number, got, err)
		}
	}
}

func TestCurrentRefused(t *testing.T) {
	root := newSystem(t)
	at := filepath.Join(Dir, current)
	if err := root.Remove(at); err != nil {
		t.Fatal(err)
	}
	if _, err := Current(root); fault.ClassOf(err) != fault.Target {
		t.Errorf("without a profile: %v", err)
	}
	for _, to := range []string{"/nix/store/one", "system-01-link", "system--link", "system-x-link"} {
		if err := root.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
		if n, err := Current(root); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), to) {
			t.Errorf("%s: %d, %v", to, n, err)
		}
		if err := root.Remove(at); err != nil {
			t.Fatal(err)
		}
	}
}
