package bootrepair

import (
	"bytes"
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// findKernels puts kernels into the tree that the system has modules of and that were on
// the ESP, which is mounted over the directory that they are installed to.
func (m *menu) findKernels() error {
	var versions []string
	for _, dir := range moduleDirs {
		e, err := m.tree.follow(dir)
		if err != nil || e == nil {
			continue
		}
		for _, c := range e.Children() {
			if c.IsDir() && !slices.Contains(versions, c.Name) {
				versions = append(versions, c.Name)
			}
		}
	}
	found := 0
	for _, version := range versions {
		there, err := m.findKernel(version, len(versions) == 1)
		if err != nil {
			return err
		}
		if there {
			found++
		}
	}
	if found == 0 {
		return fault.New(fault.Input, "take the stick whose payload has one of these kernels, or go back to the factory snapshot",
			"kernel: the system has modules of %s, and its kernels were on the ESP alone", strings.Join(versions, ", "))
	}
	return nil
}

// findKernel reports whether there is a kernel of a version, of which the tree has the
// modules.
func (m *menu) findKernel(version string, only bool) (bool, error) {
	names := []string{"boot/vmlinuz-" + version, moduleDirs[0] + "/" + version + "/vmlinuz", moduleDirs[1] + "/" + version + "/vmlinuz"}
	if only {
		names = append(names, "boot/vmlinuz", "vmlinuz")
	}
	for _, name := range names {
		if e, err := m.tree.follow(name); err == nil && e != nil && e.IsRegular() && e.Size > 0 {
			return true, nil
		}
	}
	image := m.kernelOfESP(version)
	for _, k := range m.stick.Kernels {
		if k.Version == version && image == nil {
			image = k.Image
			m.need(needKernel)
		}
	}
	if image == nil {
		m.notes = append(m.notes, "kernel "+version+" left out: it was on the ESP alone, and the stick has another one")
		return false, nil
	}
	return true, loader.Put(m.tree.Tree, names[0], image, m.plan.Epoch)
}

// kernelOfESP returns a kernel that is on the ESP whole, nil where none is.
func (m *menu) kernelOfESP(version string) []byte {
	for _, pair := range m.pairs(version) {
		return pair.Image
	}
	if m.esp == nil {
		return nil
	}
	if data, err := m.esp.ReadAtMost("vmlinuz-"+version, maxKernel); err == nil && isProgram(data) {
		return data
	}
	return nil
}

// pairs returns the kernels of a version, with the initramfs of each, that are on the ESP
// as their directory says.
func (m *menu) pairs(version string) (list []Kernel) {
	if m.esp == nil {
		return nil
	}
	dirs, err := m.esp.ReadDir(loader.Dir)
	if err != nil {
		return nil
	}
	for _, d := range dirs {
		if !d.IsDir() || !strings.HasPrefix(d.Name(), version+"-") {
			continue
		}
		dir := path.Join(loader.Dir, d.Name())
		linux, err := m.esp.ReadAtMost(dir+"/linux", maxKernel)
		archive, err2 := m.esp.ReadAtMost(dir+"/initramfs", maxKernel)
		if errors.Join(err, err2) == nil && loader.KernelDir(version, linux, archive) == dir {
			list = append(list, Kernel{version, linux, archive})
		}
	}
	return list
}

// findArchives finds the initramfs of each kernel: on the ESP, on the stick, or made anew.
func (m *menu) findArchives(ctx context.Context, s *source.System) error {
	for _, k := range s.Kernels {
		image, err := k.Image.Read(maxKernel)
		if err != nil {
			return fault.New(fault.Input, "", "kernel %s: %w", k.Version, err)
		}
		made := loader.Kernel{Version: k.Version, Image: k.Image, Words: k.Words}
		if made.Initramfs, err = m.archive(ctx, k, image); err != nil {
			return err
		}
		if made.Initramfs == nil && !m.rebuilt {
			return fault.New(fault.Input, "take the stick that was made for this host", "kernel %s: the initramfs made for it was on the ESP alone, and the stick neither has nor makes one", k.Version)
		}
		m.boot.Kernels = append(m.boot.Kernels, made)
	}
	if m.boot.Kernels[0].Initramfs == nil {
		m.notes = append(m.notes, "entries for the factory snapshots and for a shell are left out: there is no initramfs for them")
	}
	return nil
}

func (m *menu) archive(ctx context.Context, k source.Kernel, image []byte) ([]byte, error) {
	for _, pair := range m.pairs(k.Version) {
		if bytes.Equal(pair.Image, image) {
			return pair.Initramfs, nil
		}
	}
	for _, other := range m.stick.Kernels {
		if other.Initramfs != nil && other.Version == k.Version && bytes.Equal(other.Image, image) {
			m.need(needInitramfs)
			return other.Initramfs, nil
		}
	}
	if m.stick.Initramfs == nil {
		return nil, nil
	}
	m.need(needInitramfs)
	return m.stick.Initramfs(ctx, m.tree.Tree, m.plan, k)
}
