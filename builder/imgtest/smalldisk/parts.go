package smalldisk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// kernelPath is where a small disk's source has its kernel.
const kernelPath = "usr/lib/linux"

// New returns the parts of an image of some 100 MiB, nearly all of it
// holes, in which everything is as it should be. The loader is one of
// profiles.Boot.
func New(loaderName string) (*Parts, error) {
	p, err := plan.Make(testProfile(loaderName), testLayout(), plan.Options{})
	if err != nil {
		return nil, err
	}
	initJSON, err := json.Marshal(plan.InitConfig(p, nil))
	if err != nil {
		return nil, err
	}
	s := &Parts{Plan: p, Source: fstree.New(), Initramfs: map[string]string{
		"init":                                  "\x7fELF",
		strings.TrimPrefix(config.Path, "/"):    string(initJSON),
		strings.TrimPrefix(config.Modules, "/"): "/lib/modules/6.12/btrfs.ko xor\n",
		"lib/modules/6.12/btrfs.ko":             "module",
	}}
	for path, data := range map[string]string{
		"etc/os-release": "ID=demo\nPRETTY_NAME=\"Demo\"\n", "etc/fstab": Fstab(p), kernelPath: string(EFIProgram("kernel")),
		"usr/lib/systemd/boot/efi/systemd-bootx64.efi": string(EFIProgram("boot")),
		"usr/lib/systemd/boot/efi/linuxx64.efi.stub":   string(EFIProgram("stub")),
		"usr/share/text": strings.Repeat("some text that compresses, ", 20_000),
		"usr/share/copy": strings.Repeat("some text that compresses, ", 20_000),
		"home/user/file": "a file of the user", "var/lib/state": "state", "var/log/wtmp": "",
	} {
		if err := loader.Put(s.Source, path, []byte(data), p.Epoch); err != nil {
			return nil, err
		}
	}
	if loaderName == loader.GRUB {
		if err := loader.Put(s.Source, grubPath, GRUBProgram("/EFI/debian", GRUBModules...), p.Epoch); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{"boot", "swap"} {
		if _, err := s.Source.MkdirAll(dir, nil); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func testProfile(loaderName string) profiles.Profile {
	return profiles.Profile{
		Name: "demo", Hostname: "demo", Roles: []string{"laptop"}, Source: "debian:trixie", Layout: "small",
		Boot: profiles.Boot{Loader: loaderName, Timeout: 3, Rescue: true}, Units: profiles.Units{Target: "multi-user.target"},
		Initramfs: profiles.Initramfs{Shell: true}, Locale: profiles.Locale{Lang: "C.UTF-8", Timezone: "UTC", Keymap: "us"},
		Swap: profiles.Swap{Policy: plan.SwapHibernate},
	}
}

func testLayout() layouts.Layout {
	return layouts.Layout{
		Name: "small", ESP: layouts.ESP{Size: 34 << 20, Label: "ESP", Mount: "/boot"},
		Root: layouts.Root{Label: "system", Options: []string{"compress=zstd:3"}, Metadata: "dup"},
		Subvolumes: []layouts.Subvolume{
			{Name: "@", Mount: "/", Early: true}, {Name: "@home", Mount: "/home", Snapshots: true},
			{Name: "@var", Mount: "/var", Early: true}, {Name: "@log", Mount: "/var/log"}, {Name: "@swap", Mount: "/swap", NoDataCow: true},
		},
		Swapfile: layouts.Swapfile{Subvolume: "@swap", Name: "swapfile", Size: "ram", Image: 1 << 20},
		Factory:  layouts.Factory{Subvolumes: []string{"@"}},
	}
}

// EFIProgram returns the least that passes for an EFI program: headers and one
// section that holds a tag.
func EFIProgram(tag string) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0x600)
	copy(b, "MZ")
	b[0x3c] = 0x40
	copy(b[0x40:], "PE\x00\x00")
	le.PutUint16(b[0x44:], 0x8664)
	le.PutUint16(b[0x46:], 1)
	le.PutUint16(b[0x54:], 240)
	opt := b[0x58:]
	le.PutUint16(opt, 0x20b)
	le.PutUint32(opt[32:], 0x1000)
	le.PutUint32(opt[36:], 0x200)
	le.PutUint32(opt[56:], 0x2000)
	le.PutUint32(opt[60:], 0x400)
	le.PutUint32(opt[108:], 16)
	at := b[0x58+240:]
	copy(at, ".text")
	le.PutUint32(at[8:], 0x200)
	le.PutUint32(at[12:], 0x1000)
	le.PutUint32(at[16:], 0x200)
	le.PutUint32(at[20:], 0x400)
	copy(b[0x400:], tag)
	return b
}

// packInitramfs returns an initramfs: microcode in a plain archive, the rest
// in zstd.
func packInitramfs(files map[string]string) ([]byte, error) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, err
	}
	return enc.EncodeAll(newc(files), newc(map[string]string{"kernel/x86/microcode/GenuineIntel.bin": "microcode"})), nil
}

// newc returns a cpio archive of programs: the plainest that there can be.
func newc(files map[string]string) []byte {
	var b bytes.Buffer
	member := func(name, content string, mode int) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
		for _, part := range []string{name + "\x00", content} {
			b.WriteString(part)
			b.Write(make([]byte, -b.Len()&3))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		member(name, files[name], 0o100755)
	}
	member("TRAILER!!!", "", 0)
	return b.Bytes()
}
