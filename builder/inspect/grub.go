package inspect

import (
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/loader/grubcfg"
	"github.com/6FaNcY9/mkimage/builder/loader/grubimage"
	ukireader "github.com/6FaNcY9/mkimage/builder/uki/reader"
)

// isGRUB reports whether a program is an image of GRUB.
func isGRUB(p *ukireader.Program) bool {
	_, err := p.Section(grubimage.Section)
	return err == nil
}

// grub describes GRUB and the entries that mkimage has written. What a system's own
// tools have made of its configuration is noted as unread.
func (i *inspection) grub() {
	b := &i.image.Boot
	b.Loader = LoaderGRUB
	conf, ok := readGRUB(i, grubcfg.ConfFile, grubcfg.Parse)
	b.Timeout, b.Default = conf.Timeout, conf.Default
	for _, e := range conf.Entries {
		b.Entries = append(b.Entries, i.grubEntry(e))
	}
	if ok && !conf.Custom {
		return
	}
	custom, _ := readGRUB(i, grubcfg.CustomFile, grubcfg.ParseCustom)
	for _, e := range custom {
		b.Entries = append(b.Entries, i.grubEntry(e))
	}
}

func readGRUB[T any](i *inspection, name string, parse func([]byte) (T, error)) (got T, ok bool) {
	text, err := i.esp.ReadAtMost(name, maxText)
	if err == nil {
		got, err = parse(text)
	}
	if err != nil {
		i.unread("/"+name, err)
	}
	return got, err == nil
}

// grubEntry describes an entry. What version its kernel has, the folder says that
// mkimage puts it into.
func (i *inspection) grubEntry(e grubcfg.Entry) Entry {
	out := Entry{ID: e.ID, Title: e.Title, Version: versionOf(e.Linux), Options: e.Options, Linux: i.file(e.Linux), Initrd: []File{}}
	for _, p := range e.Initrd {
		out.Initrd = append(out.Initrd, i.file(p))
	}
	return out
}

// versionOf returns VERSION of /mkimage/VERSION-DIGEST/linux, or "".
func versionOf(linux string) string {
	folder := path.Dir(linux)
	end := strings.LastIndexByte(path.Base(folder), '-')
	if path.Dir(folder) != "/mkimage" || end < 0 {
		return ""
	}
	return path.Base(folder)[:end]
}
