package bootmenu

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// Where kernels are: a folder for each of ours, and those of NixOS side by side.
const (
	kernelsDir = "/mkimage"
	nixosDir   = "/EFI/nixos"
)

// removeStale removes entries that are not of these two systems, of ours and of a NixOS,
// whose names lead to the new system now; and then kernels that no entry names.
func (r *replacement) removeStale() error {
	names, err := listFiles(r.fs, entriesDir)
	if err != nil {
		return err
	}
	used := map[string]bool{} // files, and their folders
	for _, name := range names {
		file := path.Join(entriesDir, name)
		text, err := durable.Read(r.fs, file, maxEntry)
		if err != nil {
			return err
		}
		entry, err := bls.ParseEntry(text)
		if err != nil {
			continue // not ours
		}
		if (strings.HasPrefix(name, "mkimage-") || strings.HasPrefix(name, "nixos-")) && r.entries[name] == nil && name != r.beforeName() {
			if err := r.remove(file); err != nil {
				return err
			}
			continue
		}
		for _, f := range entry.Files() {
			used[f], used[path.Dir(f)] = true, true
		}
	}
	if err := r.removeNixOSFiles(used); err != nil {
		return err
	}
	return r.removeKernels(used)
}

// removeNixOSFiles removes what NixOS's own builder would remove.
func (r *replacement) removeNixOSFiles(used map[string]bool) error {
	names, err := listFiles(r.fs, nixosDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		file := path.Join(nixosDir, name)
		if used[file] {
			continue
		}
		if err := r.remove(file); err != nil {
			return err
		}
	}
	return durable.Sync(r.fs, nixosDir) // of one that was stopped before it did
}

func (r *replacement) removeKernels(used map[string]bool) error {
	names, err := r.fs.List(kernelsDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		dir := path.Join(kernelsDir, name)
		info, err := r.fs.Lstat(dir)
		if err != nil {
			return err
		}
		if !info.Mode.IsDir() || used[dir] {
			continue
		}
		files, err := r.fs.List(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := r.remove(path.Join(dir, file)); err != nil {
				return err
			}
		}
		if err := r.remove(dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *replacement) remove(name string) error {
	if err := r.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.Sync(r.fs, path.Dir(name))
}
