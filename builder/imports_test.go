package builder_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/6FaNcY9/mkimage/"

// mayImport says which packages of this module a package may import, itself
// or through others, outside its tests. It keeps data flowing one way and the
// verifying half of the program independent of the writing half. A package
// that is not named here is bound by the general rules alone.
var mayImport = map[string][]string{
	"builder/fault":        {},
	"builder/btrfs/ondisk": {},
	"builder/rawdisk":      {},
	"docs":                 {},
	"builder/sparse":       {},
	"builder/swaparea":     {"builder/fault", "builder/ids"},
	"builder/ids":          {"builder/fault"},
	"builder/fstab":        {"builder/fault"},
	"builder/fstree":       {"builder/fault", "builder/unpack"},
	"builder/unpack":       {},
	"builder/nix":          {"builder/fault"},
	"builder/nix/nar":      {},
	"builder/nix/narinfo":  {"builder/fault", "builder/nix"},
	"builder/nix/narstore": {"builder/fault"},
	"builder/nix/storedb":  {"builder/fault", "builder/nix"},
	"builder/nix/bincache": {"builder/fault", "builder/unpack", "builder/nix", "builder/nix/narinfo", "builder/strict"},
	"builder/nix/closure": {
		"builder/fault", "builder/fstree", "builder/unpack", "builder/strict", "builder/nix", "builder/nix/nar", "builder/nix/narinfo", "builder/nix/narstore", "builder/nix/bincache", "builder/nix/storedb",
	},
	"builder/bootspec":       {"builder/fault", "builder/nix", "builder/loader/bls"},
	"builder/btrfs":          {"builder/fault", "builder/ids", "builder/fstree", "builder/unpack", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader"},
	"builder/btrfs/reader":   {"builder/fault", "builder/ids", "builder/swaparea", "builder/btrfs/ondisk"},
	"builder/btrfs/view":     {"builder/fault", "builder/ids", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader"},
	"builder/btrfs/identity": {"builder/fault", "builder/ids", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader"},
	"builder/btrfs/check":    {"builder/fault", "builder/ids", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader"},
	"builder/elfclosure":     {"builder/fault", "builder/fstree", "builder/unpack"},
	"builder/esp":            {"builder/fault", "builder/fstree", "builder/unpack"},
	"builder/esp/reader":     {"builder/fault"},
	"builder/mediumlog":      {"builder/fault", "builder/esp/reader"},
	"builder/gpt":            {"builder/fault", "builder/ids"},
	"builder/gpt/grow":       {"builder/fault"},
	"builder/strict":         {"builder/fault"},
	"layouts":                {"builder/fault", "builder/strict"},
	"profiles":               {"builder/fault", "builder/strict"},
	"builder/plan":           {"builder/fault", "builder/ids", "builder/strict", "profiles", "layouts", "initramfs/config"},
	"builder/adjust":         {"builder/fault", "builder/ids", "builder/strict", "profiles", "layouts", "initramfs/config", "builder/plan", "builder/fstree", "builder/unpack", "installer/firstboot", "installer/durable"},
	"builder/loader":         {"builder/fault", "builder/ids", "builder/fstree", "builder/unpack", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/strict", "builder/sparse", "builder/uki", "builder/loader/bls", "builder/loader/grubcfg", "builder/loader/grubimage", "builder/manifest"},
	"builder/manifest":       {"builder/fault", "builder/ids", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/strict", "builder/sparse"},
	"builder/inspect": {
		"builder/fault", "builder/fstree", "builder/unpack", "builder/ids", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/strict", "builder/sparse", "builder/manifest", "builder/gpt",
		"builder/esp/reader", "builder/uki/reader", "builder/loader/bls", "builder/loader/grubcfg", "builder/loader/grubimage", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader",
	},
	"builder/diff": {"builder", "builder/fault", "builder/fstree", "builder/unpack", "builder/strict", "builder/source", "builder/nix", "builder/nix/", "builder/nixos", "builder/bootspec", "builder/loader/bls"},
	"builder/installed": {
		"builder", "builder/fault", "builder/fstree", "builder/unpack", "builder/strict", "builder/source", "builder/nix", "builder/nix/", "builder/nixos", "builder/bootspec", "builder/loader/bls", "builder/diff",
		"builder/ids", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/sparse", "builder/manifest", "builder/gpt", "builder/inspect", "builder/loader/grubcfg", "builder/loader/grubimage",
		"builder/esp/reader", "builder/uki/reader", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader", "builder/btrfs/view",
	},
	"builder/hardware": {
		"builder/fault", "builder/fstab", "builder/nix", "builder/ids", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/strict", "builder/sparse", "builder/manifest", "builder/gpt", "builder/gpt/grow",
		"builder/esp/reader", "builder/btrfs/ondisk", "builder/btrfs/reader", "builder/swaparea",
	},
	"builder/verify": {
		"builder", "builder/fault", "builder/ids", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/strict", "builder/sparse", "builder/manifest", "builder/gpt",
		"builder/esp/reader", "builder/mediumlog", "builder/uki/reader", "builder/loader/bls", "builder/loader/grubcfg", "builder/loader/grubimage", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader", "builder/btrfs/check",
	},
	"builder/loader/bls":       {},
	"builder/loader/grubcfg":   {},
	"builder/loader/grubimage": {},
	"builder/source":           {"builder", "builder/fault", "builder/fstree", "builder/unpack", "builder/strict", "builder/nix", "builder/nix/", "builder/nixos", "builder/bootspec", "builder/loader/bls"},
	"builder/nixos/mounts": {
		"builder/fault", "builder/fstab", "builder/fstree", "builder/unpack", "builder/ids", "builder/strict", "builder/nix", "builder/nix/", "builder/nixos", "builder/bootspec", "builder/loader/bls",
		"builder/plan", "profiles", "layouts", "initramfs/config",
	},
	"builder/sbom":       {"builder", "builder/fault", "builder/fstree", "builder/unpack", "builder/strict", "builder/source", "builder/nix", "builder/nix/", "builder/nixos", "builder/bootspec", "builder/loader/bls"},
	"builder/uki":        {"builder/fault"},
	"builder/uki/reader": {"builder/fault"},
	"qemu-tests":         {"builder/fault", "builder/ids", "builder/strict", "profiles", "layouts", "initramfs/config", "builder/plan"},
	"initramfs":          {"builder/fault", "builder/fstree", "builder/unpack", "builder/strict", "initramfs/config", "initramfs/embedded"},
	"initramfs/busybox":  {},
	"initramfs/boot": {"builder/fault", "builder/fstab", "builder/bootspec", "builder/loader/bls", "builder/nix", "initramfs/config", "builder/ids", "builder/gpt/grow", "builder/swaparea", "builder/rawdisk", "builder/btrfs/ondisk", "builder/btrfs/reader", "initramfs/hibernate/record", "initramfs/swapfile", "initramfs/uevent", "initramfs/terminal", "initramfs/smbios", "installer/beside",
		"builder/esp/reader", "installer/agekey", "installer/durable", "installer/firstboot", "installer/keymedium"},
	"initramfs/config":           {},
	"initramfs/swapfile":         {"builder/fault", "builder/ids", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader", "initramfs/config"},
	"initramfs/uevent":           {},
	"initramfs/terminal":         {},
	"initramfs/smbios":           {"builder/fault", "initramfs/config", "installer/durable", "installer/firstboot"},
	"initramfs/hibernate":        {"builder/fault", "builder/ids", "builder/swaparea", "builder/rawdisk", "builder/btrfs/ondisk", "initramfs/hibernate/record"},
	"initramfs/hibernate/record": {},
	"initramfs/embedded":         {"builder/fault"},
	"builder/secrets":            {"builder/fault", "initramfs/config", "builder/strict", "profiles", "installer/firstboot", "installer/durable"},
	"installer/beside":           {},
	"installer/durable":          {},
	"installer/preflight": {
		"builder/fault", "builder/ids", "builder/strict", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/btrfs/ondisk", "builder/btrfs/reader", "builder/swaparea",
		"builder/esp/reader", "builder/gpt", "builder/rawdisk", "installer/durable", "installer/firstboot", "installer/agekey", "installer/keymedium", "installer/disks", "installer/mountinfo", "initramfs/smbios",
	},
	"installer/mountinfo": {},
	"installer/subvolume": {},
	"installer/treecopy":  {},
	"installer/keephome": {
		"builder/fault", "builder/ids", "builder/strict", "layouts", "profiles", "builder/plan", "initramfs/config", "installer/beside", "installer/durable", "installer/firstboot", "installer/mountinfo", "installer/subvolume", "installer/treecopy",
	},
	"installer/flash": {
		"builder", "builder/fault", "builder/ids", "builder/strict", "builder/plan", "builder/sparse", "builder/manifest", "builder/rawdisk", "builder/gpt", "builder/swaparea", "builder/btrfs/ondisk",
		"builder/btrfs/reader", "builder/esp/reader", "profiles", "layouts", "initramfs/config", "installer/disks", "installer/mountinfo",
	},
	"installer/disks":       {"builder/fault", "builder/ids", "builder/gpt", "builder/rawdisk", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader", "builder/esp/reader", "builder/strict", "profiles", "layouts", "installer/mountinfo"},
	"installer/durable/cut": {"installer/durable"},
	"installer/firstboot":   {"builder/fault", "initramfs/config", "installer/durable"},
	"installer/agekey":      {"builder/fault", "initramfs/config", "installer/durable", "installer/firstboot"},
	"installer/keymedium":   {"builder/fault", "builder/esp/reader", "initramfs/config", "installer/durable", "installer/firstboot"},
	"installer/keymedium/writer": {
		"builder/fault", "builder/fstree", "builder/unpack", "builder/ids", "builder/gpt", "builder/esp", "builder/esp/reader", "initramfs/config",
	},
	"installer/firstboot/decrypt": {
		"builder/fault", "initramfs/config", "builder/secrets", "builder/strict", "profiles", "installer/agekey", "installer/durable", "installer/firstboot", "installer/mountinfo",
	},
	"installer/repository":        {"builder/fault", "initramfs/config", "installer/durable", "installer/firstboot", "installer/repository/reader"},
	"installer/repository/reader": {"builder/fault", "initramfs/config", "installer/durable", "installer/firstboot"},
	"installer/firstboot/restore": {"builder/fault", "initramfs/config", "installer/durable", "installer/firstboot", "installer/mountinfo", "installer/repository", "installer/repository/reader", "installer/subvolume"},
	"installer/rescue/backup": {
		"builder/fault", "initramfs/config", "installer/durable", "installer/firstboot", "installer/firstboot/restore", "installer/mountinfo", "installer/repository", "installer/repository/reader", "installer/subvolume", "installer/treecopy",
	},
	"installer/rescue/unlock": {
		"builder/fault", "initramfs/config", "installer/agekey", "installer/durable", "installer/firstboot", "installer/firstboot/restore", "installer/mountinfo", "installer/repository", "installer/repository/reader", "installer/rescue/backup", "installer/subvolume",
		"installer/treecopy",
	},
	"installer/programs": {"builder/fault"},
	"rehearsal": {
		"builder", "builder/fault", "builder/ids", "builder/strict", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/fstree", "builder/unpack", "builder/swaparea", "builder/btrfs", "builder/btrfs/ondisk",
		"builder/btrfs/reader", "builder/esp/reader", "builder/gpt", "builder/mediumlog", "installer/agekey", "installer/durable", "installer/firstboot", "qemu-tests",
	},
	"rehearsal/listtree": {},
	"installer/rescue/inventory": {
		"builder/fault", "builder/ids", "builder/strict", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/manifest", "builder/sparse", "builder/gpt", "builder/rawdisk", "builder/fstab",
		"builder/nix", "builder/bootspec", "builder/loader/bls", "builder/loader/grubcfg", "builder/loader/grubimage", "builder/uki/reader", "builder/esp/reader", "builder/swaparea", "builder/btrfs/ondisk",
		"builder/btrfs/reader", "builder/btrfs/view", "initramfs/hibernate/record", "installer/agekey", "installer/beside", "installer/disks", "installer/durable", "installer/firstboot", "installer/keymedium", "installer/mountinfo",
	},
	"installer/rescue/clock":     {},
	"installer/rescue/menu":      {},
	"installer/rescue/network":   {},
	"installer/rescue/sshserver": {},
	"installer/rescue/imaging": {
		"builder", "builder/fault", "builder/ids", "builder/strict", "builder/plan", "builder/sparse", "builder/manifest", "builder/rawdisk", "builder/gpt", "builder/swaparea", "builder/btrfs/ondisk",
		"builder/btrfs/reader", "builder/esp/reader", "profiles", "layouts", "initramfs/config", "installer/disks", "installer/durable", "installer/flash", "installer/mountinfo",
	},
	"installer/rescue/health": {
		"builder/fault", "builder/ids", "builder/swaparea", "builder/btrfs/ondisk", "builder/btrfs/reader", "builder/btrfs/check", "initramfs/config", "installer/durable", "installer/firstboot", "installer/repository", "installer/repository/reader",
	},
	"installer/stick": {
		"builder", "builder/fault", "builder/ids", "builder/strict", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/manifest", "builder/sparse", "builder/gpt", "builder/rawdisk", "builder/fstab",
		"builder/nix", "builder/bootspec", "builder/loader/bls", "builder/loader/grubcfg", "builder/loader/grubimage", "builder/uki/reader", "builder/esp/reader", "builder/swaparea", "builder/btrfs/ondisk",
		"builder/btrfs/reader", "builder/btrfs/view", "builder/secrets", "initramfs/hibernate/record", "installer/agekey", "installer/beside", "installer/disks", "installer/durable", "installer/firstboot", "installer/keymedium",
		"installer/mountinfo", "installer/signature", "installer/rescue/inventory",
	},
	"installer/rescue/bootrepair": {
		"builder", "builder/fault", "builder/ids", "builder/strict", "builder/sparse", "builder/fstab", "builder/fstree", "builder/unpack", "builder/gpt", "builder/esp", "builder/esp/reader", "builder/swaparea",
		"builder/btrfs/ondisk", "builder/btrfs/reader", "builder/plan", "profiles", "layouts", "initramfs/config", "builder/manifest", "builder/uki", "builder/loader", "builder/loader/bls",
		"builder/loader/grubcfg", "builder/loader/grubimage", "builder/bootspec", "builder/nix", "builder/nix/", "builder/nixos", "builder/source", "installer/durable", "installer/efivar",
	},
}

// onlyIn says which foreign packages stay in one part of the tree.
var onlyIn = map[string]string{
	"github.com/diskfs/":        "builder/gpt",
	"github.com/spf13/":         "cmd/",
	"github.com/vbauerster/":    "cmd/",
	"github.com/u-root/":        "initramfs/busybox",
	"github.com/pelletier/":     "builder/strict",
	"aead.dev/":                 "installer/signature",
	"modernc.org/":              "builder/nix/storedb",
	"github.com/nix-community/": "builder/nix",
	"github.com/insomniacslk/":  "installer/rescue/network",
	"github.com/vishvananda/":   "installer/rescue/network",
	"github.com/rogpeppe/":      "", // tests
	"github.com/google/go-cmp/": "", // tests
}

// importsOf returns what every package of the module imports outside its
// tests, by path from the module's root.
func importsOf(t *testing.T, root string) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			packages[dir] = append(packages[dir], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// reach adds to seen what p imports of this module, itself or through others,
// with the path of imports that leads there.
func reach(packages map[string][]string, p, via string, seen map[string]string) {
	for _, imp := range packages[p] {
		own, ok := strings.CutPrefix(imp, module)
		if _, known := seen[own]; !ok || known {
			continue
		}
		seen[own] = via + " -> " + own
		reach(packages, own, seen[own], seen)
	}
}

// violations returns a line for each import that breaks a rule, sorted.
func violations(packages map[string][]string) []string {
	var bad []string
	for p := range packages {
		seen := map[string]string{}
		reach(packages, p, p, seen)
		for own, via := range seen {
			if !allowed(p, own) {
				bad = append(bad, via)
			}
		}
		for _, imp := range packages[p] {
			for prefix, home := range onlyIn {
				if strings.HasPrefix(imp, prefix) && (home == "" || !strings.HasPrefix(p, home)) && !isTestSupport(p) {
					bad = append(bad, p+" -> "+imp)
				}
			}
		}
	}
	slices.Sort(bad)
	return bad
}

// allowed reports whether package p may reach package own.
func allowed(p, own string) bool {
	switch {
	case strings.HasPrefix(own, "cmd/"):
		return false
	case isTestSupport(own) && !isTestSupport(p):
		return false
	case strings.Contains(own, "/internal/"):
		return strings.HasPrefix(p, own[:strings.Index(own, "/internal/")]) || !strings.HasPrefix(p, "builder/")
	}
	list, ruled := mayImport[p]
	return !ruled || slices.ContainsFunc(list, func(a string) bool {
		return a == own || strings.HasSuffix(a, "/") && strings.HasPrefix(own, a)
	})
}

func isTestSupport(p string) bool {
	return strings.HasSuffix(p, "test") || p == "installer/durable/cut" || strings.HasPrefix(p, "builder/imgtest/")
}

func TestImports(t *testing.T) {
	packages := importsOf(t, "..")
	for _, must := range []string{"builder/fstree", "builder/btrfs/ondisk", "cmd/mkimage"} {
		if packages[must] == nil {
			t.Errorf("package %s was not found; found %v", must, slices.Sorted(maps.Keys(packages)))
		}
	}
	for _, v := range violations(packages) {
		t.Errorf("forbidden import: %s", v)
	}
}

func TestViolations(t *testing.T) {
	tests := []struct {
		name string
		in   map[string][]string
		want []string
	}{
		{"clean", map[string][]string{"builder/btrfs/reader": {"fmt", module + "builder/btrfs/ondisk"}}, nil},
		{"direct", map[string][]string{"builder/btrfs/reader": {module + "builder/btrfs"}},
			[]string{"builder/btrfs/reader -> builder/btrfs"}},
		{"through another", map[string][]string{"builder/btrfs/check": {module + "builder/btrfs/reader"}, "builder/btrfs/reader": {module + "builder/btrfs"}},
			[]string{"builder/btrfs/check -> builder/btrfs/reader -> builder/btrfs", "builder/btrfs/reader -> builder/btrfs"}},
		{"test support", map[string][]string{"cmd/mkimage": {module + "builder/imgtest"}}, []string{"cmd/mkimage -> builder/imgtest"}},
		{"foreign", map[string][]string{"builder/fstree": {"github.com/spf13/cobra"}}, []string{"builder/fstree -> github.com/spf13/cobra"}},
		{"foreign at home", map[string][]string{"cmd/mkimage": {"github.com/spf13/cobra"}}, nil},
		{"command", map[string][]string{"builder": {module + "cmd/mkimage"}}, []string{"builder -> cmd/mkimage"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := violations(tt.in); !slices.Equal(got, tt.want) {
				t.Errorf("violations = %q; want %q", got, tt.want)
			}
		})
	}
}
