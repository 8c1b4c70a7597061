package initramfs

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// TestBuildNixOS builds from a store: the kernel's own modules and the tree
// that joins them with others by symlinks, and firmware of a package.
func TestBuildNixOS(t *testing.T) {
	from, tree := system(t), fstree.New()
	const (
		own    = "nix/store/aaa-linux-6.1-test/lib/modules/6.1-test"
		joined = "nix/store/zzz-linux-6.1-test-modules/lib/modules/6.1-test"
	)
	for e := range from.Lookup("usr/lib/modules/6.1-test").All() {
		if !e.IsRegular() {
			continue
		}
		data, err := readEntry(e, maxFile)
		if err != nil {
			t.Fatal(err)
		}
		rest := e.Path()[len("usr/lib/modules/6.1-test"):]
		if e.Parent().Name == "6.1-test" {
			put(t, tree, joined+rest, data)
		} else {
			put(t, tree, own+rest, data)
		}
	}
	put(t, tree, own+"/modules.dep", nil)
	symlink(t, tree, joined+"/kernel", "/"+own+"/kernel")
	put(t, tree, "nix/store/ccc-linux-firmware-2026/lib/firmware/nic/card.bin.xz", []byte("wrong"))
	put(t, tree, "nix/store/ddd-card-1/card.bin.xz", []byte("card"))
	symlink(t, tree, "nix/store/bbb-firmware/lib/firmware/nic", "/nix/store/ddd-card-1")

	p := params(t)
	p.Root, p.Firmware = tree, nil
	a, err := Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	all := byName(t, unpackNewc(t, a.Data)[0])
	if got := all["lib/firmware/nic/card.bin.xz"].data; got != "card" {
		t.Errorf("firmware = %q; want that of the system's package", got)
	}
	if got := all["lib/modules/6.1-test/kernel/fs/btrfs/btrfs.ko"].data; got != string(moduleELF("license=GPL", "depends=xor")) {
		t.Errorf("btrfs.ko has %d bytes", len(got))
	}
}
