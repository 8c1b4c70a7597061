package loader_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// mediumTree returns the ESP of a medium of two kernels, and its manifest.
func mediumTree(t *testing.T) (*fstree.Tree, *manifest.Manifest) {
	t.Helper()
	return mediumOf(t, loader.SystemdBoot)
}

func mediumOf(t *testing.T, kind string) (*fstree.Tree, *manifest.Manifest) {
	t.Helper()
	p := testPlan(kind)
	p.Medium = &plan.Medium{Name: "stick"}
	p.Entries = []plan.Entry{{ID: "mkimage-stick", Title: "Install bandit", SortKey: "mkimage-1", Cmdline: []string{"mkimage.install"}}}
	source := sourceTree(t, sourceFiles())
	list := kernels(source)
	tree, err := loader.Tree(p, source, loader.System{Kernels: list})
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Put(tree, loader.InstallerPath, []byte("the installer"), epoch); err != nil {
		t.Fatal(err)
	}
	m := &manifest.Manifest{}
	if m.Files, err = loader.Files(tree); err != nil {
		t.Fatal(err)
	}
	for _, k := range list {
		m.Inputs.Kernels = append(m.Inputs.Kernels, manifest.Kernel{
			Version: k.Version, Linux: sha256.Sum256(content(t, k.Image)), Initramfs: sha256.Sum256(k.Initramfs), Words: k.Words,
		})
	}
	return tree, m
}

// TestMediumEntries wants the entries of a medium, and no others, to have the
// archive of the installer after the kernel's own. It is for the newest kernel.
func TestMediumEntries(t *testing.T) {
	tree, _ := mediumTree(t)
	entries := tree.Lookup(bls.EntriesDir).Children()
	if len(entries) != 1 {
		t.Fatalf("%d entries, expected one", len(entries))
	}
	for _, file := range entries {
		e, err := bls.ParseEntry(content(t, file))
		if err != nil || len(e.Initrd) != 2 || !strings.HasSuffix(e.Initrd[0], "/initramfs") || e.Initrd[1] != "/mkimage/installer.cpio" {
			t.Errorf("%s: initrd %q, %v", file.Name, e.Initrd, err)
		}
	}
}

// TestInstalled wants what a medium installs to be the very ESP that a build of
// the same system has.
func TestInstalled(t *testing.T) {
	for _, kind := range []string{loader.SystemdBoot, loader.GRUB} {
		t.Run(kind, func(t *testing.T) { testInstalled(t, kind) })
	}
}

func testInstalled(t *testing.T, kind string) {
	medium, m := mediumOf(t, kind)
	p := testPlan(kind)
	got, err := loader.Installed(p, m, reading(t, medium, ""))
	if err != nil {
		t.Fatal(err)
	}
	source := sourceTree(t, sourceFiles())
	want, err := loader.Tree(p, source, loader.System{Kernels: kernels(source)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(listing(t, want), listing(t, got)); diff != "" {
		t.Errorf("-built +installed:\n%s", diff)
	}
	for e := range want.All() {
		if e.IsRegular() && !bytes.Equal(content(t, e), content(t, got.Lookup(e.Path()))) {
			t.Errorf("%s differs", e.Path())
		}
	}
}

// reading reads files of a tree; that of a path that ends in fails fails.
func reading(t *testing.T, tree *fstree.Tree, fails string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		e := tree.Lookup(path)
		if e == nil || fails != "" && strings.HasSuffix(path, fails) {
			return nil, fault.New(fault.Input, "", "%w", errRead)
		}
		return content(t, e), nil
	}
}

var errRead = errors.New("cannot be read")

func TestInstalledRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, fails string
		change      func(p *plan.Plan, m *manifest.Manifest)
		want        string
		class       fault.Class
	}{
		{"loader", "", func(p *plan.Plan, _ *manifest.Manifest) { p.Profile.Boot.Loader = loader.UKI }, `boot.loader "uki": expected "systemd-boot" or "grub"`, fault.Config},
		{"no kernel", "", func(_ *plan.Plan, m *manifest.Manifest) { m.Inputs.Kernels = nil }, "0 kernels and 2 entries", fault.Input},
		{"no entry", "", func(p *plan.Plan, _ *manifest.Manifest) { p.Entries = nil }, "2 kernels and 0 entries", fault.Input},
		{"other kernel", "", func(_ *plan.Plan, m *manifest.Manifest) { m.Inputs.Kernels[1].Linux[0]++ }, "no files of kernel 6.12.1+deb13-amd64", fault.Input},
		{"other initramfs", "", func(_ *plan.Plan, m *manifest.Manifest) { m.Inputs.Kernels[1].Initramfs[0]++ }, "no files of kernel 6.12.1+deb13-amd64", fault.Input},
		{"other version", "", func(_ *plan.Plan, m *manifest.Manifest) { m.Inputs.Kernels[0].Version = "6.12.1+deb13-amd64" }, "no files of kernel", fault.Input},
		{"program", ".EFI", func(*plan.Plan, *manifest.Manifest) {}, "cannot be read", fault.Input},
		{"kernel", "linux", func(*plan.Plan, *manifest.Manifest) {}, "cannot be read", fault.Input},
		{"initramfs", "initramfs", func(*plan.Plan, *manifest.Manifest) {}, "cannot be read", fault.Input},
	} {
		t.Run(tt.name, func(t *testing.T) {
			medium, m := mediumTree(t)
			p := testPlan(loader.SystemdBoot)
			tt.change(p, m)
			_, err := loader.Installed(p, m, reading(t, medium, tt.fails))
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != tt.class {
				t.Errorf("Installed: %v, class %v; want %q, class %v", err, fault.ClassOf(err), tt.want, tt.class)
			}
		})
	}
}
