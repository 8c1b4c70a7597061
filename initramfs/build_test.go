package initramfs

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/embedded"
)

// params ask for all of the small system.
func params(t testing.TB) Params {
	t.Helper()
	shell := newContents()
	shell.addFile("bin/bb", 0o755, []byte("busybox"))
	shell.addSymlink("bin/sh", "bb")
	packed, err := shell.compressed()
	if err != nil {
		t.Fatal(err)
	}
	return Params{
		Root:      system(t),
		Kernel:    "6.1-test",
		Modules:   []string{"virtio-pci", "nic_card", "btrfs"},
		Firmware:  []string{"gpu/*.bin"},
		Microcode: true,
		Shell:     true,
		Config:    config.Config{Tmpfs: &config.Tmpfs{Size: "2G", Mode: "755"}},
		Programs:  embedded.Programs{Init: []byte("init"), Hibernate: []byte("hibernate"), Busybox: packed},
	}
}

func TestBuild(t *testing.T) {
	a, err := Build(t.Context(), params(t))
	if err != nil {
		t.Fatal(err)
	}
	segments := unpackNewc(t, a.Data)
	if len(segments) != 3 {
		t.Fatalf("%d segments; want microcode, main and shell", len(segments))
	}
	micro, main, shell := byName(t, segments[0]), byName(t, segments[1]), byName(t, segments[2])
	if got := micro["kernel/x86/microcode/AuthenticAMD.bin"].data; got != "AMDAMD17" {
		t.Errorf("microcode of AMD = %q; want the two files in order, decompressed", got)
	}
	if got := micro["kernel/x86/microcode/GenuineIntel.bin"].data; got != "INTEL" {
		t.Errorf("microcode of Intel = %q", got)
	}
	if shell["bin/sh"].data != "bb" {
		t.Errorf("shell has %v", slices.Sorted(maps.Keys(shell)))
	}
	if m := main["init"]; m.mode != 0o100755 || m.data != "init" {
		t.Errorf("init: mode %o, %q", m.mode, m.data)
	}

	want := strings.Join([]string{
		"dev", "dev/null", "etc", "etc/mkimage", "etc/mkimage/init.json", "etc/mkimage/modules", "init", "lib", "lib/firmware",
		"lib/firmware/gpu", "lib/firmware/gpu/one.bin", "lib/firmware/gpu/two.bin.xz", "lib/firmware/nic",
		"lib/firmware/nic/card.bin.zst", "lib/firmware/nic/second.bin.zst", "lib/modules", "lib/modules/6.1-test",
		"lib/modules/6.1-test/kernel", "lib/modules/6.1-test/kernel/crypto",
		"lib/modules/6.1-test/kernel/crypto/xor.ko", "lib/modules/6.1-test/kernel/crypto/xxhash_generic.ko",
		"lib/modules/6.1-test/kernel/drivers", "lib/modules/6.1-test/kernel/drivers/net",
		"lib/modules/6.1-test/kernel/drivers/net/nic-card.ko", "lib/modules/6.1-test/kernel/drivers/net/nic-late.ko",
		"lib/modules/6.1-test/kernel/fs", "lib/modules/6.1-test/kernel/fs/btrfs",
		"lib/modules/6.1-test/kernel/fs/btrfs/btrfs.ko", "lib/modules/6.1-test/kernel/fs/overlayfs",
		"lib/modules/6.1-test/kernel/fs/overlayfs/overlay.ko", "lib/modules/6.1-test/kernel/lib",
		"lib/modules/6.1-test/kernel/lib/raid6", "lib/modules/6.1-test/kernel/lib/raid6/raid6_pq.ko",
		"proc", "root", "run", "sys", "tmp", "var",
	}, "\n")
	var got []string
	for _, m := range segments[1] {
		got = append(got, m.name)
	}
	if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
		t.Errorf("main segment (-want +got):\n%s", diff)
	}
	if m := main["lib/firmware/nic/second.bin.zst"]; m.data != "/lib/firmware/nic/card.bin.zst" || m.mode != 0o120777 {
		t.Errorf("second name of firmware: mode %o, %q; want a symlink", m.mode, m.data)
	}
	if m := main["lib/modules/6.1-test/kernel/fs/btrfs/btrfs.ko"]; m.data != string(moduleELF("license=GPL", "depends=xor")) {
		t.Errorf("btrfs.ko is not what was compressed")
	}
	checkList(t, a, main)
}

// checkList compares the list of modules with what the small system needs.
func checkList(t *testing.T, a *Archive, main map[string]member) {
	t.Helper()
	const kernel = "/lib/modules/6.1-test/kernel/"
	want := strings.Join([]string{
		kernel + "crypto/xor.ko",
		kernel + "drivers/net/nic-card.ko xor",
		kernel + "drivers/net/nic-late.ko nic_card",
		kernel + "lib/raid6/raid6_pq.ko",
		kernel + "crypto/xxhash_generic.ko",
		kernel + "fs/btrfs/btrfs.ko xor raid6_pq xxhash_generic",
		kernel + "fs/overlayfs/overlay.ko",
		"",
	}, "\n")
	if diff := cmp.Diff(want, main[config.Modules[1:]].data); diff != "" {
		t.Errorf("list of modules (-want +got):\n%s", diff)
	}
	var conf config.Config
	if err := json.Unmarshal([]byte(main[config.Path[1:]].data), &conf); err != nil || conf.Version != config.Version || conf.Tmpfs.Size != "2G" {
		t.Errorf("config %q: %v", main[config.Path[1:]].data, err)
	}
	firmware := []string{"/lib/firmware/gpu/one.bin", "/lib/firmware/gpu/two.bin.xz", "/lib/firmware/nic/card.bin.zst", "/lib/firmware/nic/second.bin.zst"}
	if diff := cmp.Diff(firmware, a.Firmware); diff != "" {
		t.Errorf("Archive.Firmware (-want +got):\n%s", diff)
	}
	if len(a.Modules) != 7 || a.Modules[6] != kernel+"fs/overlayfs/overlay.ko" {
		t.Errorf("Archive.Modules = %q", a.Modules)
	}
	var total int64
	for _, s := range a.Segments {
		total += s.Length
	}
	if len(a.Segments) != 3 || total != int64(len(a.Data)) {
		t.Errorf("Archive.Segments = %v; want three that make %d bytes", a.Segments, len(a.Data))
	}
}

// TestBuildWants takes a module that is wanted where there is one.
func TestBuildWants(t *testing.T) {
	p := params(t)
	p.Modules, p.Config = nil, config.Config{Swapfile: &config.Swapfile{Path: "@swap/swapfile"}}
	const dir = "usr/lib/modules/6.1-test/"
	for _, there := range []bool{false, true} {
		if there {
			put(t, p.Root, dir+"kernel/fs/efivarfs/efivarfs.ko", moduleELF("license=GPL"))
			list := p.Root.Lookup(dir + "modules.dep").Inode
			text := append(list.Content.(fstree.Bytes), "kernel/fs/efivarfs/efivarfs.ko:\n"...)
			list.Content, list.Size = text, int64(len(text))
		}
		a, err := Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(a.Modules, func(m string) bool { return strings.HasSuffix(m, "/efivarfs.ko") }); got != there {
			t.Errorf("modules %q; want efivarfs %v", a.Modules, there)
		}
	}
}

// TestBuildHibernate: only a machine that hibernates carries the program for it.
func TestBuildHibernate(t *testing.T) {
	for _, tt := range []struct {
		name     string
		swapfile *config.Swapfile
		want     bool
	}{
		{"no swapfile", nil, false},
		{"to swap alone", &config.Swapfile{Path: "@swap/swapfile"}, false},
		{"to hibernate", &config.Swapfile{Path: "@swap/swapfile", Hibernate: true}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := params(t)
			p.Config.Swapfile = tt.swapfile
			a, err := Build(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			m, found := byName(t, unpackNewc(t, a.Data)[1])["lib/mkimage/mkimage-hibernate"]
			if found != tt.want || found && (m.mode != 0o100755 || m.data != "hibernate") {
				t.Errorf("program is there: %v, mode %o, %q; want %v", found, m.mode, m.data, tt.want)
			}
		})
	}
}

func TestBuildWithout(t *testing.T) {
	p := params(t)
	p.Shell, p.Microcode, p.Firmware, p.Modules, p.Config = false, false, nil, nil, config.Config{}
	a, err := Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	segments := unpackNewc(t, a.Data)
	if len(segments) != 1 {
		t.Fatalf("%d segments; want one", len(segments))
	}
	all := byName(t, segments[0])
	if _, ok := all["lib/firmware"]; ok || len(a.Modules) != 4 {
		t.Errorf("modules %q, firmware %q; want btrfs and what it needs, no firmware", a.Modules, a.Firmware)
	}
}

func TestBuildMicrocodeAbsent(t *testing.T) {
	p := params(t)
	firmware := p.Root.Lookup("usr/lib")
	firmware.Remove(firmware.Child("firmware"))
	p.Firmware = nil
	a, err := Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Segments) != 2 || a.Segments[0].Name != "main" || a.Microcode != nil {
		t.Errorf("segments %v, microcode %v; want main and shell", a.Segments, a.Microcode)
	}
}

// TestBuildReproducible builds the same from files of the host in two folders,
// listed in other orders, with one processor and with more.
func TestBuildReproducible(t *testing.T) {
	var want []byte
	p := params(t)
	for _, procs := range []int{1, 4} {
		dir := filepath.Join(t.TempDir(), strings.Repeat("x", procs))
		for e := range p.Root.All() {
			at := filepath.Join(dir, e.Path())
			var err error
			switch {
			case e.IsDir():
				err = os.MkdirAll(at, 0o755)
			case e.IsSymlink():
				err = os.Symlink(e.Link, at)
			default:
				data, rerr := readEntry(e, maxFile)
				if rerr != nil {
					t.Fatal(rerr)
				}
				err = os.WriteFile(at, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		tree, err := fstree.ScanDir(t.Context(), dir, fstree.DirOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tree.Freeze()
		q := p
		q.Root = tree
		before := runtime.GOMAXPROCS(procs)
		a, err := Build(t.Context(), q)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = a.Data
		}
		if !bytes.Equal(a.Data, want) {
			t.Errorf("other bytes with %d processors in %s", procs, dir)
		}
	}
}

func TestBuildRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Params)
		err    string
		class  fault.Class
		hint   string
	}{
		{"unknown module", func(p *Params) { p.Modules = []string{"nic_crad"} },
			`initramfs: kernel module "nic_crad": not in usr/lib/modules/6.1-test; did you mean nic_card?`, fault.Input, ""},
		{"unknown kernel", func(p *Params) { p.Kernel = "6.2" },
			"initramfs: kernel 6.2: no modules.dep in /usr/lib/modules/6.2 of the source", fault.Input, "modules of its kernel"},
		{"kernel that is a path", func(p *Params) { p.Kernel = "../x" }, `initramfs: kernel version "../x": not a name`, fault.Internal, ""},
		{"firmware that is not there", func(p *Params) { p.Firmware = []string{"gpu/*.img"} },
			`initramfs: firmware "gpu/*.img": nothing in /usr/lib/firmware of the source matches`, fault.Input, "take the pattern out"},
		{"firmware above", func(p *Params) { p.Firmware = []string{"../../etc/shadow"} },
			"initramfs: firmware ../../etc/shadow: expected a path below /usr/lib/firmware", fault.Input, ""},
		{"bad pattern", func(p *Params) { p.Firmware = []string{"gpu/[a"} },
			"initramfs: firmware gpu/[a: syntax error in pattern", fault.Input, ""},
		{"module cut off", func(p *Params) {
			data := zst(t, moduleELF("license=GPL"))
			p.Root.Lookup("usr/lib/modules/6.1-test/kernel/fs/btrfs/btrfs.ko.zst").Inode.Content = fstree.Bytes(data)
			p.Root.Lookup("usr/lib/modules/6.1-test/kernel/fs/btrfs/btrfs.ko.zst").Inode.Size = int64(len(data) - 5)
		}, "initramfs: usr/lib/modules/6.1-test/kernel/fs/btrfs/btrfs.ko.zst: zstd: unexpected EOF", fault.Input, ""},
		{"module listed, not there", func(p *Params) {
			dir := p.Root.Lookup("usr/lib/modules/6.1-test/kernel/crypto")
			dir.Remove(dir.Child("xor.ko"))
		}, "initramfs: usr/lib/modules/6.1-test/kernel/crypto/xor.ko: does not exist", fault.Input, ""},
		{"module that is no object", func(p *Params) {
			e := p.Root.Lookup("usr/lib/modules/6.1-test/kernel/crypto/xor.ko")
			e.Content, e.Size = fstree.Bytes("text"), 4
		}, "initramfs: kernel module kernel/crypto/xor.ko: ", fault.Input, ""},
		{"module too large", func(p *Params) {
			e := p.Root.Lookup("usr/lib/modules/6.1-test/kernel/crypto/xor.ko")
			e.Content, e.Size = nil, maxFile+1
		}, "kernel/crypto/xor.ko: 268435457 bytes, expected at most 268435456", fault.Input, ""},
		{"loop of symlinks", func(p *Params) { symlink(t, p.Root, "usr/lib/modules/6.9", "6.9"); p.Kernel = "6.9" },
			"leads through more than 40 symlinks", fault.Input, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := params(t)
			tt.change(&p)
			_, err := Build(t.Context(), p)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("Build: %v; want %q", err, tt.err)
			}
			if fault.ClassOf(err) != tt.class || !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("Build: class %d, hint %q; want %d, %q", fault.ClassOf(err), fault.HintOf(err), tt.class, tt.hint)
			}
		})
	}
}
