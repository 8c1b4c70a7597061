package boot

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/initramfs"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/embedded"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// laptopFstab is what an installed system of the laptop's layout has.
const laptopFstab = "PARTUUID=" + testPartUUID + " / btrfs subvol=@,noatime 0 0\n" +
	"PARTUUID=" + testPartUUID + " /nix btrfs subvol=@nix,noatime 0 0\n" +
	"PARTUUID=" + testPartUUID + " /var btrfs subvol=@var,noatime 0 0\n" +
	"PARTUUID=" + testPartUUID + " /home btrfs subvol=@home,noatime 0 0\n"

// storage are the modules of a profile that boots from any disk.
var storage = []string{"virtio_blk", "nvme", "ahci", "sd_mod", "usb_storage", "uas", "xhci_pci", "ehci_pci", "virtio_scsi"}

// lab is what the machines of this file share: a disk of the reference userland
// in the laptop's subvolumes, its kernel, and programs built of this checkout.
type lab struct {
	dir, disk, kernel string
	version           string // of the kernel
	tree              *fstree.Tree
	programs          embedded.Programs
}

var theLab struct {
	sync.Once
	*lab
}

func TestMain(m *testing.M) {
	code := m.Run()
	if theLab.lab != nil {
		os.RemoveAll(theLab.dir)
	}
	os.Exit(code)
}

// getLab builds the lab for the first test that needs it.
func getLab(t *testing.T) *lab {
	t.Helper()
	imgtest.Need(t, qemutests.Binary, "sgdisk", "go")
	reference := userland.Reference(t)
	theLab.Do(func() { theLab.lab = makeLab(t, reference) })
	if theLab.lab == nil {
		t.Fatal("the lab could not be built, see the first test")
	}
	return theLab.lab
}

func makeLab(t *testing.T, reference userland.Userland) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("", "mkimage-boot")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{dir: dir, disk: filepath.Join(dir, "disk.img")}
	kernels, err := filepath.Glob(filepath.Join(reference.Dir, "boot/vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		t.Fatalf("kernels of the reference userland: %v, %v; want one", kernels, err)
	}
	l.kernel = kernels[0]
	l.version = strings.TrimPrefix(filepath.Base(l.kernel), "vmlinuz-")
	run(t, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", dir+"/mkimage-init", "github.com/6FaNcY9/mkimage/cmd/mkimage-init")
	if l.programs, err = embedded.Load(); err != nil {
		t.Fatal(err)
	}
	if l.programs.Init, err = os.ReadFile(dir + "/mkimage-init"); err != nil {
		t.Fatal(err)
	}
	l.tree = laptopTree(t, reference.Dir)
	l.makeDisk(t)
	return l
}

// laptopTree is the reference userland with the laptop's fstab.
func laptopTree(t *testing.T, dir string) *fstree.Tree {
	t.Helper()
	tree, err := fstree.ScanDir(t.Context(), dir, fstree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	add := func(dir, name string, inode *fstree.Inode) {
		at := tree.Lookup(dir)
		if old := at.Child(name); old != nil {
			at.Remove(old)
		}
		if _, err := at.Add(name, inode); err != nil {
			t.Fatal(err)
		}
	}
	file := func(text string) *fstree.Inode {
		return &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(text)), Content: fstree.Bytes(text)}
	}
	add("etc", "fstab", file(laptopFstab))
	add("etc", "hostname", file("laptop\n"))
	add("etc", "machine-id", file(""))
	for _, name := range []string{"nix", "persist"} {
		add(".", name, &fstree.Inode{Mode: fstree.TypeDir | 0o755})
	}
	tree.Freeze()
	return tree
}

func (l *lab) makeDisk(t *testing.T) {
	t.Helper()
	f, err := os.Create(l.disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	result, err := btrfs.Write(t.Context(), &offsetWriter{f, partStart}, l.tree, btrfs.Params{
		Label: "laptop", Free: 512 << 20, Compression: btrfs.Compression{},
		Subvolumes: []btrfs.Subvolume{{Path: "@"}, {Path: "@home", Source: "home"}, {Path: "@nix", Source: "nix"},
			{Path: "@var", Source: "var"}, {Path: "@persist", Source: "persist"}},
		Snapshots: []btrfs.Snapshot{{Source: "@", Path: "@factory"}, {Source: "@var", Path: "@factory-var"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate((partStart + result.Size + 2<<20) &^ (1<<20 - 1)); err != nil {
		t.Fatal(err)
	}
	run(t, "sgdisk", "-n1:1M:+8M", "-t1:ef00", "-c1:ESP", "-n2:0:0", "-t2:8304", "-c2:laptop", "-u2:"+testPartUUID, l.disk)
}

// initrd builds an archive for c and returns its file.
func (l *lab) initrd(t *testing.T, c config.Config, shell bool) string {
	t.Helper()
	a, err := initramfs.Build(t.Context(), initramfs.Params{Root: l.tree, Kernel: l.version, Modules: storage, Shell: shell, Config: c, Programs: l.programs})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(name, a.Data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

const laptopCmdline = "root=PARTUUID=" + testPartUUID + " rootfstype=btrfs rootflags=subvol=@,noatime rw console=ttyS0 "

// start starts a machine. Its context ends the test before the deadline of go
// test does.
func (l *lab) start(t *testing.T, initrd, cmdline string, agent bool) (context.Context, *qemutests.VM) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	vm, err := qemutests.Start(ctx, qemutests.Config{
		Name: "boot", Disks: []qemutests.Disk{{File: l.disk}}, Agent: agent, Keep: os.Getenv("MKIMAGE_KEEP"),
		Direct: qemutests.Direct{Kernel: l.kernel, Initrd: initrd, Cmdline: cmdline},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	return ctx, vm
}

// shell runs a script in the guest and returns the words that it prints.
func shell(t *testing.T, ctx context.Context, vm *qemutests.VM, script string) []string {
	t.Helper()
	out, err := vm.Output(ctx, script)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	t.Logf("# %s\n%s", script, out)
	return strings.Fields(out)
}

func expect(t *testing.T, ctx context.Context, vm *qemutests.VM, pattern string) {
	t.Helper()
	got, err := vm.Expect(ctx, pattern)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(got[0])
}

func wantWords(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q; want %q", what, got, want)
	}
}
