package loader_test

import (
	"crypto/sha256"
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

// Where the two systems have their initrds.
const newInitrd, oldInitrd = "EFI/nixos/cc-initrd-initrd.efi", "EFI/nixos/dd-initrd-initrd.efi"

// sourceSystem is the system of generations, which start by their own initrds.
func sourceSystem(source *fstree.Tree) loader.System {
	s := loader.System{Kernels: kernels(source), Generations: generations(), Initrds: map[string]*fstree.Entry{
		newInitrd: source.Lookup("boot/initrd-new"), oldInitrd: source.Lookup("boot/initrd-old"),
	}}
	for i, initrd := range []string{newInitrd, newInitrd, oldInitrd} {
		s.Generations[i].Initrd = initrd
		s.Generations[i].Words = append(s.Generations[i].Words, "root=fstab")
	}
	s.Kernels[0].Prelude, s.Kernels[1].Prelude = []byte("prelude of the new one"), []byte("prelude of the old one")
	return s
}

func sourceFilesWithInitrds() map[string][]byte {
	files := sourceFiles()
	files["boot/initrd-new"], files["boot/initrd-old"] = []byte("initrd of the new one"), []byte("initrd of the old one")
	return files
}

// sourcePlan is a plan of such a system.
func sourcePlan() *plan.Plan {
	p := testPlan(loader.SystemdBoot)
	p.Entries[0].Cmdline = []string{"rdinit=/mkimage/init", "mkimage.root=PARTUUID=00", "ours"}
	return p
}

func sourceInitrdTree(t *testing.T, p *plan.Plan) *fstree.Tree {
	t.Helper()
	source := sourceTree(t, sourceFilesWithInitrds())
	tree, err := loader.Tree(p, source, sourceSystem(source))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestSourceInitrd wants entries with the system's own initrd and our prelude behind it, and
// all others as they are otherwise.
func TestSourceInitrd(t *testing.T) {
	tree := sourceInitrdTree(t, sourcePlan())
	got := entries(t, tree)
	other := entries(t, generationTree(t, testPlan(loader.SystemdBoot)))
	if diff := cmp.Diff(other["mkimage-bandit-factory.conf"], got["mkimage-bandit-factory.conf"]); diff != "" {
		t.Errorf("factory entry (-own +source):\n%s", diff)
	}
	const ours = "rdinit=/mkimage/init mkimage.root=PARTUUID=00 ours "
	for name, options := range map[string]string{
		"nixos-generation-2.conf":                  ours + "init=/b quiet root=fstab",
		"nixos-generation-2-specialisation-x.conf": ours + "init=/x root=fstab",
		"nixos-generation-1.conf":                  ours + "init=/a root=fstab",
	} {
		want := other[name]
		want.Options = options
		age := "new"
		want.Initrd = []string{"/" + newInitrd, "/EFI/nixos/mkimage-6.12.2+deb13-amd64-"}
		if name == "nixos-generation-1.conf" {
			age, want.Initrd = "old", []string{"/" + oldInitrd, "/EFI/nixos/mkimage-6.12.1+deb13-amd64-"}
		}
		e := got[name]
		if len(e.Initrd) != 2 || !strings.HasPrefix(e.Initrd[1], want.Initrd[1]) || !strings.HasSuffix(e.Initrd[1], "-prelude.efi") {
			t.Errorf("%s: initrds %q; want the system's and a prelude", name, e.Initrd)
			continue
		}
		for i, text := range []string{"initrd of the " + age + " one", "prelude of the " + age + " one"} {
			if data := content(t, tree.Lookup(e.Initrd[i])); string(data) != text {
				t.Errorf("%s: %s is %q; want %q", name, e.Initrd[i], data, text)
			}
		}
		want.Initrd[1] = e.Initrd[1]
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(listing(t, tree), listing(t, sourceInitrdTree(t, sourcePlan()))); diff != "" {
		t.Errorf("made again:\n%s", diff)
	}
}

// TestSourceInitrdKeepsOurs: a kernel with our own initramfs is there without any entry for
// it, for what an installation keeps of this system.
func TestSourceInitrdKeepsOurs(t *testing.T) {
	p := sourcePlan()
	p.Entries = p.Entries[:1]
	tree := sourceInitrdTree(t, p)
	dir := tree.Lookup(loader.Dir)
	if dir == nil || len(dir.Children()) != 1 || dir.Children()[0].Child("initramfs") == nil {
		t.Errorf("ESP:\n%s", listing(t, tree))
	}
}

// TestSourceInitrdInstalled: a medium, which starts by our initramfs alone, installs what a
// build has.
func TestSourceInitrdInstalled(t *testing.T) {
	onMedium := testPlan(loader.SystemdBoot)
	onMedium.Medium = &plan.Medium{Name: "stick"}
	medium := sourceInitrdTree(t, onMedium)
	if medium.Lookup("EFI/nixos") != nil {
		t.Errorf("medium:\n%s", listing(t, medium))
	}
	for name, e := range entries(t, medium) {
		if len(e.Initrd) != 2 || !strings.HasSuffix(e.Initrd[0], "/initramfs") || e.Initrd[1] != "/"+loader.InstallerPath {
			t.Errorf("medium: %s: initrds %q", name, e.Initrd)
		}
	}
	m := sourceManifest(t, medium)
	got, err := loader.Installed(sourcePlan(), m, reading(t, medium, ""))
	if err != nil {
		t.Fatal(err)
	}
	want := sourceInitrdTree(t, sourcePlan())
	if diff := cmp.Diff(listing(t, want), listing(t, got)); diff != "" {
		t.Errorf("-built +installed:\n%s", diff)
	}
	for e := range want.All() {
		if e.IsRegular() && string(content(t, e)) != string(content(t, got.Lookup(e.Path()))) {
			t.Errorf("%s differs", e.Path())
		}
	}
	for _, fails := range []string{"prelude", "initrd-initrd.efi"} {
		if _, err := loader.Installed(sourcePlan(), m, reading(t, medium, fails)); fault.ClassOf(err) != fault.Input {
			t.Errorf("without %s: %v", fails, err)
		}
	}
	m.Inputs.Kernels[1].Prelude = nil
	if _, err := loader.Installed(sourcePlan(), m, reading(t, medium, "")); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "has no prelude to "+oldInitrd) {
		t.Errorf("a kernel without one: %v", err)
	}
}

// sourceManifest is that of a medium.
func sourceManifest(t *testing.T, medium *fstree.Tree) *manifest.Manifest {
	t.Helper()
	s := sourceSystem(sourceTree(t, sourceFilesWithInitrds()))
	m := &manifest.Manifest{Inputs: manifest.Inputs{Generations: s.Generations}}
	var err error
	if m.Files, err = loader.Files(medium); err != nil {
		t.Fatal(err)
	}
	for _, k := range s.Kernels {
		prelude := manifest.SHA256(sha256.Sum256(k.Prelude))
		m.Inputs.Kernels = append(m.Inputs.Kernels, manifest.Kernel{
			Version: k.Version, Linux: sha256.Sum256(content(t, k.Image)), Initramfs: sha256.Sum256(k.Initramfs), Prelude: &prelude, Words: k.Words,
		})
	}
	return m
}

// TestSourceInitrdCmdline: the names of archives behind the first take room of the command
// line.
func TestSourceInitrdCmdline(t *testing.T) {
	source := sourceTree(t, sourceFilesWithInitrds())
	s := sourceSystem(source)
	s.Generations = s.Generations[:1]
	prelude := entries(t, sourceInitrdTree(t, sourcePlan()))["nixos-generation-2.conf"].Initrd[1]
	options := strings.Join(append(sourcePlan().Entries[0].Cmdline, "w="), " ")
	room := plan.MaxCmdline - len(" initrd=") - len(prelude) - len(options)
	for more, fits := range map[int]bool{-1: true, 0: true, 1: false} {
		s.Generations[0].Words = []string{"w=" + strings.Repeat("x", room+more)}
		tree, err := loader.Tree(sourcePlan(), source, s)
		if (err == nil) != fits || err != nil && fault.ClassOf(err) != fault.Config {
			t.Errorf("%d bytes more than fit: %v", more, err)
		}
		if err == nil && len(tree.Lookup(bls.EntriesDir).Children()) != 2 {
			t.Errorf("%d bytes more than fit: %s", more, listing(t, tree))
		}
	}
}
