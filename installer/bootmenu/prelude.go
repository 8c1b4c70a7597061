package bootmenu

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// A system may start by its own initrd and a prelude of ours to that. Its entry says where
// the root is by rootWord; and a kernel with an initramfs of ours is below kernelsDir, in
// files of these names.
const (
	preludeSuffix = "-prelude.efi"
	rootWord      = "mkimage.root"
	linuxName     = "linux"
	initramfsName = "initramfs"
)

// ownStart returns how an initramfs of ours starts the old system, which has none in its
// entry: that which is beside its own kernel, or else the new system's, with its kernel.
func (r *replacement) ownStart() (bls.Entry, error) {
	if hasPrelude(r.before) {
		dir, err := r.besideKernel(r.before.Linux)
		if err != nil || dir != "" {
			return startOf(dir, r.before), err
		}
	}
	fresh, err := bls.ParseEntry(r.entries[r.first])
	if err != nil || !hasPrelude(fresh) {
		return fresh, err
	}
	for _, name := range sorted(r.files) {
		if ours(name) && path.Base(name) == initramfsName {
			return startOf(path.Dir(name), fresh), nil
		}
	}
	return fresh, fault.New(fault.Internal, "", "the new system has no initramfs below %s", kernelsDir)
}

func hasPrelude(e bls.Entry) bool {
	return len(e.Initrd) > 0 && strings.HasSuffix(e.Initrd[len(e.Initrd)-1], preludeSuffix)
}

// besideKernel returns the folder below kernelsDir that has this very kernel, "" where
// none has it.
func (r *replacement) besideKernel(linux string) (string, error) {
	want, err := durable.Read(r.fs, linux, maxFile)
	if err != nil {
		return "", fault.New(fault.Target, "", "target: %w", err)
	}
	names, err := r.fs.List(kernelsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, name := range names {
		dir := path.Join(kernelsDir, name)
		if _, err := r.fs.Lstat(path.Join(dir, initramfsName)); err != nil {
			continue
		}
		if data, err := durable.Read(r.fs, path.Join(dir, linuxName), maxFile); err == nil && bytes.Equal(data, want) {
			return dir, nil
		}
	}
	return "", nil
}

// startOf returns how the initramfs in a folder finds the root of an entry with a prelude.
func startOf(dir string, e bls.Entry) bls.Entry {
	own := bls.Entry{Linux: path.Join(dir, linuxName), Initrd: []string{path.Join(dir, initramfsName)}, Version: path.Base(dir)}
	if i := strings.LastIndexByte(own.Version, '-'); i > 0 {
		own.Version = own.Version[:i]
	}
	for word := range strings.FieldsSeq(e.Options) {
		if root, ok := strings.CutPrefix(word, rootWord+"="); ok {
			own.Options = "root=" + root + " rootfstype=btrfs rw"
		}
	}
	return own
}
