package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/initramfs"
	"github.com/6FaNcY9/mkimage/profiles"
)

// buildOurs reads the tree of a system, as a build of an image does, and
// writes its initramfs.
func buildOurs(ctx context.Context, root, profile, output string) error {
	p, _, err := profiles.Load().Resolve(profile, nil)
	if err != nil {
		return err
	}
	kernel, err := kernelOf(root)
	if err != nil {
		return err
	}
	tree, err := fstree.ScanDir(ctx, root, fstree.DirOptions{})
	if err != nil {
		return err
	}
	tree.Freeze()
	a, err := initramfs.Build(ctx, initramfs.Params{
		Root: tree, Kernel: kernel, Modules: p.Initramfs.Modules, Firmware: p.Initramfs.Firmware,
		Microcode: p.Initramfs.Microcode, Shell: p.Initramfs.Shell,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(output, a.Data, 0o644)
}

// kernelOf returns the version of the only kernel of a system.
func kernelOf(root string) (string, error) {
	dir := filepath.Join(root, "usr/lib/modules")
	kernels, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(kernels) != 1 {
		return "", fmt.Errorf("%s: %d kernels, expected one", dir, len(kernels))
	}
	return kernels[0].Name(), nil
}
