package nixcache

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Environment is that of Nix in a test: no configuration of the machine counts, and no
// root is needed. Dir is for what it writes besides a store.
func Environment(dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "NIX_CONF_DIR=" + dir,
		"NIX_CONFIG=build-users-group =\nsubstituters =\nfilter-syscalls = false\n",
	}
}

// CopyToStore has Nix copy objects with all that they refer to from a cache, signed with a
// key, into a store below a folder. The cache is not changed.
func CopyToStore(ctx context.Context, cache, key, store string, paths ...string) error {
	work, err := os.MkdirTemp("", "nixcache-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work+"/cache", os.DirFS(cache)); err != nil { // Nix makes folders in one that it reads
		return err
	}
	args := append([]string{"--extra-experimental-features", "nix-command", "copy", "--from", "file://" + work + "/cache", "--to", store,
		"--option", "trusted-public-keys", key}, paths...)
	cmd := exec.CommandContext(ctx, "nix", args...)
	cmd.Env = Environment(work)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nix copy: %w\n%s", err, out)
	}
	return nil
}

// Writable lets whoever made a store remove it: Nix makes its directories read-only.
func Writable(store string) error {
	return filepath.WalkDir(store, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(name, 0o755)
		}
		return err
	})
}
