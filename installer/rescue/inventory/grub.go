package inventory

import (
	"errors"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/loader/grubcfg"
)

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
