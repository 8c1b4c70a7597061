package bootmenu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/durable/cut"
)

// nixosESP returns the files of the ESP of a NixOS of generations that the last of is the
// default. Its entries have our initramfs, as an image has it, or the system's own, as its
// builder writes them.
func nixosESP(label, standard string, own bool, generations ...int) map[string]string {
	linux, initrd := "/EFI/nixos/"+label+"-linux.efi", "/EFI/nixos/mkimage-"+label+"-initramfs.efi"
	disk := "root=PARTUUID=x rw "
	if !own {
		initrd, disk = "/EFI/nixos/"+label+"-initrd.efi", ""
	}
	files := map[string]string{
		"/EFI/BOOT/BOOTX64.EFI": "systemd-boot of " + label,
		"/loader/loader.conf":   "timeout 3\ndefault " + standard + "\n",
		linux:                   "kernel " + label,
		initrd:                  "initramfs " + label,
	}
	for _, n := range generations {
		text, err := bls.Entry{
			Title: "NixOS", SortKey: "nixos", Version: fmt.Sprintf("Generation %d %s", n, label), Linux: linux, Initrd: []string{initrd},
			Options: fmt.Sprintf("%sinit=/%s-%d quiet", disk, label, n),
		}.Encode()
		if err != nil {
			panic(err)
		}
		files[fmt.Sprintf("/loader/entries/nixos-generation-%d.conf", n)] = string(text)
	}
	return files
}

// sourceESP returns those of a NixOS that starts by its own initrd, with a prelude to it.
func sourceESP(label string) map[string]string {
	files := nixosESP(label, "nixos-generation-1.conf", false, 1)
	const name = "/loader/entries/nixos-generation-1.conf"
	prelude := "/EFI/nixos/mkimage-" + label + preludeSuffix
	e, err := bls.ParseEntry([]byte(files[name]))
	if err != nil {
		panic(err)
	}
	e.Initrd = append(e.Initrd, prelude)
	e.Options = "rdinit=/mkimage/init mkimage.root=PARTUUID=x " + e.Options + " root=fstab"
	text, err := e.Encode()
	if err != nil {
		panic(err)
	}
	files[name], files[prelude] = string(text), "prelude "+label
	files["/mkimage/6.1-"+label+"/linux"], files["/mkimage/6.1-"+label+"/initramfs"] = "kernel "+label, "initramfs "+label
	return files
}

// entryOf returns the entry of a name, whose files must be there.
func entryOf(f *cut.FS, name string) (e bls.Entry, err error) {
	text, _ := f.Text("/loader/entries/" + name)
	if e, err = bls.ParseEntry([]byte(text)); err != nil {
		return e, fmt.Errorf("%s: %w", name, err)
	}
	for _, file := range e.Files() {
		if text, _ := f.Text(file); text == "" {
			return e, fmt.Errorf("%s needs %s, which is not there", name, file)
		}
	}
	return e, nil
}

// nixosCases are what a NixOS is replaced by, and what boots afterwards.
var nixosCases = []struct {
	name          string
	old, new      map[string]string
	first, before string // names
	standard, way string // options
	kernel        string // of the old system
}{
	{
		"an image by another", nixosESP("a", "nixos-generation-1.conf", true, 1), nixosESP("b", "nixos-generation-1.conf", true, 1),
		"nixos-generation-1.conf", "mkimage-nixos-generation-1-before-7f.conf",
		"root=PARTUUID=x rw init=/b-1 quiet mkimage.switch=7f", "root=PARTUUID=x rw init=/a-1 quiet mkimage.back=7f", "kernel a",
	},
	{
		"generations of its own", nixosESP("a", "nixos-*", false, 1, 9, 10), nixosESP("b", "nixos-generation-1.conf", true, 1),
		"nixos-generation-1.conf", "mkimage-nixos-generation-1-before-7f.conf",
		"root=PARTUUID=x rw init=/b-1 quiet mkimage.switch=7f", "root=PARTUUID=x rw init=/a-10 quiet mkimage.back=7f", "kernel b",
	},
	{
		"by a Debian", nixosESP("a", "nixos-generation-9.conf", false, 8, 9), esp("6.12", "fox"),
		"mkimage-fox.conf", "mkimage-fox-before-7f.conf",
		"root=PARTUUID=x rw mkimage.switch=7f", "root=PARTUUID=x rw init=/a-9 quiet mkimage.back=7f", "kernel 6.12",
	},
	{
		"a Debian by it", esp("6.1", "fox"), nixosESP("b", "nixos-generation-1.conf", true, 1),
		"nixos-generation-1.conf", "mkimage-nixos-generation-1-before-7f.conf",
		"root=PARTUUID=x rw init=/b-1 quiet mkimage.switch=7f", "root=PARTUUID=x rw mkimage.back=7f", "kernel 6.1",
	},
	{
		"an image with its own initrd by another", sourceESP("a"), sourceESP("b"),
		"nixos-generation-1.conf", "mkimage-nixos-generation-1-before-7f.conf",
		sourceOptions, "root=PARTUUID=x rootfstype=btrfs rw init=/a-1 quiet mkimage.back=7f", "kernel a",
	},
	{
		"generations of its own by that", nixosESP("a", "nixos-*", false, 1, 9, 10), sourceESP("b"),
		"nixos-generation-1.conf", "mkimage-nixos-generation-1-before-7f.conf",
		sourceOptions, "root=PARTUUID=x rootfstype=btrfs rw init=/a-10 quiet mkimage.back=7f", "kernel b",
	},
	{
		"that by a Debian", sourceESP("a"), esp("6.12", "fox"),
		"mkimage-fox.conf", "mkimage-fox-before-7f.conf",
		"root=PARTUUID=x rw mkimage.switch=7f", "root=PARTUUID=x rootfstype=btrfs rw init=/a-1 quiet mkimage.back=7f", "kernel a",
	},
}

// sourceOptions are those of sourceESP("b").
const sourceOptions = "rdinit=/mkimage/init mkimage.root=PARTUUID=x init=/b-1 quiet root=fstab mkimage.switch=7f"

// TestReplaceNixOS cuts the change after every write, on a file system with and without
// the ways of FAT.
func TestReplaceNixOS(t *testing.T) {
	for _, tt := range nixosCases {
		for _, fat := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, FAT %v", tt.name, fat), func(t *testing.T) {
				tree, start := treeOf(t, tt.new), diskOf(tt.old)
				if fat {
					start.FAT()
				}
				done := func(f *cut.FS) error {
					standard, err := entryOf(f, tt.first)
					if err != nil {
						return err
					}
					way, err := entryOf(f, tt.before)
					if err != nil {
						return err
					}
					kernel, _ := f.Text(way.Linux)
					if len(way.Initrd) != 1 || standard.Options != tt.standard || way.Options != tt.way || kernel != tt.kernel || !strings.HasPrefix(way.Linux, "/mkimage/") {
						return fmt.Errorf("boots %q, before %q with %s (%s)", standard.Options, way.Options, kernel, way.Linux)
					}
					if text, _ := f.Text("/loader/loader.conf"); !strings.Contains(text, "default "+tt.first+"\n") {
						return fmt.Errorf("loader.conf %q", text)
					}
					for _, name := range f.Names() {
						if strings.Contains(name, "entries/nixos-") && !strings.HasSuffix(name, "/"+tt.first) || strings.Contains(name, "EFI/nixos/a-") {
							return fmt.Errorf("%s is left", name)
						}
					}
					return nil
				}
				states, err := cut.Run{Start: start, Do: func(f *cut.FS) error { return Replace(f, tree, "7f") }, Done: done}.Explore()
				if err != nil {
					t.Error(err)
				}
				t.Logf("%d states", states)
			})
		}
	}
}

// TestReplaceNixOSCut: at every cut the default entry, by its name, boots one of both.
func TestReplaceNixOSCut(t *testing.T) {
	for _, tt := range nixosCases {
		t.Run(tt.name, func(t *testing.T) {
			tree := treeOf(t, tt.new)
			_, err := cut.Run{
				Start: diskOf(tt.old),
				Do:    func(f *cut.FS) error { return Replace(f, tree, "7f") },
				Check: func(f *cut.FS) error {
					r := &replacement{fs: f, id: "7f"}
					if err := r.readDefault(); err != nil {
						return err
					}
					for _, file := range r.before.Files() {
						if text, _ := f.Text(file); text == "" {
							return fmt.Errorf("%s is not there", file)
						}
					}
					if strings.Contains(r.before.Options, "mkimage.switch=7f") {
						_, err := entryOf(f, tt.before)
						return err
					}
					return nil
				},
				Done: func(*cut.FS) error { return nil },
			}.Explore()
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReplaceNoNixOSDefault: a pattern that fits nothing.
func TestReplaceNoNixOSDefault(t *testing.T) {
	files := nixosESP("a", "nixos-?", false, 1)
	f := diskOf(files)
	err := Replace(f, treeOf(t, esp("6.12", "fox")), "7f")
	if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "no entry of this name") {
		t.Errorf("Replace: %v", err)
	}
}

// TestDefault: which entry the menu starts by itself, as systemd-boot has it.
func TestDefault(t *testing.T) {
	entry := func(version, options string) string {
		return "title NixOS\nsort-key nixos\nversion " + version + "\nlinux /EFI/nixos/a.efi\noptions " + options + "\n"
	}
	two := map[string]string{
		"nixos-generation-2.conf": entry("Generation 2 Fox", "two"), "nixos-generation-2-specialisation-x.conf": entry("Generation 2 Fox", "two-x"),
		"nixos-generation-1.conf": entry("Generation 1 Fox", "one"),
	}
	tests := []struct {
		name, standard string
		add            map[string]string
		want           string
	}{
		{"by name", "nixos-generation-1.conf", nil, "one"},
		{"by a name of one's own", "my [x] entry.conf", map[string]string{"my [x] entry.conf": entry("1", "mine")}, "mine"},
		{"a generation before its specialisations", "nixos-*", nil, "two"},
		{"what its builder was writing", "nixos-*", map[string]string{"nixos-generation-3.tmp": entry("Generation 3 Fox", "three")}, "two"},
		{"a count of boots", "nixos-generation-3.conf", map[string]string{"nixos-generation-3+2-1.conf": entry("Generation 3 Fox", "three")}, "three"},
		{"a count of boots that has come to its end", "nixos-*", map[string]string{"nixos-generation-3+0-3.conf": entry("Generation 3 Fox", "three")}, "two"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := diskOf(map[string]string{"/loader/loader.conf": "default " + tt.standard + "\n"})
			for _, list := range []map[string]string{two, tt.add} {
				for name, text := range list {
					f.Put("/loader/entries/"+name, text, 0o644, 0)
				}
			}
			r := &replacement{fs: f, id: "7f"}
			if err := r.readDefault(); err != nil || r.before.Options != tt.want {
				t.Errorf("options %q, %v; want %q", r.before.Options, err, tt.want)
			}
		})
	}
}
