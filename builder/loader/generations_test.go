package loader_test

import (
	"bytes"
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

// generations are two systems of a NixOS, the first with a specialisation; the last has
// the older kernel.
func generations() []manifest.Generation {
	const newLinux, oldLinux = "EFI/nixos/aa-linux-bzImage.efi", "EFI/nixos/bb-linux-bzImage.efi"
	return []manifest.Generation{
		{File: "nixos-generation-2.conf", Title: "NixOS", SortKey: "nixos", Version: "Generation 2 Fox, built on 2025-01-01", Kernel: 0, Linux: newLinux, Words: []string{"init=/b", "quiet"}},
		{File: "nixos-generation-2-specialisation-x.conf", Title: "NixOS (x)", SortKey: "nixos", Version: "Generation 2 Fox x, built on 2025-01-01", Kernel: 0, Linux: newLinux, Words: []string{"init=/x"}},
		{File: "nixos-generation-1.conf", Title: "NixOS", SortKey: "nixos", Version: "Generation 1 Fox, built on 2025-01-01", Kernel: 1, Linux: oldLinux, Words: []string{"init=/a"}},
	}
}

// generationTree returns the ESP of such a system.
func generationTree(t *testing.T, p *plan.Plan) *fstree.Tree {
	t.Helper()
	source := sourceTree(t, sourceFiles())
	tree, err := loader.Tree(p, source, loader.System{Kernels: kernels(source), Generations: generations()})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestGenerations wants the files that NixOS's builder would make, and those that it
// leaves alone.
func TestGenerations(t *testing.T) {
	tree := generationTree(t, testPlan(loader.SystemdBoot))
	got := entries(t, tree)
	factory := got["mkimage-bandit-factory.conf"]
	dir, ok := strings.CutSuffix(factory.Linux, "/linux")
	if !ok || !strings.HasPrefix(dir, "/mkimage/6.12.2+deb13-amd64-") {
		t.Fatalf("factory entry: linux %s", factory.Linux)
	}
	own := func(linux string) string { // of the kernel of the factory entry
		return "/EFI/nixos/mkimage-" + strings.TrimPrefix(linux, "/mkimage/") + "-initramfs.efi"
	}
	const root = `root=PARTUUID=00 rootfstype=btrfs rw dyndbg="file a +p"`
	newer := func(title, version, words string) bls.Entry {
		return bls.Entry{
			Title: title, SortKey: "nixos", Version: version, Linux: "/EFI/nixos/aa-linux-bzImage.efi", Initrd: []string{own(dir)}, Options: root + " " + words,
		}
	}
	want := map[string]bls.Entry{
		"nixos-generation-2.conf":                  newer("NixOS", "Generation 2 Fox, built on 2025-01-01", "init=/b quiet"),
		"nixos-generation-2-specialisation-x.conf": newer("NixOS (x)", "Generation 2 Fox x, built on 2025-01-01", "init=/x"),
		"nixos-generation-1.conf": {
			Title: "NixOS", SortKey: "nixos", Version: "Generation 1 Fox, built on 2025-01-01", Linux: "/EFI/nixos/bb-linux-bzImage.efi",
			Initrd: got["nixos-generation-1.conf"].Initrd, Options: root + " init=/a",
		},
		"mkimage-bandit-factory.conf": {
			Title: "bandit (as built)", SortKey: "nixos-mkimage-2-factory", Version: "6.12.2+deb13-amd64", Linux: dir + "/linux", Initrd: []string{dir + "/initramfs"},
			Options: root + " mkimage.factory init=/system/init its=own",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if conf := string(content(t, tree.Lookup(bls.ConfFile))); !strings.Contains(conf, "default nixos-generation-2.conf\n") {
		t.Errorf("loader.conf:\n%s", conf)
	}
	for path, text := range map[string]string{own(dir): "initramfs of the new one", dir + "/initramfs": "initramfs of the new one", got["nixos-generation-1.conf"].Initrd[0]: "initramfs of the old one"} {
		if data := content(t, tree.Lookup(path)); string(data) != text {
			t.Errorf("%s: %q; want %q", path, data, text)
		}
	}
	source := sourceTree(t, sourceFiles())
	for path, from := range map[string]string{"EFI/nixos/aa-linux-bzImage.efi": "boot/vmlinuz-new", "EFI/nixos/bb-linux-bzImage.efi": "boot/vmlinuz-old", dir + "/linux": "boot/vmlinuz-new"} {
		if !bytes.Equal(content(t, tree.Lookup(path)), content(t, source.Lookup(from))) {
			t.Errorf("%s: is not %s", path, from)
		}
	}
}

// TestGenerationsAlone: without another entry nothing is kept from NixOS.
func TestGenerationsAlone(t *testing.T) {
	p := testPlan(loader.SystemdBoot)
	p.Entries = p.Entries[:1]
	if tree := generationTree(t, p); tree.Lookup("mkimage") != nil || len(entries(t, tree)) != 3 {
		t.Errorf("ESP:\n%s", listing(t, tree))
	}
}

// TestGenerationsInstalled: a medium, whose own entries are others, installs what a build
// has.
func TestGenerationsInstalled(t *testing.T) {
	medium, m := mediumTree(t)
	m.Inputs.Generations = generations()
	p := testPlan(loader.SystemdBoot)
	got, err := loader.Installed(p, m, reading(t, medium, ""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(listing(t, generationTree(t, p)), listing(t, got)); diff != "" {
		t.Errorf("-built +installed:\n%s", diff)
	}
	onMedium := testPlan(loader.SystemdBoot)
	onMedium.Medium = &plan.Medium{Name: "stick"}
	tree := generationTree(t, onMedium)
	if tree.Lookup("EFI/nixos") != nil || len(entries(t, tree)) != 2 {
		t.Errorf("medium:\n%s", listing(t, tree))
	}
	for _, n := range []int{-1, 2} { // there are two
		m.Inputs.Generations[2].Kernel = n
		if _, err := loader.Installed(p, m, reading(t, medium, "")); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "expected one below 2") {
			t.Errorf("kernel %d: %v", n, err)
		}
	}
}

// entries returns the menu of an ESP.
func entries(t *testing.T, tree *fstree.Tree) map[string]bls.Entry {
	t.Helper()
	out := map[string]bls.Entry{}
	for _, file := range tree.Lookup(bls.EntriesDir).Children() {
		e, err := bls.ParseEntry(content(t, file))
		if err != nil {
			t.Fatal(err)
		}
		out[file.Name] = e
	}
	return out
}
