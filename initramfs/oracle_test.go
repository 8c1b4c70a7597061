package initramfs

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// diskModules are what a laptop's system needs to reach its root, as the
// built-in profiles have it.
var diskModules = []string{
	"nvme", "ahci", "sd_mod", "usb_storage", "uas", "xhci_pci", "ehci_pci", "virtio_pci", "virtio_blk", "virtio_scsi",
	"i8042", "atkbd", "usbhid", "hid_generic", "btrfs", "overlay",
}

// reference returns the tree of the reference userland and its kernel.
func reference(t testing.TB) (tree *fstree.Tree, root, kernel string) {
	t.Helper()
	root = userland.Reference(t).Dir
	tree, err := fstree.ScanDir(t.Context(), root, fstree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tree.Freeze()
	kernels := tree.Lookup("usr/lib/modules").Children()
	if len(kernels) != 1 {
		t.Fatalf("%d kernels in %s", len(kernels), root)
	}
	return tree, root, kernels[0].Name
}

// firstLines keeps the first line for every module of modules.softdep: all
// that modprobe looks at.
func firstLines(text string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && !seen[f[1]] {
			seen[f[1]] = true
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestClosureModprobe compares what every module of a kernel needs, and in
// which order, with what modprobe would load.
func TestClosureModprobe(t *testing.T) {
	imgtest.Need(t, "modprobe")
	tree, root, kernel := reference(t)
	x, err := openIndex(tree, kernel, "")
	if err != nil {
		t.Fatal(err)
	}
	all := x.soft
	text, err := x.read("modules.softdep", true)
	if err != nil {
		t.Fatal(err)
	}
	x.soft = parseSoftdep(firstLines(text))
	names := slices.Sorted(maps.Keys(x.files))
	if len(names) < 3000 {
		t.Fatalf("%d modules, expected those of a distribution's kernel", len(names))
	}
	want := showDepends(t, root, kernel, names)
	for i, name := range names {
		order, err := x.closure([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range order {
			got = append(got, m.path)
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("%s: modules in the order of loading (-modprobe +closure):\n%s", name, diff)
		}
	}

	// All lines count for us, since in the initramfs nobody answers the kernel
	// when it asks for what a module needs only later.
	x.soft = all
	order, err := x.closure([]string{"btrfs"})
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{"xxhash_generic", "blake2b_generic", "crc32c_generic", "btrfs"} {
		if !slices.ContainsFunc(order, func(m ordered) bool { return m.name == must }) {
			t.Errorf("closure of btrfs lacks %s", must)
		}
	}
}

// showDepends returns what modprobe would load for each of the names. It
// lists some twice, which it would load once.
func showDepends(t *testing.T, root, kernel string, names []string) [][]string {
	t.Helper()
	args := []string{"-a", "--show-depends", "-d", root, "-S", kernel, "-C", "/dev/null"}
	for _, name := range names {
		args = append(args, name, separator)
	}
	out, err := exec.Command("modprobe", args...).Output()
	if err != nil {
		t.Fatalf("modprobe: %v", err)
	}
	var all [][]string
	var one []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch _, file, _ := strings.Cut(f[1], "/"+kernel+"/"); {
		case f[0] == "builtin" && f[1] == separator:
			all, one = append(all, one), nil
		case f[0] == "insmod" && !slices.Contains(one, file):
			one = append(one, file)
		}
	}
	if len(all) != len(names) {
		t.Fatalf("modprobe answered for %d modules, expected %d", len(all), len(names))
	}
	return all
}

// separator is a module that is in the kernel itself, so that modprobe has
// nothing to load for it.
const separator = "virtio_pci"

// TestBuildReference looks at an archive of a real kernel through the eyes of
// the programs that distributions use.
func TestBuildReference(t *testing.T) {
	imgtest.Need(t, "cpio", "zstd", "lsinitramfs", "unmkinitramfs")
	tree, root, kernel := reference(t)
	p := params(t)
	small := p.Root.Lookup("usr/lib/firmware")
	p.Firmware, p.Kernel, p.Modules, p.Config = nil, kernel, diskModules, config.Config{}
	p.Root = withFirmware(t, tree, small)
	a, err := Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	segments := unpackNewc(t, a.Data)
	early := a.Data[:a.Segments[0].Length]
	if diff := cmp.Diff(cpioListing(t, early), listing(segments[0])); diff != "" {
		t.Errorf("microcode (-cpio +ours):\n%s", diff)
	}
	frame, _ := oneFrame(t, a.Data[len(early):])
	if diff := cmp.Diff(cpioListing(t, frame), listing(segments[1])); diff != "" {
		t.Errorf("main (-cpio +ours):\n%s", diff)
	}
	inTree := byName(t, segments[1])
	for _, m := range a.Modules {
		checkModule(t, root, m, inTree[m[1:]].data)
	}
	asDebian(t, a, segments)
}

// withFirmware copies the modules of a tree into a new one, with firmware.
func withFirmware(t *testing.T, tree *fstree.Tree, firmware *fstree.Entry) *fstree.Tree {
	t.Helper()
	out := fstree.New()
	for _, top := range []*fstree.Entry{tree.Lookup("usr/lib/modules"), firmware} {
		for e := range top.All() {
			if e.IsRegular() {
				inode := *e.Inode
				if _, ok := inode.Content.(fstree.Bytes); !ok {
					inode.Content = moved{e}
				}
				*put(t, out, e.Path(), nil).Inode = inode
			}
		}
	}
	return out
}

// moved is the content of an entry of another tree.
type moved struct{ from *fstree.Entry }

func (m moved) Open(*fstree.Entry) (fstree.File, error) { return m.from.Content.Open(m.from) }

// checkModule compares a module with what xz makes of the source's file.
func checkModule(t *testing.T, root, name, data string) {
	t.Helper()
	file := filepath.Join(root, "usr", name+".xz")
	want, err := exec.Command("xz", "-dc", file).Output()
	if err != nil {
		t.Errorf("xz %s: %v", file, err)
	} else if !bytes.Equal(want, []byte(data)) {
		t.Errorf("%s: %d bytes that differ from the %d that xz makes of it", name, len(data), len(want))
	}
}

// asDebian unpacks the archive with initramfs-tools, which knows no segment
// behind the main one.
func asDebian(t *testing.T, a *Archive, segments [][]member) {
	t.Helper()
	dir := t.TempDir()
	main := a.Data[:a.Segments[0].Length+a.Segments[1].Length]
	file := filepath.Join(dir, "initrd.img")
	if err := os.WriteFile(file, bytes.TrimRight(main, "\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("lsinitramfs", file).CombinedOutput()
	if err != nil {
		t.Fatalf("lsinitramfs: %v: %s", err, out)
	}
	listed := strings.Fields(string(out))
	for _, ms := range segments[:2] {
		for _, m := range ms {
			if !slices.Contains(listed, m.name) {
				t.Errorf("lsinitramfs does not list %s", m.name)
			}
		}
	}
	if out, err := exec.Command("unmkinitramfs", file, filepath.Join(dir, "out")).CombinedOutput(); err != nil {
		t.Fatalf("unmkinitramfs: %v: %s", err, out)
	}
	for i, part := range []string{"early", "main"} {
		for _, m := range segments[i] {
			if m.mode&0o170000 != 0o100000 {
				continue
			}
			got, err := os.ReadFile(path.Join(dir, "out", part, m.name))
			if err != nil || string(got) != m.data {
				t.Errorf("unmkinitramfs: %s has %d bytes, %v; want %d", m.name, len(got), err, len(m.data))
			}
		}
	}
}
