package source

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

var built = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// goldenTree is a NixOS of one generation with the specialisation debug.
func goldenTree(t *testing.T) *fstree.Tree {
	t.Helper()
	s, err := openGolden(t, golden+"/cache-zstd", cacheOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Tree
}

// TestSystemOf: the generations of a NixOS, with the entries of its own builder, and the
// kernel that they share.
func TestSystemOf(t *testing.T) {
	s, err := SystemOf(goldenTree(t), built)
	if err != nil || len(s.Kernels) != 1 || len(s.Generations) != 2 {
		t.Fatalf("%+v, %v; want a kernel and two entries", s, err)
	}
	k := s.Kernels[0]
	want := []string{"init=" + system + "/init", "console=ttyS0,115200n8", "loglevel=4", "lsm=landlock,yama,bpf"}
	if diff := cmp.Diff(want, k.Words); diff != "" || k.Version != "6.1.0" || k.Modules.Name != "6.1.0" || !strings.HasSuffix(k.Image.Path(), "-linux-6.1.0-56-cloud/bzImage") {
		t.Errorf("kernel %s at %s: %s", k.Version, k.Image.Path(), diff)
	}
	if k.FirmwareDir != system+"/firmware" {
		t.Errorf("firmware in %s", k.FirmwareDir)
	}
	main, debug := s.Generations[0], s.Generations[1]
	if main.FileName != "nixos-generation-1.conf" || !slices.Equal(main.Words, k.Words) || !strings.HasSuffix(main.Version, "built on 2026-03-04") {
		t.Errorf("entry %+v", main)
	}
	if !main.Scripted || main.Toplevel.String() != system || main.Initrd == nil || !main.Initrd.IsRegular() || !slices.Equal(main.AllWords, main.Words) {
		t.Errorf("what it needs by its own initrd: %+v", main)
	}
	if debug.FileName != "nixos-generation-1-specialisation-debug.conf" || debug.Kernel != 0 || debug.Words[len(debug.Words)-1] != "fixture.debug" || debug.Entry.Kernel != main.Entry.Kernel {
		t.Errorf("entry of the specialisation %+v", debug)
	}
}

// TestSystemOfRefuses: what is no system for a machine.
func TestSystemOfRefuses(t *testing.T) {
	tree := goldenTree(t)
	s, err := SystemOf(tree, built)
	if err != nil {
		t.Fatal(err)
	}
	init := tree.Lookup(system + "/init")
	top := tree.Lookup(system)
	prepare, err := top.Add("prepare-root", init.Inode)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := SystemOf(tree, built); err != nil || s.Generations[0].Scripted {
		t.Errorf("with prepare-root: a scripted stage 1, %v", err)
	}
	top.Remove(prepare)
	script := init.Content
	init.Content, init.Size = fstree.Bytes("\x7fELF"), 4
	if _, err := SystemOf(tree, built); fault.ClassOf(err) != fault.Input || fault.HintOf(err) != "set system.nixos-init.enable = false" {
		t.Errorf("nixos-init: %v", err)
	}
	init.Content, init.Size = script, 3 // shorter than any program
	if _, err := SystemOf(tree, built); err != nil {
		t.Errorf("short init: %v", err)
	}
	modules := s.Kernels[0].Modules
	modules.Parent().Remove(modules)
	if _, err := SystemOf(tree, built); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "has no kernel with modules") {
		t.Errorf("without modules: %v", err)
	}
}

// TestSystemOfDebian: a system that is no NixOS has kernels alone.
func TestSystemOfDebian(t *testing.T) {
	tree := fstree.New()
	if _, err := SystemOf(tree, built); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "no kernel modules") {
		t.Errorf("empty tree: %v", err)
	}
}

func TestWords(t *testing.T) {
	params := []string{"ro", "rw x", "a=b", "two words", " ", `quoted="a b"`, "root=fstab", "resume=/dev/x resume_offset=7", "rootwait", "rootflags=subvol=x", "rootfstype=ext4", "root"}
	got := words("/x/init", params)
	if want := []string{"init=/x/init", "x", "a=b", "two", "words", `quoted="a b"`, "rootwait", "root"}; !slices.Equal(got, want) {
		t.Errorf("words %q; want %q", got, want)
	}
	all := []string{"init=/x/init", "ro", "rw", "x", "a=b", "two", "words", `quoted="a b"`, "root=fstab", "resume=/dev/x", "resume_offset=7", "rootwait", "rootflags=subvol=x", "rootfstype=ext4", "root"}
	if got := allWords("/x/init", params); !slices.Equal(got, all) {
		t.Errorf("all words %q; want %q", got, all)
	}
}

// TestSystemOfKernels: systems that differ in what goes into an initramfs have a kernel
// each.
func TestSystemOfKernels(t *testing.T) {
	tree := goldenTree(t)
	s, err := SystemOf(tree, built)
	if err != nil {
		t.Fatal(err)
	}
	top := strings.TrimSuffix(strings.TrimPrefix(s.Generations[1].Words[0], "init="), "/init")
	firmware := tree.Lookup(top + "/firmware")
	firmware.Link = system
	firmware.Size = int64(len(system))
	if s, err = SystemOf(tree, built); err != nil || len(s.Kernels) != 2 || s.Generations[0].Kernel != 0 || s.Generations[1].Kernel != 1 {
		t.Fatalf("%+v, %v; want two kernels", s, err)
	}
	if dir := s.Kernels[1].FirmwareDir; dir != top+"/firmware" {
		t.Errorf("firmware of the second in %s", dir)
	}
	if s.Kernels[1].Words != nil {
		t.Errorf("words of the second %q; entries of the plan are of the first alone", s.Kernels[1].Words)
	}
}
