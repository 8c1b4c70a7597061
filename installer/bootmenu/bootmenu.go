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
	"path"
	"slices"
	"strings"

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
		func() error { return r.read(tree) }, r.findOld, r.writeFiles, r.keepOld, r.writeBefore, r.commit, r.writeRest, r.removeStale,
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
	names, err := listFiles(f, entriesDir)
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

// listFiles returns the names of the files in a directory, sorted: what else is in it is
// somebody else's.
func listFiles(f durable.FS, dir string) (files []string, err error) {
	names, err := f.List(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		info, err := f.Lstat(path.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if info.Mode.IsRegular() {
			files = append(files, name)
		}
	}
	return files, nil
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

// ours reports whether a file on the ESP is one that mkimage made, which no system
// removes by itself.
func ours(file string) bool { return strings.HasPrefix(file, kernelsDir+"/") }

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
func (r *replacement) write(name string, data []byte) error { return write(r.fs, name, data) }

func write(f durable.FS, name string, data []byte) error {
	if old, err := durable.Read(f, name, int64(len(data))+1); err == nil && bytes.Equal(old, data) {
		if err := durable.Sync(f, name); err != nil {
			return err
		}
		return durable.Sync(f, path.Dir(name))
	}
	return durable.Write(f, name, data, 0o644)
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

func sorted(m map[string][]byte) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
