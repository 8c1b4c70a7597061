// Package nixfixture makes a system in the shape of NixOS, without nixpkgs: a closure in a
// signed binary cache and in a store, which boots.
//
// Its programs and its kernel are those of Debian, put into store objects by Nix as
// Debian has it. The shape is that of NixOS 26.05: the toplevel with its bootspec and a
// specialisation, /etc in the store, an activation that decrypts what sops encrypted, a
// store that is mounted read-only, and each kind of stage 1. It mounts what the layout
// btrfs-laptop has, by the labels that this has.
//
// The running system says on its serial console what became of the boot, see ParseReport.
// Words on the kernel command line make it do more: fixture.second builds, with the Nix
// of the guest and without a network, a second generation that boots next, and
// fixture.poweroff ends the guest after the report. A test agent in the credential
// mkimage.agent is started.
//
// What differs from NixOS: Debian's binaries find their libraries by links in the root that
// the activation makes, or the init where there is none; the kernel has the modules of virtual machines alone; there is no
// firmware and no login.
package nixfixture

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"embed"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

//go:embed system
var system embed.FS

// programs are the sources of those that the fixture has of ours.
//
//go:embed cmd etcimage/etcimage.go
var programs embed.FS

//go:embed testdata/age.key
var ageKey string

//go:embed testdata/secrets.yaml
var secrets []byte

// Stage1 is a kind of NixOS's initrd, and of the toplevel that goes with it.
type Stage1 string

// The kinds of stage 1.
const (
	Scripted Stage1 = "scripted" // init is a script
	Systemd  Stage1 = "systemd"  // init is systemd; prepare-root is what stage 1 runs before it
	// NixosInit has a program as init which nothing in the toplevel makes ready, and its /etc
	// as an image; secrets come by a unit.
	NixosInit Stage1 = "nixos-init"
)

var stages = []Stage1{Scripted, Systemd, NixosInit}

// Options say which system is wanted. The zero value is the one with a scripted stage 1.
type Options struct {
	Stage1 Stage1
}

// Fixture is a system. All of them share their folders.
type Fixture struct {
	Cache    string // folder with a binary cache: zstd, signed
	Store    string // root of a store: its objects are in nix/store, its database in nix/var/nix/db
	Key      string // the public key that the cache is signed by, as trusted-public-keys has it
	Toplevel string // the store path of the system, such as /nix/store/HASH-nixos-system-fixture-26.05
}

// The secrets of the system, and what they are when /var/lib/sops-nix/key.txt has AgeKey.
const (
	SecretPath = "/run/secrets/fixture"
	Secret     = "a text that was encrypted"
	// ResticPassword is what Secrets has besides, under the key restic-password.
	ResticPassword = "correct horse battery staple"
)

// AgeKey returns the key of age that the secrets of the system are encrypted to, as a key file
// has it. It is public, and good for nothing else.
func AgeKey() string { return ageKey }

// Secrets returns the file that the system decrypts, as sops encrypted it.
func Secrets() []byte { return bytes.Clone(secrets) }

// Make returns the fixture, which is made when the project's cache has none. That needs
// root, and a network for Debian's packages.
func Make(t testing.TB, o Options) Fixture {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mmdebstrap", "tar", "go", "nix", "nix-build", "nix-store", "cpio", "zstd", "depmod", "readelf")
	f, err := Build(t.Context(), io.Discard, o)
	if err != nil {
		t.Fatalf("fixture of NixOS: %v", err)
	}
	return f
}

// Build returns the fixture from .cache/nixfixture of the project that the working
// directory is in, and makes it there first when it is missing. Two processes that want it
// make it once. What the programs say goes to log; an error has its end.
func Build(ctx context.Context, log io.Writer, o Options) (Fixture, error) {
	if o.Stage1 == "" {
		o.Stage1 = Scripted
	}
	if !slices.Contains(stages, o.Stage1) {
		return Fixture{}, fmt.Errorf("stage 1 %q: expected one of %q", o.Stage1, stages)
	}
	dir, err := folder(ctx, log)
	if err != nil {
		return Fixture{}, err
	}
	top, err := os.ReadFile(filepath.Join(dir, string(o.Stage1)))
	if err != nil {
		return Fixture{}, err
	}
	return Fixture{
		Cache:    filepath.Join(dir, "cache"),
		Store:    filepath.Join(dir, "store"),
		Key:      publicKey(),
		Toplevel: strings.TrimSpace(string(top)),
	}, nil
}

// keyName is the name of the key that signs.
const keyName = "fixture-1"

// signer is the same always, so that a cache is too.
var signer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

func publicKey() string {
	return keyName + ":" + base64.StdEncoding.EncodeToString(signer.Public().(ed25519.PublicKey))
}

// secretKey is the form that Nix reads: the seed and the public key.
func secretKey() string { return keyName + ":" + base64.StdEncoding.EncodeToString(signer) }
