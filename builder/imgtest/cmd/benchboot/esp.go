package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
)

// entry is what the default entry of the image's boot menu starts.
type entry struct {
	kernel, initrd string // files on this machine
	cmdline        string
	version        string // of the kernel
}

// unpackESP copies kernel and initramfs out of the image's first partition.
func unpackESP(image, dir string) (entry, error) {
	f, err := os.Open(image)
	if err != nil {
		return entry{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return entry{}, err
	}
	table, _, err := gpt.Read(f, info.Size())
	if err != nil {
		return entry{}, err
	}
	p := table.Partitions[0]
	esp, err := reader.Open(io.NewSectionReader(f, p.Start, p.Size), p.Size)
	if err != nil {
		return entry{}, err
	}
	keys, err := defaultEntry(esp)
	if err != nil {
		return entry{}, err
	}
	e := entry{kernel: filepath.Join(dir, "linux"), initrd: filepath.Join(dir, "mkimage.img"), cmdline: keys["options"], version: keys["version"]}
	for from, to := range map[string]string{keys["linux"]: e.kernel, keys["initrd"]: e.initrd} {
		data, err := esp.ReadFile(strings.TrimPrefix(from, "/"))
		if err != nil {
			return entry{}, err
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return entry{}, err
		}
	}
	return e, nil
}

// defaultEntry returns the keys of the boot entry that sorts first.
// (Boot Loader Specification, type #1: sort-key.)
func defaultEntry(esp fs.FS) (map[string]string, error) {
	names, err := fs.Glob(esp, "loader/entries/*.conf")
	if err != nil {
		return nil, err
	}
	var first map[string]string
	for _, name := range names {
		text, err := fs.ReadFile(esp, name)
		if err != nil {
			return nil, err
		}
		keys := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			keys[key] = value
		}
		if first == nil || keys["sort-key"] < first["sort-key"] {
			first = keys
		}
	}
	if first == nil {
		return nil, fmt.Errorf("loader/entries: no entry")
	}
	return first, nil
}
