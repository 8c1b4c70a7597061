package loader_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/uki/reader"
	"github.com/6FaNcY9/mkimage/profiles"
)

var update = flag.Bool("update", false, "write the golden files anew")

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// sourceTree returns a source with what a boot loader is made of.
func sourceTree(t testing.TB, files map[string][]byte) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for path, data := range files {
		if err := loader.Put(tree, path, data, time.Unix(7, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// Where Debian has its images of GRUB.
const (
	grubMonolithic = "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi"
	grubSigned     = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
)

const efiDir = "usr/lib/systemd/boot/efi/"

func sourceFiles() map[string][]byte {
	return map[string][]byte{
		efiDir + "systemd-bootx64.efi": smalldisk.EFIProgram("systemd-boot"),
		efiDir + "linuxx64.efi.stub":   smalldisk.EFIProgram("stub"),
		grubMonolithic:                 smalldisk.GRUBProgram("/EFI/debian", smalldisk.GRUBModules...),
		"usr/lib/os-release":           []byte("ID=bandit\n"),
		"boot/vmlinuz-new":             smalldisk.EFIProgram("new kernel"),
		"boot/vmlinuz-old":             smalldisk.EFIProgram("old kernel"),
	}
}

func testPlan(kind string) *plan.Plan {
	words := []string{"root=PARTUUID=00", "rootfstype=btrfs", "rw", `dyndbg="file a +p"`}
	return &plan.Plan{
		Epoch:   epoch,
		Profile: profiles.Profile{Name: "bandit", Boot: profiles.Boot{Loader: kind, Timeout: 3}},
		Entries: []plan.Entry{
			{ID: "mkimage-bandit", Title: "bandit", SortKey: "mkimage-1", Cmdline: words},
			{ID: "mkimage-bandit-factory", Title: "bandit (as built)", SortKey: "mkimage-2-factory", Cmdline: append(words[:len(words):len(words)], "mkimage.factory")},
		},
	}
}

func kernels(source *fstree.Tree) []loader.Kernel {
	return []loader.Kernel{
		{Version: "6.12.2+deb13-amd64", Image: source.Lookup("boot/vmlinuz-new"), Initramfs: []byte("initramfs of the new one"), Words: []string{"init=/system/init", "its=own"}},
		{Version: "6.12.1+deb13-amd64", Image: source.Lookup("boot/vmlinuz-old"), Initramfs: []byte("initramfs of the old one")},
	}
}

// content returns the bytes of a file of a tree.
func content(t testing.TB, e *fstree.Entry) []byte {
	t.Helper()
	f, err := e.Content.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, e.Size))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listing prints a tree: names, sizes, times, and the text of text files.
func listing(t testing.TB, tree *fstree.Tree) string {
	t.Helper()
	var b strings.Builder
	for e := range tree.All() {
		fmt.Fprintf(&b, "%s %o %s", e.MTime().Format(time.RFC3339), e.Mode, e.Path())
		if !e.IsRegular() {
			b.WriteString("/\n")
			continue
		}
		fmt.Fprintf(&b, " %d bytes\n", e.Size)
		if data := content(t, e); bytes.IndexByte(data, 0) < 0 {
			for line := range strings.Lines(string(data)) {
				b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
			}
		}
	}
	return b.String()
}

func wantGolden(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", file, diff)
	}
}

func TestTreeGolden(t *testing.T) {
	for _, kind := range []string{loader.SystemdBoot, loader.GRUB, loader.UKI} {
		t.Run(kind, func(t *testing.T) {
			source := sourceTree(t, sourceFiles())
			tree, err := loader.Tree(testPlan(kind), source, loader.System{Kernels: kernels(source)})
			if err != nil {
				t.Fatal(err)
			}
			wantGolden(t, kind, listing(t, tree))
		})
	}
}

// TestTreeEntries checks that every entry can be read and names files that are
// there, and which kernel each one starts.
func TestTreeEntries(t *testing.T) {
	source := sourceTree(t, sourceFiles())
	tree, err := loader.Tree(testPlan(loader.SystemdBoot), source, loader.System{Kernels: kernels(source)})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := bls.ParseConf(content(t, tree.Lookup(bls.ConfFile)))
	if err != nil {
		t.Fatal(err)
	}
	if standard := tree.Lookup(bls.EntriesDir + "/" + conf.Default); standard == nil {
		t.Errorf("default %q is not there", conf.Default)
	}
	starts := map[string]string{}
	for _, file := range tree.Lookup(bls.EntriesDir).Children() {
		e, err := bls.ParseEntry(content(t, file))
		if err != nil {
			t.Fatalf("%s: %v", file.Name, err)
		}
		for _, path := range e.Files() {
			if tree.Lookup(path) == nil {
				t.Errorf("%s names %s, which is not there", file.Name, path)
			}
		}
		linux := content(t, tree.Lookup(e.Linux))
		initrd := content(t, tree.Lookup(e.Initrd[0]))
		starts[file.Name] = string(linux[0x400:0x403]) + " " + string(initrd[17:20]) + " " + e.Version
	}
	want := map[string]string{
		"mkimage-bandit.conf":                            "new new 6.12.2+deb13-amd64",
		"mkimage-bandit-factory.conf":                    "new new 6.12.2+deb13-amd64",
		"mkimage-bandit-6.12.1+deb13-amd64.conf":         "old old 6.12.1+deb13-amd64",
		"mkimage-bandit-factory-6.12.1+deb13-amd64.conf": "old old 6.12.1+deb13-amd64",
	}
	if diff := cmp.Diff(want, starts); diff != "" {
		t.Error(diff)
	}
}

// TestTreeNames checks that a kernel or initramfs that differs gets another
// directory.
func TestTreeNames(t *testing.T) {
	dirs := map[string]bool{}
	for _, change := range []func(files map[string][]byte, k []loader.Kernel){
		func(map[string][]byte, []loader.Kernel) {},
		func(_ map[string][]byte, k []loader.Kernel) { k[0].Initramfs = []byte("other") },
		func(f map[string][]byte, _ []loader.Kernel) { copy(f["boot/vmlinuz-new"][0x400:], "NEW") },
	} {
		files := sourceFiles()
		source := sourceTree(t, files)
		k := kernels(source)[:1]
		change(files, k)
		tree, err := loader.Tree(testPlan(loader.SystemdBoot), source, loader.System{Kernels: k})
		if err != nil {
			t.Fatal(err)
		}
		dirs[tree.Lookup(loader.Dir).Children()[0].Name] = true
	}
	if len(dirs) != 3 {
		t.Errorf("directories %v; want three", dirs)
	}
}

func TestTreeSigned(t *testing.T) {
	files := sourceFiles()
	files[efiDir+"systemd-bootx64.efi.signed"] = smalldisk.EFIProgram("signed")
	source := sourceTree(t, files)
	tree, err := loader.Tree(testPlan(loader.SystemdBoot), source, loader.System{Kernels: kernels(source)})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{bls.FallbackPath, loader.SystemdBootPath} {
		if got := content(t, tree.Lookup(path)); !bytes.Equal(got, smalldisk.EFIProgram("signed")) {
			t.Errorf("%s is not the signed program", path)
		}
	}
}

func TestTreeUKI(t *testing.T) {
	source := sourceTree(t, sourceFiles())
	tree, err := loader.Tree(testPlan(loader.UKI), source, loader.System{Kernels: kernels(source)})
	if err != nil {
		t.Fatal(err)
	}
	b := content(t, tree.Lookup(bls.FallbackPath))
	p, err := reader.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		".cmdline": `root=PARTUUID=00 rootfstype=btrfs rw dyndbg="file a +p" init=/system/init its=own`, ".uname": "6.12.2+deb13-amd64",
		".osrel": "ID=bandit\n", ".initrd": "initramfs of the new one",
	} {
		if got, err := p.Text(name); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestTreeRefuses(t *testing.T) {
	type input struct {
		plan    *plan.Plan
		files   map[string][]byte
		kernels func([]loader.Kernel) []loader.Kernel
	}
	for _, tt := range []struct {
		name, kind string
		change     func(*input)
		want       string
		class      fault.Class
	}{
		{"no kernel", loader.SystemdBoot, func(in *input) { in.kernels = func([]loader.Kernel) []loader.Kernel { return nil } }, "0 kernels and 2 entries", fault.Input},
		{"no entry", loader.SystemdBoot, func(in *input) { in.plan.Entries = nil }, "2 kernels and 0 entries", fault.Input},
		{"loader", "lilo", func(*input) {}, `boot.loader "lilo": expected "systemd-boot", "grub" or "uki"`, fault.Config},
		{"no systemd-boot", loader.SystemdBoot, func(in *input) { delete(in.files, efiDir+"systemd-bootx64.efi") }, "the source has no /usr/lib/systemd/boot/efi/systemd-bootx64.efi", fault.Input},
		{"no stub", loader.UKI, func(in *input) { delete(in.files, efiDir+"linuxx64.efi.stub") }, "the source has no /usr/lib/systemd/boot/efi/linuxx64.efi.stub", fault.Input},
		{"systemd-boot is text", loader.SystemdBoot, func(in *input) { in.files[efiDir+"systemd-bootx64.efi"] = []byte("x") }, "systemd-bootx64.efi: not an EFI program", fault.Input},
		{"no os-release", loader.UKI, func(in *input) { delete(in.files, "usr/lib/os-release") }, "no /etc/os-release", fault.Input},
		{"kernel without a stub", loader.SystemdBoot, func(in *input) { in.files["boot/vmlinuz-old"] = []byte("x") }, "kernel 6.12.1+deb13-amd64: not an EFI program", fault.Input},
		{"no image", loader.SystemdBoot, func(in *input) {
			in.kernels = func(k []loader.Kernel) []loader.Kernel { k[1].Image = nil; return k }
		}, "expected a regular file", fault.Input},
		{"version", loader.SystemdBoot, func(in *input) {
			in.kernels = func(k []loader.Kernel) []loader.Kernel { k[1].Version = "6/1"; return k }
		}, `kernel version "6/1"`, fault.Input},
		{"version counts boots", loader.SystemdBoot, func(in *input) {
			in.kernels = func(k []loader.Kernel) []loader.Kernel { k[1].Version = "6+1"; return k }
		}, "count of boots", fault.Config},
		{"kernels twice", loader.SystemdBoot, func(in *input) {
			in.kernels = func(k []loader.Kernel) []loader.Kernel { return append(k, k[1]) }
		}, "exists already", fault.Internal},
		{"id", loader.SystemdBoot, func(in *input) { in.plan.Entries[1].ID = "a b" }, `entry "a b"`, fault.Config},
		{"title of two lines", loader.SystemdBoot, func(in *input) { in.plan.Entries[1].Title = "a\nlinux /x" }, "expected UTF-8 on one line", fault.Config},
		{"parameter of two lines", loader.SystemdBoot, func(in *input) { in.plan.Entries[1].Cmdline = []string{"a\nb"} }, `kernel parameter "a\nb"`, fault.Config},
		{"space outside quotes", loader.UKI, func(in *input) { in.plan.Entries[0].Cmdline = []string{`a="b" c`} }, `kernel parameter "a=\"b\" c"`, fault.Config},
		{"open quote", loader.SystemdBoot, func(in *input) { in.plan.Entries[0].Cmdline = []string{`a="b`} }, "with each double quote closed", fault.Config},
		{"empty parameter", loader.SystemdBoot, func(in *input) { in.plan.Entries[0].Cmdline = []string{"a", ""} }, `kernel parameter ""`, fault.Config},
		{"timeout", loader.SystemdBoot, func(in *input) { in.plan.Profile.Boot.Timeout = -2 }, "timeout -2", fault.Config},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input{testPlan(tt.kind), sourceFiles(), func(k []loader.Kernel) []loader.Kernel { return k }}
			tt.change(&in)
			source := sourceTree(t, in.files)
			_, err := loader.Tree(in.plan, source, loader.System{Kernels: in.kernels(kernels(source))})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want %q in it", err, tt.want)
			}
			if got := fault.ClassOf(err); got != tt.class {
				t.Errorf("class %v; want %v", got, tt.class)
			}
			if strings.HasPrefix(tt.name, "no s") && !strings.Contains(fault.HintOf(err), "systemd-boot-efi") {
				t.Errorf("hint %q; want the package in it", fault.HintOf(err))
			}
		})
	}
}

func TestFits(t *testing.T) {
	tree := sourceTree(t, map[string][]byte{"EFI/a": make([]byte, 700), "b": make([]byte, 5)})
	for _, need := range []int64{999, 1000} {
		if err := loader.Fits(tree, need, 1000); err != nil {
			t.Errorf("Fits(%d, 1000): %v", need, err)
		}
	}
	err := loader.Fits(tree, 1001, 1000)
	want := "ESP: needs 1001 bytes, has 1000; its files are, in bytes:\n          700 /EFI/a\n            5 /b"
	if err == nil || err.Error() != want || fault.ClassOf(err) != fault.Target || !strings.Contains(fault.HintOf(err), "esp.size") {
		t.Errorf("Fits(1001, 1000): %v, class %v, hint %q", err, fault.ClassOf(err), fault.HintOf(err))
	}
}

func TestFiles(t *testing.T) {
	// A directory sorts before a file with a dash, its files do not.
	tree := sourceTree(t, map[string][]byte{"a/b": []byte("1"), "a-b": []byte("23"), "c": nil})
	got, err := loader.Files(tree)
	want := []manifest.File{
		{Path: "a-b", Size: 2, SHA256: sha256.Sum256([]byte("23"))}, {Path: "a/b", Size: 1, SHA256: sha256.Sum256([]byte("1"))},
		{Path: "c", SHA256: sha256.Sum256(nil)},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Files: %v\n%s", err, diff)
	}
}

// TestCmdlineLimit: the words of a system must fit behind those of the plan.
func TestCmdlineLimit(t *testing.T) {
	source := sourceTree(t, sourceFiles())
	p := testPlan(loader.SystemdBoot)
	p.Entries = p.Entries[:1]
	spare := plan.MaxCmdline - len(strings.Join(p.Entries[0].Cmdline, " ")) - 1
	for n, ok := range map[int]bool{spare - 1: true, spare: true, spare + 1: false} {
		k := kernels(source)[:1]
		k[0].Words = []string{strings.Repeat("x", n)}
		_, err := loader.Tree(p, source, loader.System{Kernels: k})
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), fmt.Sprintf("expected at most %d", plan.MaxCmdline)) {
			t.Errorf("a word of %d bytes: %v", n, err)
		}
	}
}
