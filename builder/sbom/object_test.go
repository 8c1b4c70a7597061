package sbom

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// object returns one with a hash of its own that refers to others.
func object(t *testing.T, digit, name string, references ...nix.StorePath) storedb.Object {
	t.Helper()
	p, err := nix.ParseBase(strings.Repeat(digit, 32) + "-" + name)
	if err != nil {
		t.Fatal(err)
	}
	return storedb.Object{Path: p, NarHash: sha256.Sum256([]byte(name)), NarSize: 1, References: references}
}

// nixSample is a bill of store objects: one refers to itself, two have one name, and
// one has no version.
func nixSample(t *testing.T) Params {
	t.Helper()
	p := sample()
	p.Packages, p.SHA256, p.Source = nil, "", "cache:https://cache.nixos.org#/nix/store/x"
	libc := object(t, "2", "glibc-2.40-66")
	libc.References = []nix.StorePath{libc.Path}
	bin := object(t, "1", "glibc-2.40-66-bin", libc.Path)
	text := object(t, "0", "unit-a+b.service")
	top := object(t, "3", "nixos-system-fox-26.05", text.Path, libc.Path, bin.Path)
	p.Objects = []storedb.Object{top, text, libc, bin}
	return p
}

func TestObjects(t *testing.T) {
	got := encode(t, nixSample(t))
	checkGolden(t, "testdata/nixos.spdx.json", got)
	p := nixSample(t)
	slices.Reverse(p.Objects)
	slices.Reverse(p.Objects[len(p.Objects)-1].References)
	if again := encode(t, p); !bytes.Equal(got, again) {
		t.Error("the order of objects or references counts")
	}
	checkRules(t, got)
}

// TestObjectsAndPackages: a container of Debian with a store has both.
func TestObjectsAndPackages(t *testing.T) {
	p := nixSample(t)
	p.Packages = sample().Packages
	checkRules(t, encode(t, p))
}

func TestObjectsRefuse(t *testing.T) {
	p := nixSample(t)
	p.Objects = p.Objects[:3] // without what the first refers to
	const want = "sbom: store path /nix/store/33333333333333333333333333333333-nixos-system-fox-26.05: refers to " +
		"/nix/store/11111111111111111111111111111111-glibc-2.40-66-bin, which is not among the objects"
	if _, err := SPDX(p); err == nil || err.Error() != want || fault.ClassOf(err) != fault.Config {
		t.Errorf("error %v; want %q of class %d", err, want, fault.Config)
	}
}

func TestObjectURL(t *testing.T) {
	hash := strings.Repeat("0", 32)
	for name, want := range map[string]string{
		"glibc-2.40-66":     "pkg:nix/glibc@2.40-66",
		"glibc-2.40-66-bin": "pkg:nix/glibc@2.40-66",
		"etc":               "pkg:nix/etc",
		"gtk+3-3.24.43":     "pkg:nix/gtk%2B3@3.24.43",
		"a-1?b=c":           "pkg:nix/a@1%3Fb%3Dc",
	} {
		if got := ObjectURL(nix.StorePath{Hash: hash, Name: name}); got != want+"?outputhash="+hash {
			t.Errorf("%s: ObjectURL = %q; want %q", name, got, want)
		}
	}
}
