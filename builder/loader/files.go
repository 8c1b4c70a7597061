package loader

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/uki"
)

// maxFile bounds the files of the source that are read into memory: kernels
// have 15 MiB.
const maxFile = 512 << 20

// efiProgram returns a program of systemd from the source: the signed one
// where there is one, since that starts with and without Secure Boot.
func (b *builder) efiProgram(name string) ([]byte, error) {
	for _, path := range []string{bootDir + name + ".signed", bootDir + name, systemDir + bootDirNixOS + name} {
		e, err := b.source.Follow(path)
		if err != nil {
			return nil, fault.New(fault.Input, "", "boot loader: %w", err)
		}
		if e == nil {
			continue
		}
		data, err := read(e.Path(), e)
		if err != nil {
			return nil, err
		}
		if _, err := uki.ImageSize(data); err != nil {
			return nil, fault.New(fault.Input, "", "boot loader %s: %w", path, err)
		}
		return data, nil
	}
	return nil, fault.New(fault.Input, packageHint, "boot loader: the source has no /%s%s", bootDir, name)
}

// osRelease returns the os-release(5) of the source.
func (b *builder) osRelease() ([]byte, error) {
	for _, path := range []string{"etc/os-release", "usr/lib/os-release", systemDir + "etc/os-release"} {
		if e, err := b.source.Follow(path); err == nil && e != nil && e.IsRegular() {
			return read(path, e)
		}
	}
	return nil, fault.New(fault.Input, "", "boot loader: the source has no /etc/os-release")
}

// read returns the content of a file of the source. Errors call it name: where
// it was is forgotten when the source's tree has let go of it.
func read(name string, e *fstree.Entry) ([]byte, error) {
	if e == nil {
		return nil, fault.New(fault.Input, "", "%s: expected a regular file", name)
	}
	data, err := e.Read(maxFile)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", name, err)
	}
	return data, nil
}

// Files returns what the manifest says of the files of the ESP.
func Files(t *fstree.Tree) ([]manifest.File, error) {
	var list []manifest.File
	for e := range t.All() {
		if !e.IsRegular() {
			continue
		}
		data, err := read(e.Path(), e)
		if err != nil {
			return nil, err
		}
		list = append(list, manifest.File{Path: e.Path(), Size: e.Size, SHA256: sha256.Sum256(data)})
	}
	slices.SortFunc(list, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// Fits checks that what the tree needs, in bytes of clusters, is not more than
// the file system has. The error, of class fault.Target, names every file.
func Fits(t *fstree.Tree, need, capacity int64) error {
	if need <= capacity {
		return nil
	}
	var list strings.Builder
	for e := range t.All() {
		if e.IsRegular() {
			fmt.Fprintf(&list, "\n  %11d /%s", e.Size, e.Path())
		}
	}
	return fault.New(fault.Target, "raise esp.size in the layout by at least the difference, or use fewer kernels",
		"ESP: needs %d bytes, has %d; its files are, in bytes:%s", need, capacity, list.String())
}

// split divides a path into its directory and its last element.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1], path[i+1:]
}
