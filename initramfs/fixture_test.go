package initramfs

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// put adds a file and the directories above it.
func put(t testing.TB, tree *fstree.Tree, path string, data []byte) *fstree.Entry {
	t.Helper()
	dir, name := "", path
	if i := strings.LastIndex(path, "/"); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	parent, err := tree.MkdirAll(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := parent.Add(name, &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(data)), Content: fstree.Bytes(data)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// symlink adds a symlink and the directories above it.
func symlink(t testing.TB, tree *fstree.Tree, path, target string) {
	t.Helper()
	e := put(t, tree, path, nil)
	*e.Inode = fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: target, Size: int64(len(target))}
}

// moduleELF makes the least that is a kernel module: an ELF object (the gABI,
// 64 bits, little-endian) with a section .modinfo of the given fields.
func moduleELF(fields ...string) []byte {
	names := "\x00.modinfo\x00.shstrtab\x00"
	info := strings.Join(fields, "\x00") + "\x00"
	var b bytes.Buffer
	le := func(vs ...any) {
		for _, v := range vs {
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				panic(err)
			}
		}
	}
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	sections := uint64(64 + len(info) + len(names))
	le(uint16(1), uint16(62), uint32(1), uint64(0), uint64(0), sections, uint32(0), uint16(64), uint16(0), uint16(0), uint16(64), uint16(3), uint16(2))
	b.WriteString(info + names)
	section := func(name, kind uint32, offset, size int) {
		le(name, kind, uint64(0), uint64(0), uint64(offset), uint64(size), uint32(0), uint32(0), uint64(1), uint64(0))
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(info))
	section(10, 3, 64+len(info), len(names))
	return b.Bytes()
}

func zst(t testing.TB, data []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(data, nil)
}

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// system returns a small Debian system: /lib is a symlink, modules are
// compressed in every way, one is in the kernel, one names firmware.
func system(t testing.TB) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	symlink(t, tree, "lib", "usr/lib")
	const dir = "usr/lib/modules/6.1-test/"
	put(t, tree, dir+"modules.dep", []byte(strings.Join([]string{
		"kernel/fs/btrfs/btrfs.ko.zst: kernel/lib/raid6/raid6_pq.ko.gz kernel/crypto/xor.ko",
		"kernel/lib/raid6/raid6_pq.ko.gz:",
		"kernel/crypto/xor.ko:",
		"kernel/crypto/xxhash_generic.ko:",
		"kernel/fs/overlayfs/overlay.ko:",
		"kernel/drivers/net/nic-card.ko: kernel/crypto/xor.ko",
		"kernel/drivers/net/nic-late.ko:",
		"",
	}, "\n")))
	put(t, tree, dir+"modules.softdep", []byte("# made by depmod\nsoftdep btrfs pre: xxhash64\nsoftdep btrfs pre: sha256 missing-altogether\nsoftdep nic_card post: nic-late\n"))
	put(t, tree, dir+"modules.alias", []byte("alias xxhash64 xxhash_generic\nalias pci:v*d* nic_card\n"))
	put(t, tree, dir+"modules.builtin", []byte("kernel/drivers/virtio/virtio_pci.ko\n"))
	put(t, tree, dir+"modules.builtin.modinfo", []byte("sha256_generic.alias=sha256\x00sha256_generic.license=GPL\x00"))
	put(t, tree, dir+"kernel/fs/btrfs/btrfs.ko.zst", zst(t, moduleELF("license=GPL", "depends=xor")))
	put(t, tree, dir+"kernel/lib/raid6/raid6_pq.ko.gz", gz(t, moduleELF("license=GPL")))
	put(t, tree, dir+"kernel/crypto/xor.ko", moduleELF("license=GPL"))
	put(t, tree, dir+"kernel/crypto/xxhash_generic.ko", moduleELF("license=GPL"))
	put(t, tree, dir+"kernel/fs/overlayfs/overlay.ko", moduleELF("license=GPL"))
	put(t, tree, dir+"kernel/drivers/net/nic-card.ko", moduleELF("firmware=nic/card.bin", "firmware=nic/absent.bin", "firmware=nic/second.bin",
		"firmware=/*(DEBLOBBED)*/", "firmware=../../etc/shadow", "firmware=nic/[a/b]"))
	put(t, tree, dir+"kernel/drivers/net/nic-late.ko", moduleELF())
	put(t, tree, "usr/lib/firmware/nic/card.bin.zst", zst(t, []byte("card")))
	symlink(t, tree, "usr/lib/firmware/nic/second.bin.zst", "card.bin.zst")
	put(t, tree, "usr/lib/firmware/gpu/one.bin", []byte("one"))
	put(t, tree, "usr/lib/firmware/gpu/two.bin.xz", []byte("not looked into"))
	put(t, tree, "usr/lib/firmware/gpu/readme.txt", []byte("text"))
	put(t, tree, "usr/lib/firmware/amd-ucode/microcode_amd_fam17h.bin", []byte("AMD17"))
	put(t, tree, "usr/lib/firmware/amd-ucode/microcode_amd.bin.zst", zst(t, []byte("AMD")))
	put(t, tree, "usr/lib/firmware/amd-ucode/microcode_amd.bin.asc", []byte("signature"))
	put(t, tree, "usr/lib/firmware/amd-ucode/README", []byte("text"))
	put(t, tree, "usr/lib/firmware/intel-ucode/06-9e-0a", []byte("INTEL"))
	put(t, tree, "usr/lib/firmware/intel-ucode/06-4f-01_held_back", []byte("no"))
	put(t, tree, "usr/lib/firmware/intel-ucode/06-4f-01.initramfs", []byte("no"))
	return tree
}
