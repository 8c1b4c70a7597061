package inventory

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	fat "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/loader/grubcfg"
	"github.com/6FaNcY9/mkimage/builder/loader/grubimage"
	"github.com/6FaNcY9/mkimage/builder/nix"
	uki "github.com/6FaNcY9/mkimage/builder/uki/reader"
)

// The boot loaders that are told apart.
const (
	LoaderSystemdBoot = "systemd-boot"
	LoaderGRUB        = "grub"
	LoaderUKI         = "uki"
)

// Program is an EFI program on an ESP.
type Program struct {
	Path string `json:"path"` // from the root of the ESP, without a leading slash
	Kind string `json:"kind"` // one of the Loader names, "efi" for another program, or "" for what is none
	Size int64  `json:"size"` // bytes
}

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

// program describes an EFI program.
func (e *esp) program(name string) (Program, bool) {
	p := Program{Path: name}
	opened, err := e.open(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			e.problems.add(Boot, e.String(), "", "/%s: %v", name, err)
		}
		return p, false
	}
	p.Size = opened.Size()
	prog, err := uki.Open(opened, p.Size)
	if err != nil {
		e.problems.add(Boot, e.String(), "the firmware does not start it", "/%s: %v", name, err)
		return p, true
	}
	p.Kind = "efi"
	if _, err := prog.Section(grubimage.Section); err == nil {
		p.Kind = LoaderGRUB
	}
	if magic, err := prog.Text(".sdmagic"); err == nil && strings.HasPrefix(magic, sdMagic) {
		p.Kind = LoaderSystemdBoot
	}
	if prog.IsUKI() {
		p.Kind = LoaderUKI
	}
	return p, true
}

// open opens a regular file.
func (e *esp) open(name string) (*fat.File, error) {
	f, err := e.files.Open(name)
	if err != nil {
		return nil, err
	}
	file, ok := f.(*fat.File)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
	}
	return file, nil
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

// grub returns the entries of GRUB, and the ID of the default.
func (e *esp) grub() (list []Entry, id string) {
	data, err := e.files.ReadAtMost(grubcfg.ConfFile, grubcfg.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ""
	}
	var conf grubcfg.Conf
	if err == nil {
		conf, err = grubcfg.Parse(data)
	}
	if err != nil {
		e.problems.add(Note, e.String(), "it was written by the system's own tools, and what it starts cannot be told", "/%s: %v", grubcfg.ConfFile, err)
		conf.Custom = true
	}
	e.Timeout = conf.Timeout
	entries := conf.Entries
	if conf.Custom {
		if data, err := e.files.ReadAtMost(grubcfg.CustomFile, grubcfg.MaxSize); err == nil {
			if more, err := grubcfg.ParseCustom(data); err == nil {
				entries = append(entries, more...)
			}
		}
	}
	for _, x := range entries[:min(len(entries), maxEntries)] {
		list = append(list, e.complete(Entry{ID: text(x.ID), Title: text(x.Title), Linux: text(x.Linux), Initrd: x.Initrd, Options: text(x.Options)}, append([]string{x.Linux}, x.Initrd...)))
	}
	return list, conf.Default
}

// images returns the unified kernel images that systemd-boot finds by itself.
func (e *esp) images() (list []Entry) {
	files, err := e.files.ReadDir(imagesDir)
	if err != nil {
		return nil
	}
	for _, f := range files {
		if !strings.HasSuffix(strings.ToLower(f.Name()), ".efi") || len(list) == maxEntries {
			continue
		}
		if x, ok := e.image(imagesDir + "/" + f.Name()); ok {
			list = append(list, x)
		}
	}
	return list
}

// image describes a unified kernel image.
func (e *esp) image(name string) (Entry, bool) {
	f, err := e.open(name)
	if err != nil {
		return Entry{}, false
	}
	p, err := uki.Open(f, f.Size())
	if err != nil || !p.IsUKI() {
		return Entry{}, false
	}
	section := func(name string) string {
		s, err := p.Text(name)
		if err != nil {
			return ""
		}
		return s
	}
	x := Entry{ID: path.Base(name), Title: prettyName(section(".osrel")), Version: text(section(".uname")), Linux: "/" + name, Options: text(section(".cmdline"))}
	return e.complete(x, nil), true
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

// judgeMenu says what keeps the firmware from starting something.
func (e *esp) judgeMenu() {
	const repair = "repairing the boot puts it back"
	if !slices.ContainsFunc(e.Programs, func(p Program) bool { return p.Path == fallbackPath }) {
		means := "the firmware starts nothing from it; " + repair
		if len(e.Programs) > 0 {
			means = "the firmware starts it by an entry of its own alone; " + repair
		}
		e.problems.add(Boot, e.String(), means, "there is no boot loader at /%s", fallbackPath)
	}
	if len(e.Entries) == 0 {
		e.problems.add(Boot, e.String(), "no system can be chosen; repairing the boot makes it anew from the system", "the boot menu has no entries")
	}
	for _, x := range e.Entries {
		if len(x.Missing) == 0 {
			continue
		}
		means := "it does not start"
		if x.Default {
			means = "it is the default, and does not start; " + repair
		}
		e.problems.add(Boot, e.String(), means, "entry %s: %s is not there", x.ID, strings.Join(x.Missing, ", "))
	}
}
