package plan

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// FuzzMake plans on layouts that may be anything: one that resolves holds all
// that a plan is built on, and what profiles and layouts leave to this package
// is an error and no panic.
func FuzzMake(f *testing.F) {
	names, err := filepath.Glob("../../layouts/builtin/*.toml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no built-in layouts: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add([]byte(strings.ReplaceAll(string(data), "@", "")))
	}
	for _, change := range []string{
		"subvolumes = [{name = '@home', mount = '/'}]", "subvolumes = [{name = '!@'}]\nfactory.subvolumes = ['!*']", "persist.subvolume = '@x'", "factory.subvolumes = ['@x']",
		"swapfile.subvolume = '@x'", "esp.size = '4GiB'\nswapfile.image = '16TiB'\nroot.free = '64TiB'",
		"subvolumes = [{name = 'a', mount = '/a'}, {name = '@a', mount = '/b'}]\nfactory.subvolumes = ['a', '@a']",
	} {
		f.Add([]byte("extends = 'impermanence'\n" + change))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "mine.toml"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, _, err := layouts.Load(dir).Resolve("mine", nil)
		if err != nil {
			return
		}
		profile, _, err := profiles.Load().Resolve("bandit-minimal", nil)
		if err != nil {
			t.Fatal(err)
		}
		profile.Layout, profile.Tests.Promises = "mine", nil
		p, err := Make(profile, l, Options{})
		if err != nil {
			return
		}
		made := map[string]bool{}
		for _, s := range p.Subvolumes {
			made[s.Path] = true
		}
		for _, s := range p.Snapshots {
			if !made[s.Source] || made[s.Path] {
				t.Fatalf("snapshot %s of %s; the subvolumes are %v", s.Path, s.Source, made)
			}
			made[s.Path] = true
		}
		InitConfig(p, nil)
		if err := Text(new(bytes.Buffer), p, Look{}); err != nil {
			t.Fatalf("Text: %v", err)
		}
	})
}
