// Package nix_test has Nix evaluate the flake and the module of NixOS against a
// stub of nixpkgs, and compares them with what mkimage itself says.
package nix_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// evaluate decodes what an expression comes to. It may use stub, of testdata, extend and
// module, of this directory, and machine, a module with the least of a system.
func evaluate(t *testing.T, expression string, into any) {
	t.Helper()
	out, err := tryEvaluate(t, expression)
	if err != nil {
		t.Fatalf("%v\n%s", err, expression)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// evalError is what Nix says of an expression that it cannot evaluate.
type evalError string

func (e evalError) Error() string { return string(e) }

func tryEvaluate(t *testing.T, expression string) ([]byte, error) {
	t.Helper()
	imgtest.Need(t, "nix-instantiate")
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	quoted := quote(dir)
	prelude := `let
  dir = /. + ` + quoted + `;
  stub = import (dir + "/testdata/stub.nix");
  extend = import (dir + "/extend.nix");
  module = dir + "/module.nix";
  machine = { mkimage = { enable = true; package = { outPath = "/mkimage"; meta.mainProgram = "mkimage"; }; }; };
  system = definitions: stub.evaluate [ module machine definitions ];
in
`
	cmd := exec.Command("nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "--expr", prelude+expression)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, evalError(stderr.String())
	}
	return out, nil
}

// TestParse: every file of the Nix language is one.
func TestParse(t *testing.T) {
	imgtest.Need(t, "nix-instantiate")
	var files []string
	for _, pattern := range []string{"../flake.nix", "*.nix", "testdata/*.nix"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, names...)
	}
	if len(files) < 10 {
		t.Fatalf("found %q", files)
	}
	out, err := exec.Command("nix-instantiate", append([]string{"--store", "dummy://", "--parse"}, files...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFlake: the flake has what docs/nixos.md says, and all of it evaluates.
func TestFlake(t *testing.T) {
	var got struct {
		Names   []string
		Package struct{ Version, BuildPhase, PostPatch string }
		App     string
		Overlay string
		Layouts []string
		Module  string
		Hash    string
	}
	evaluate(t, `let
  self = { outPath = "/source"; shortRev = "abc1234"; } // (import (dir + "/../flake.nix")).outputs { inherit self; inherit (stub) nixpkgs; };
in {
  names = builtins.attrNames self;
  package = { inherit (self.packages.x86_64-linux.default) version buildPhase postPatch; };
  app = self.apps.x86_64-linux.default.program;
  overlay = (self.overlays.default stub.pkgs { }).mkimage.src.outPath;
  layouts = builtins.attrNames self.lib.layouts;
  module = self.checks.x86_64-linux.module.text;
  hash = self.packages.x86_64-linux.mkimage.modules.outputHash;
}`, &got)
	names := strings.Join(got.Names, " ")
	if want := "apps checks lib nixosModules outPath overlays packages shortRev"; names != want {
		t.Errorf("outputs %s; want %s", names, want)
	}
	if got.Package.Version != "abc1234" || !strings.Contains(got.Package.BuildPhase, "make SHELL=/bin/sh build man\n") {
		t.Errorf("package %+v", got.Package)
	}
	if !strings.Contains(got.Package.PostPatch, "in busybox:initramfs/busybox main:. restic:installer/restic; do") {
		t.Errorf("vendored modules go to\n%s", got.Package.PostPatch)
	}
	if got.App != "/made/mkimage/bin/mkimage" || got.Overlay != "/source" || !strings.HasPrefix(got.Hash, "sha256-") {
		t.Errorf("app %s, source of the overlay %s, hash %s", got.App, got.Overlay, got.Hash)
	}
	if !strings.HasPrefix(got.Module, "exec /made/mkimage/bin/mkimage build 'bandit-minimal' ") || !strings.Contains(got.Module, `"hostname":"fox"`) {
		t.Errorf("command of the module: %s", got.Module)
	}
	if list := strings.Join(got.Layouts, " "); !strings.Contains(list, "btrfs-laptop") {
		t.Errorf("layouts %s", list)
	}
}

// quote writes a string of the Nix language.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "\n", `\n`).Replace(text) + `"`
}
