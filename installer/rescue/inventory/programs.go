package inventory

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	fat "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/loader/grubimage"
	uki "github.com/6FaNcY9/mkimage/builder/uki/reader"
)

// Program is an EFI program on an ESP.
type Program struct {
	Path string `json:"path"` // from the root of the ESP, without a leading slash
	Kind string `json:"kind"` // one of the Loader names, "efi" for another program, or "" for what is none
	Size int64  `json:"size"` // bytes
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
