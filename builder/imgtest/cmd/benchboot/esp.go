package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
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
	first, err := defaultEntry(esp)
	if err != nil {
		return entry{}, err
	}
	e := entry{kernel: filepath.Join(dir, "linux"), initrd: filepath.Join(dir, "mkimage.img"), cmdline: first.Options, version: first.Version}
	for from, to := range map[string]string{first.Linux: e.kernel, first.Initrd[0]: e.initrd} {
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

// defaultEntry returns the boot entry that sorts first. It has an initrd.
// (Boot Loader Specification, type #1: sort-key.)
func defaultEntry(esp fs.FS) (bls.Entry, error) {
	names, err := fs.Glob(esp, bls.EntriesDir+"/*.conf")
	if err != nil {
		return bls.Entry{}, err
	}
	var entries []bls.Entry
	for _, name := range names {
		text, err := fs.ReadFile(esp, name)
		if err != nil {
			return bls.Entry{}, err
		}
		e, err := bls.ParseEntry(text)
		if err != nil {
			return bls.Entry{}, fmt.Errorf("%s: %w", name, err)
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return bls.Entry{}, fmt.Errorf("%s: no entry", bls.EntriesDir)
	}
	first := slices.MinFunc(entries, func(a, b bls.Entry) int { return cmp.Compare(a.SortKey, b.SortKey) })
	if len(first.Initrd) == 0 {
		return bls.Entry{}, fmt.Errorf("%s: the first entry has no initrd", bls.EntriesDir)
	}
	return first, nil
}
