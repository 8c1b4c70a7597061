package inventory

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// The boot loaders that are told apart.
const (
	LoaderSystemdBoot = "systemd-boot"
	LoaderGRUB        = "grub"
	LoaderUKI         = "uki"
)

// Entry is a way to start Linux.
type Entry struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Version  string   `json:"version,omitempty"` // of the kernel, or what NixOS says there
	Linux    string   `json:"linux"`             // path from the root of the ESP, with a leading slash
	Initrd   []string `json:"initrd,omitempty"`
	Options  string   `json:"options"` // the kernel's command line
	Default  bool     `json:"default,omitempty"`
	Missing  []string `json:"missing,omitempty"`  // files that it names and that are not there
	Toplevel string   `json:"toplevel,omitempty"` // the system of NixOS that it starts
}

// Where boot loaders and their entries are, from the root of the ESP. The second is that
// of bootctl(1), the third that of unified kernel images (UAPI.1, type #2 entries).
const (
	fallbackPath = bls.FallbackPath
	systemdPath  = "EFI/systemd/systemd-bootx64.efi"
	imagesDir    = "EFI/Linux"
)

const (
	maxEntries = 512      // of a menu
	maxEntry   = 64 << 10 // bytes of an entry or of loader.conf
	sdMagic    = "#### LoaderInfo: systemd-boot"
)

// menu reads what the firmware starts, and the entries of all boot loaders that there
// are: those of one that is gone too, which is put back by repairing the boot.
func (e *esp) menu() {
	for _, name := range []string{fallbackPath, systemdPath} {
		if p, ok := e.program(name); ok {
			e.Programs = append(e.Programs, p)
		}
	}
	named := e.typeOne()
	images := e.images()
	grub, isDefault := e.grub()
	e.Loader = e.loader(len(named) > 0)
	switch e.Loader {
	case LoaderGRUB:
		e.Entries = append(append(append(e.Entries, grub...), named...), images...)
		e.markDefault(func(x Entry) bool { return x.ID == isDefault })
	case LoaderUKI:
		if x, ok := e.image(fallbackPath); ok {
			e.Entries = append(e.Entries, x)
		}
		e.Entries = append(append(e.Entries, named...), images...)
		e.markDefault(nil)
	default:
		e.Entries = append(append(append(e.Entries, named...), images...), grub...)
		e.markDefault(e.conf())
	}
	if len(e.Entries) > maxEntries {
		e.Entries = e.Entries[:maxEntries]
	}
	e.judgeMenu()
}

// loader names the boot loader: that of the program that the firmware starts, or else
// that for which there is a menu.
func (e *esp) loader(entries bool) string {
	for _, p := range e.Programs {
		if p.Kind != "" && p.Kind != "efi" {
			return p.Kind
		}
	}
	if len(e.Programs) > 0 && entries {
		return LoaderSystemdBoot
	}
	return ""
}

// typeOne returns the entries of systemd-boot, in the order of its menu.
func (e *esp) typeOne() []Entry {
	files, err := e.files.ReadDir(bls.EntriesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.problems.add(Boot, e.String(), "", "/%s: %v", bls.EntriesDir, err)
	}
	var named []bls.Named
	for _, f := range files {
		if _, ok := bls.ParseName(f.Name()); !ok || !f.Type().IsRegular() || len(named) == maxEntries {
			continue
		}
		name := bls.EntriesDir + "/" + f.Name()
		data, err := e.files.ReadAtMost(name, maxEntry)
		var x bls.Entry
		if err == nil {
			x, err = bls.ParseEntry(data)
		}
		if err != nil {
			e.problems.add(Boot, e.String(), "the menu does not show it", "/%s: %v", name, err)
			continue
		}
		named = append(named, bls.Named{File: f.Name(), Entry: x})
	}
	slices.SortFunc(named, bls.Compare)
	var list []Entry
	for _, n := range named {
		id, _ := bls.ParseName(n.File)
		x := Entry{ID: id, Title: text(n.Title), Version: text(n.Version), Linux: text(cmp.Or(n.Linux, n.EFI, n.UKI)), Initrd: n.Initrd, Options: text(n.Options)}
		list = append(list, e.complete(x, n.Files()))
	}
	return list
}

// complete fills in what follows from the rest.
func (e *esp) complete(x Entry, files []string) Entry {
	for _, f := range files {
		if _, err := e.files.Stat(strings.TrimPrefix(f, "/")); err != nil {
			x.Missing = append(x.Missing, text(f))
		}
	}
	x.Toplevel = toplevelOf(x.Options)
	return x
}

// toplevelOf returns the system of NixOS that a command line starts, "" for none.
func toplevelOf(options string) string {
	for _, word := range strings.Fields(options) {
		if init, ok := strings.CutPrefix(word, "init="); ok {
			if top, err := nix.ParseStorePath(path.Dir(init)); err == nil {
				return top.String()
			}
		}
	}
	return ""
}

// conf reads loader.conf, and returns what is the default by it.
func (e *esp) conf() func(Entry) bool {
	data, err := e.files.ReadAtMost(bls.ConfFile, maxEntry)
	if err != nil {
		return nil
	}
	conf, err := bls.ParseConf(data)
	if err != nil {
		e.problems.add(Note, e.String(), "the menu waits for the time that systemd-boot has by itself", "/%s: %v", bls.ConfFile, err)
		return nil
	}
	e.Timeout = conf.Timeout
	if conf.Default == "" {
		return nil
	}
	pattern := strings.ToLower(conf.Default)
	return func(x Entry) bool {
		for _, name := range []string{x.ID + ".conf", x.ID} {
			if ok, err := path.Match(pattern, strings.ToLower(name)); ok && err == nil {
				return true
			}
		}
		return false
	}
}

// markDefault marks the first entry that is the default, or the first of all.
func (e *esp) markDefault(is func(Entry) bool) {
	at := -1
	if is != nil {
		at = slices.IndexFunc(e.Entries, is)
	}
	if at = max(at, 0); at < len(e.Entries) {
		e.Entries[at].Default = true
	}
}
