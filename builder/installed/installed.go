// Package installed reads what is installed on a disk: the packages, kernels, kernel
// parameters and units of one system, for package diff to compare with another.
//
// It reads a raw disk or file system by our own readers, without mounting it, and
// never writes to it. The database of a Nix store is copied to a temporary folder,
// because SQLite reads files only.
//
// A system is one of NixOS where there is a profile "system", and one of Debian where
// there is a database of dpkg. Which subvolume is mounted where the manifest on the ESP
// says; on a disk of somebody else it is found by what the subvolumes hold.
package installed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/diff"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Read describes the system on the disk of size bytes behind r, or in the btrfs file
// system that begins with it. Generation is one of the profile "system" of NixOS; 0 is
// the current one. Errors about what is found are of class fault.Input.
//
// The file system may be mounted and written to, if r reads past the page cache of its
// device: see reader.Retry.
func Read(ctx context.Context, r io.ReaderAt, size int64, generation int) (*diff.System, error) {
	var d *disk
	err := reader.Retry(func() (*reader.FS, error) {
		d = &disk{r: r, out: &diff.System{}}
		err := d.read(ctx, size, generation)
		return d.root, err
	})
	if err != nil {
		return nil, err
	}
	return d.out, nil
}

// disk is a disk that is being read. What could not be opened is nil.
type disk struct {
	r    io.ReaderAt
	out  *diff.System
	esp  *espreader.FS
	root *reader.FS
	view *view.View
}

func (d *disk) read(ctx context.Context, size int64, generation int) error {
	if err := d.open(size); err != nil {
		return err
	}
	if err := d.mount(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.out.Kind == diff.NixOS {
		if err := d.nixos(ctx, generation); err != nil {
			return err
		}
	} else {
		if generation != 0 {
			return fault.New(fault.Input, "leave out the number", "generation %d: a system of Debian has no generations", generation)
		}
		if err := d.debian(ctx); err != nil {
			return err
		}
	}
	return d.entries()
}

func (d *disk) unread(what string, err error) {
	d.out.Unread = append(d.out.Unread, fmt.Sprintf("%s: %v", what, err))
}

// open finds the file systems.
func (d *disk) open(size int64) error {
	root, whole := reader.Open(d.r, size)
	if whole == nil {
		d.root = root
		return nil
	}
	table, problems, err := gpt.Read(d.r, size)
	if errors.Is(err, gpt.ErrNone) {
		return fault.New(fault.Input, "name a disk, an image of one, or a btrfs file system", "%w, and no btrfs: %w", err, whole)
	} else if err != nil {
		return err
	}
	for _, p := range problems {
		d.unread(string(p.Part), errors.New(p.Text))
	}
	d.openESP(table)
	d.root, err = openRoot(d.r, table)
	return err
}

func (d *disk) openESP(table *gpt.Table) {
	for _, p := range table.Partitions {
		if p.Type != plan.TypeESP {
			continue
		}
		fsys, err := espreader.Open(io.NewSectionReader(d.r, p.Start, p.Size), p.Size)
		if err != nil {
			d.unread(fmt.Sprintf("partition %d", p.Number), err)
		}
		d.esp = fsys
		return
	}
}

// openRoot opens the file system of the first partition of the type that holds the
// system, or else that of the only partition with btrfs.
func openRoot(r io.ReaderAt, table *gpt.Table) (*reader.FS, error) {
	kind := plan.SystemType(func(kind ids.UUID) bool { return hasType(table, kind) })
	var others []*reader.FS
	var failed error
	for _, p := range table.Partitions {
		if p.Type == plan.TypeESP {
			continue
		}
		fsys, err := reader.Open(io.NewSectionReader(r, p.Start, p.Size), p.Size)
		switch {
		case p.Type == kind && err == nil:
			return fsys, nil
		case p.Type == kind:
			failed = errors.Join(failed, fmt.Errorf("partition %d: %w", p.Number, err))
		case err == nil:
			others = append(others, fsys)
		}
	}
	switch {
	case failed != nil:
		return nil, failed
	case len(others) == 1:
		return others[0], nil
	case len(others) > 1:
		return nil, fault.New(fault.Input, "name the partition instead", "%d partitions with btrfs, and none of the type of a root", len(others))
	}
	return nil, fault.New(fault.Input, "", "no partition with a btrfs file system among %d", len(table.Partitions))
}

func hasType(table *gpt.Table, kind ids.UUID) bool {
	for _, p := range table.Partitions {
		if p.Type == kind {
			return true
		}
	}
	return false
}

// manifest returns that on the ESP; a disk of somebody else has none.
func (d *disk) manifest() *manifest.Manifest {
	if d.esp == nil {
		return nil
	}
	data, err := d.esp.ReadAtMost(manifest.ESPPath, manifest.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var m *manifest.Manifest
	if err == nil {
		m, err = manifest.Decode(data)
	}
	if err != nil {
		d.unread("/"+manifest.ESPPath, err)
		return nil
	}
	return m
}
