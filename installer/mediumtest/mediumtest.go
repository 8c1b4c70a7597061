// Package mediumtest makes small installer media for tests.
package mediumtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Medium is the image of a medium that installs a small system.
type Medium struct {
	Name   string // of the file
	Result *image.Result
}

// Write makes the image of the built-in installer in a file. Its payload has no
// more than what boots; its manifest is signed by sign.
func Write(t testing.TB, name string, sign func(manifest []byte) ([]byte, error)) Medium {
	t.Helper()
	imgtest.NeedSystem(t)
	dir := filepath.Join(t.TempDir(), "system")
	if err := imgtest.System(dir); err != nil {
		t.Fatal(err)
	}
	return write(t, name, source.Spec{Kind: source.Dir, Value: dir}, source.Options{Owner: &fstree.Owner{}}, Plan(t), nil, sign)
}

// WriteRecovery is Write with a payload whose first boot takes in a key and restores a
// home; change says so in its profile, and may change the installer's.
func WriteRecovery(t testing.TB, name string, change func(installer, payload *profiles.Profile), recovery *adjust.Recovery, sign func(manifest []byte) ([]byte, error)) Medium {
	t.Helper()
	imgtest.NeedSystem(t)
	dir := filepath.Join(t.TempDir(), "system")
	if err := imgtest.System(dir); err != nil {
		t.Fatal(err)
	}
	return write(t, name, source.Spec{Kind: source.Dir, Value: dir}, source.Options{Owner: &fstree.Owner{}}, planWith(t, change), recovery, sign)
}

// WriteNixOS is Write with a NixOS as the payload.
func WriteNixOS(t testing.TB, name string, sign func(manifest []byte) ([]byte, error)) Medium {
	t.Helper()
	imgtest.NeedSystem(t)
	const label = "26.05"
	dir := t.TempDir()
	objects, err := nixcache.System(label)
	if err != nil {
		t.Fatal(err)
	}
	if err := nixcache.Write(dir, "zstd", objects); err != nil {
		t.Fatal(err)
	}
	spec, err := source.Parse("cache:" + dir + "#" + nixcache.Path(nixcache.Toplevel(label)).String())
	if err != nil {
		t.Fatal(err)
	}
	return write(t, name, spec, source.Options{CacheDir: t.TempDir(), Nix: source.NixOptions{Keys: []string{nixcache.Key()}}}, Plan(t), nil, sign)
}

func write(t testing.TB, name string, spec source.Spec, o source.Options, p *plan.Plan, recovery *adjust.Recovery, sign func(manifest []byte) ([]byte, error)) Medium {
	t.Helper()
	src, err := source.Open(t.Context(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := image.Write(t.Context(), image.Target{Writer: f, Reader: f, Truncate: f.Truncate}, p, image.Inputs{
		Tree: src.Tree, Version: "test", Recovery: recovery, Installer: &image.Installer{Program: []byte("a program"), Key: []byte("a key")}, Sign: sign,
	})
	if err != nil {
		t.Fatal(err)
	}
	return Medium{name, r}
}

// Plan is the plan of the built-in installer.
func Plan(t testing.TB) *plan.Plan {
	t.Helper()
	return planWith(t, func(_, _ *profiles.Profile) {})
}

func planWith(t testing.TB, change func(installer, payload *profiles.Profile)) *plan.Plan {
	t.Helper()
	resolve := func(name string) (profiles.Profile, layouts.Layout) {
		p, _, err := profiles.Load().Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := layouts.Load().Resolve(p.Layout, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p, l
	}
	installer, shape := resolve("bandit-installer")
	payload, layout := resolve(installer.Payload)
	installer.Rescue = profiles.Rescue{} // which the small systems of tests have no programs for
	change(&installer, &payload)
	p, err := plan.MakeMedium(installer, shape, payload, layout, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
