// Package projectcache keeps what tests and benchmarks make once: folders below .cache
// of the project that the working directory is in.
package projectcache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Folder returns the folder .cache/NAME/KEY, and has it made first when it is not
// there: build gets an empty folder beside it, which takes its place when build is
// done. Two processes that want a folder of a name make it once. An error of build is
// returned as it is.
func Folder(name, key string, build func(dir string) error) (string, error) {
	root, err := projectRoot()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(root, ".cache", name)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("%s: lock: %w", lock.Name(), err)
	}
	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
		return dir, err
	}
	tmp := dir + ".partial"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", err
	}
	if err := build(tmp); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

func projectRoot() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s: no go.mod here or above", wd)
		}
	}
}
