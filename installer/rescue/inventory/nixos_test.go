package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// nixOS makes a disk with a NixOS of two generations, as the program makes it out of a
// binary cache.
func nixOS(t testing.TB) (string, *plan.Plan) {
	t.Helper()
	imgtest.NeedSystem(t)
	var objects []nixcache.Object
	var tops []string
	for _, label := range []string{"25.11", "26.05"} {
		more, err := nixcache.System(label)
		must(t, err)
		nixcache.SetEtc(more, "hostname", "fox\n")
		nixcache.SetEtc(more, "os-release", "NAME=NixOS\nPRETTY_NAME=\"NixOS "+label+"\"\n")
		objects = append(objects, more...)
		tops = append(tops, nixcache.Path(nixcache.Toplevel(label)).String())
	}
	cache := t.TempDir()
	must(t, nixcache.Write(cache, "none", objects))
	spec, err := source.Parse("cache:" + cache + "#" + strings.Join(tops, ","))
	must(t, err)
	p, _, err := profiles.Load().Resolve("bandit-minimal", nil)
	must(t, err)
	l, _, err := layouts.Load().Resolve(p.Layout, nil)
	must(t, err)
	made, err := plan.Make(p, l, plan.Options{})
	must(t, err)
	src, err := source.Open(t.Context(), spec, source.Options{Epoch: made.Epoch, CacheDir: t.TempDir(), Nix: source.NixOptions{Keys: []string{nixcache.Key()}}})
	must(t, err)
	defer src.Close()
	name := filepath.Join(t.TempDir(), "nixos.img")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	_, err = image.Write(t.Context(), image.Target{Writer: f, Reader: f, Truncate: f.Truncate}, made, image.Inputs{Tree: src.Tree, Version: "test"})
	must(t, err)
	return name, made
}

func TestNixOS(t *testing.T) {
	name, p := nixOS(t)
	inv := take(t, Options{Plan: p}, name)
	// Its initramfs is the real one, which each change of our programs changes.
	inv.Systems[0].ESP.Used, inv.Systems[0].ESP.Free = 14<<20, 1010<<20
	golden(t, "nixos", inv)
}
