// Package bootmenu puts a system that stands beside the old one into the boot menu
// of an installed disk, and keeps an entry for the old one.
//
// The change of one file is what counts: before it the firmware starts the old
// system, after it the new one. All that the new system needs is on the disk
// before, and nothing that the old one needs is removed as long as it has an
// entry. The ESP is mounted by the caller.
package bootmenu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// entriesDir and confFile are below the mount point.
const (
	entriesDir = "/" + bls.EntriesDir
	confFile   = "/" + bls.ConfFile
)

// beforeMark is in the names of entries of systems before an installation.
const beforeMark = "-before-"

// beforeSortKey puts such an entry behind all others of ours.
const beforeSortKey = "mkimage-9-before"

// Limits of files that are read, in bytes.
const (
	maxEntry = 64 << 10
	maxFile  = 512 << 20
)

// Replace makes the content of tree, the ESP of a system, that of a mounted ESP,
// for installation id: the first entry that tree's loader.conf names boots the new
// system, and a new one the system before. The error is of class fault.Target
// where the ESP is not as an installed system has it.
func Replace(f durable.FS, tree *fstree.Tree, id string) error {
	if err := beside.CheckID(id); err != nil {
		return err
	}
	r := &replacement{fs: f, id: id, files: map[string][]byte{}, entries: map[string][]byte{}}
	for _, step := range []func() error{
		func() error { return r.read(tree) }, r.findOld, r.writeFiles, r.writeBefore, r.commit, r.writeRest, r.removeStale,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("boot menu: %w", err)
		}
	}
	return nil
}

// Starts reports whether an entry of a mounted ESP starts the system that
// installation id has put beside another one.
func Starts(f durable.FS, id string) (bool, error) {
	names, err := f.List(entriesDir)
	if err != nil {
		return false, fmt.Errorf("boot menu: %w", err)
	}
	for _, name := range names {
		text, err := durable.Read(f, path.Join(entriesDir, name), maxEntry)
		if err != nil {
			return false, fmt.Errorf("boot menu: %w", err)
		}
		entry, err := bls.ParseEntry(text)
		if err == nil && strings.HasSuffix(name, ".conf") && slices.Contains(strings.Fields(entry.Options), beside.SwitchWord+"="+id) {
			return true, nil
		}
	}
	return false, nil
}

// replacement is one run of Replace.
type replacement struct {
	fs      durable.FS
	id      string
	files   map[string][]byte // of the new system, by path
	entries map[string][]byte // by file name
	conf    []byte            // loader.conf
	first   string            // file name of the new default entry
	before  bls.Entry         // that booted the old system
}

// read takes the files out of the tree. Entries boot the new system, whose names
// are switched first.
func (r *replacement) read(tree *fstree.Tree) error {
	for e := range tree.All() {
		if !e.IsRegular() {
			continue
		}
		data, err := content(e)
		if err != nil {
			return err
		}
		name := "/" + e.Path()
		switch {
		case name == confFile:
			r.conf = data
		case path.Dir(name) == entriesDir:
			entry, err := bls.ParseEntry(data)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			entry.Options += " " + beside.SwitchWord + "=" + r.id
			if r.entries[path.Base(name)], err = entry.Encode(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		default:
			r.files[name] = data
		}
	}
	conf, err := bls.ParseConf(r.conf)
	if err != nil {
		return fmt.Errorf("%s: %w", confFile, err)
	}
	if r.first = conf.Default; r.entries[r.first] == nil {
		return fmt.Errorf("%s: default %q: expected the name of an entry", confFile, conf.Default)
	}
	return nil
}

func content(e *fstree.Entry) ([]byte, error) {
	if e.Content == nil || e.Size > maxFile {
		return nil, fmt.Errorf("/%s: %d bytes, expected content of at most %d", e.Path(), e.Size, int64(maxFile))
	}
	file, err := e.Content.Open(e)
	if err != nil {
		return nil, err
	}
	data := make([]byte, e.Size)
	_, err = io.ReadFull(io.NewSectionReader(file, 0, e.Size), data)
	return data, errors.Join(err, file.Close())
}

// findOld finds the entry that boots the system now.
func (r *replacement) findOld() error {
	err := r.readDefault()
	if err == nil {
		return nil
	}
	if kept, ok := r.keptBefore(); ok {
		r.before = kept
		return nil
	}
	return err
}

// readDefault reads the entry that the menu starts by itself.
func (r *replacement) readDefault() error {
	text, err := durable.Read(r.fs, confFile, maxEntry)
	if err != nil {
		return fault.New(fault.Target, "", "the target has no menu of systemd-boot: %w", err)
	}
	conf, err := bls.ParseConf(text)
	if err != nil {
		return fault.New(fault.Target, "", "target: %s: %w", confFile, err)
	}
	if text, err = durable.Read(r.fs, path.Join(entriesDir, conf.Default), maxEntry); err == nil {
		r.before, err = bls.ParseEntry(text)
	}
	if err != nil {
		return fault.New(fault.Target, "", "target: default entry %q: %w", conf.Default, err)
	}
	return nil
}

// beforeTitle ends the title of an entry of a system before an installation.
const beforeTitle = " (before the last installation)"

// keptBefore returns what an installation that was cut short while it changed the
// default had kept of the old system: on FAT that may have left the default empty.
// Where there are several of the kind nobody knows which is the last.
func (r *replacement) keptBefore() (kept bls.Entry, ok bool) {
	names, err := r.fs.List(entriesDir)
	if err != nil {
		return kept, false
	}
	n := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "mkimage-") || !strings.Contains(name, beforeMark) || !strings.HasSuffix(name, ".conf") {
			continue
		}
		n++
		text, err := durable.Read(r.fs, path.Join(entriesDir, name), maxEntry)
		if err == nil {
			kept, err = bls.ParseEntry(text)
		}
		ok = err == nil
	}
	kept.Title = strings.TrimSuffix(kept.Title, beforeTitle)
	return kept, ok && n == 1
}

// writeFiles writes what the new entries need. Kernels are in folders named by
// their content: that of the old system keeps its own.
func (r *replacement) writeFiles() error {
	for _, name := range sorted(r.files) {
		if err := r.write(name, r.files[name]); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file unless it is as it should be. Who wrote it may have been
// stopped before its name, and what FAT has beside that, was on the disk.
func (r *replacement) write(name string, data []byte) error {
	if old, err := durable.Read(r.fs, name, int64(len(data))+1); err == nil && bytes.Equal(old, data) {
		if err := durable.Sync(r.fs, name); err != nil {
			return err
		}
		return durable.Sync(r.fs, path.Dir(name))
	}
	return durable.Write(r.fs, name, data, 0o644)
}

// writeBefore writes the entry of the old system. It is there before it is needed.
func (r *replacement) writeBefore() error {
	e := r.before
	e.Title += beforeTitle
	e.SortKey = beforeSortKey
	words := slices.DeleteFunc(strings.Fields(e.Options), func(w string) bool {
		return strings.HasPrefix(w, beside.SwitchWord+"=") || strings.HasPrefix(w, beside.BackWord+"=")
	})
	e.Options = strings.Join(append(words, beside.BackWord+"="+r.id), " ")
	text, err := e.Encode()
	if err != nil {
		return err
	}
	return r.write(path.Join(entriesDir, r.beforeName()), text)
}

// beforeName is the file of the old system's entry.
func (r *replacement) beforeName() string {
	return strings.TrimSuffix(r.first, ".conf") + beforeMark + r.id + ".conf"
}

// commit switches: by the default entry, or where that gets another name by what
// loader.conf calls the default.
func (r *replacement) commit() error {
	if err := r.write(path.Join(entriesDir, r.first), r.entries[r.first]); err != nil {
		return err
	}
	return r.write(confFile, r.conf)
}

// writeRest writes the other entries, which boot the new system too.
func (r *replacement) writeRest() error {
	for _, name := range sorted(r.entries) {
		if err := r.write(path.Join(entriesDir, name), r.entries[name]); err != nil {
			return err
		}
	}
	return nil
}

// removeStale removes entries of ours that are not of these two systems, and then
// kernels that no entry names.
func (r *replacement) removeStale() error {
	names, err := r.fs.List(entriesDir)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, name := range names {
		file := path.Join(entriesDir, name)
		text, err := durable.Read(r.fs, file, maxEntry)
		if err != nil {
			return err
		}
		entry, err := bls.ParseEntry(text)
		if err != nil {
			continue // not ours
		}
		if strings.HasPrefix(name, "mkimage-") && r.entries[name] == nil && name != r.beforeName() {
			if err := r.remove(file); err != nil {
				return err
			}
			continue
		}
		for _, f := range entry.Files() {
			used[path.Dir(f)] = true
		}
	}
	return r.removeKernels(used)
}

// kernelsDir has a folder for each kernel.
const kernelsDir = "/mkimage"

func (r *replacement) removeKernels(used map[string]bool) error {
	names, err := r.fs.List(kernelsDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		dir := path.Join(kernelsDir, name)
		info, err := r.fs.Lstat(dir)
		if err != nil {
			return err
		}
		if !info.Mode.IsDir() || used[dir] {
			continue
		}
		files, err := r.fs.List(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := r.remove(path.Join(dir, file)); err != nil {
				return err
			}
		}
		if err := r.remove(dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *replacement) remove(name string) error {
	if err := r.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.Sync(r.fs, path.Dir(name))
}

func sorted(m map[string][]byte) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
