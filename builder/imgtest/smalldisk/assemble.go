// Package smalldisk assembles small disk images from the parts of the builder,
// in milliseconds and without a system: what tests of whole images need. It is
// apart from imgtest because the tests of those parts import that.
package smalldisk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Parts is everything that a small disk image is assembled from, without
// any of the program's own decisions, for a test to change. It has no system
// that could run: programs, kernel and modules are the least that passes for
// such.
type Parts struct {
	Plan      *plan.Plan
	Source    *fstree.Tree      // of the root file system, with boot loader and kernel
	Initramfs map[string]string // path to content
	// Each changes what was made of the parts, before it is written.
	Params   func(p *btrfs.Params)
	Table    func(t *gpt.Table)
	Manifest func(m *manifest.Manifest)
	ESP      func(t *fstree.Tree)
}

// KernelVersion is that of the kernel of a small disk.
const KernelVersion = "6.12"

// Assemble writes the image to a new file of that name and returns the
// manifest to lie beside it.
func (s *Parts) Assemble(ctx context.Context, name string) (m *manifest.Manifest, err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	initramfs, err := packInitramfs(s.Initramfs)
	if err != nil {
		return nil, err
	}
	boot, err := loader.Tree(s.Plan, s.Source, loader.System{Kernels: []loader.Kernel{{Version: KernelVersion, Image: s.Source.Lookup(kernelPath), Initramfs: initramfs}}})
	if err != nil {
		return nil, err
	}
	root, err := s.writeRoot(ctx, f)
	if err != nil {
		return nil, err
	}
	table, err := s.placeTable(root.Size)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(table.DiskSize), gpt.Write(f, table)); err != nil {
		return nil, err
	}
	if m, err = s.describe(ctx, f, root, boot, table); err != nil {
		return nil, err
	}
	return m, s.writeESP(ctx, f, boot, m)
}

func (s *Parts) writeRoot(ctx context.Context, f *os.File) (*btrfs.Result, error) {
	params := btrfs.Params{Label: s.Plan.Layout.Root.Label, Seed: s.Plan.Seed, Timestamp: s.Plan.Epoch, Compression: btrfs.Compression{Level: 3}}
	for _, v := range s.Plan.Subvolumes {
		params.Subvolumes = append(params.Subvolumes, btrfs.Subvolume{Path: v.Path, Source: v.Source, Empty: v.Empty, NoDataCow: v.NoDataCow})
	}
	for _, v := range s.Plan.Snapshots {
		params.Snapshots = append(params.Snapshots, btrfs.Snapshot{Source: v.Source, Path: v.Path})
	}
	params.Swapfiles = []btrfs.Swapfile{{Path: s.Plan.Swapfile.Path, Size: s.Plan.Swapfile.Size}}
	if s.Params != nil {
		s.Params(&params)
	}
	s.Source.Freeze()
	return btrfs.Write(ctx, shifted{f, s.Plan.Partition(plan.RoleRoot).Start}, s.Source, params)
}

func (s *Parts) placeTable(rootSize int64) (gpt.Table, error) {
	table := gpt.Table{GUID: s.Plan.Disk.GUID, SectorSize: s.Plan.Disk.SectorSize}
	for _, p := range s.Plan.Disk.Partitions {
		if p.Size == 0 {
			p.Size = rootSize
		}
		table.Partitions = append(table.Partitions, gpt.Partition{Type: p.Type, GUID: p.PARTUUID, Label: p.Label, Start: p.Start, Size: p.Size, Attributes: p.Attributes()})
	}
	if s.Table != nil {
		s.Table(&table)
	}
	return gpt.Place(table)
}

// describe returns the manifest without the chunks of the ESP.
func (s *Parts) describe(ctx context.Context, f *os.File, root *btrfs.Result, boot *fstree.Tree, table gpt.Table) (*manifest.Manifest, error) {
	m := &manifest.Manifest{Version: manifest.Version, Plan: s.Plan, Inputs: manifest.Inputs{Mkimage: "test"}, Image: manifest.Image{Size: table.DiskSize}}
	for i, p := range table.Partitions {
		m.Partitions = append(m.Partitions, manifest.Partition{Role: s.Plan.Disk.Partitions[i].Role, Start: p.Start, Size: p.Size})
	}
	for _, v := range root.Subvolumes {
		m.Subvolumes = append(m.Subvolumes, manifest.Subvolume{Path: v.Path, ID: v.ID, UUID: v.UUID, ReadOnly: v.ReadOnly, Bytes: v.Bytes})
	}
	w := root.Swapfiles[0]
	m.Swapfile = &manifest.Swapfile{Path: w.Path, Size: w.Size, ResumeOffset: w.PhysicalPage}
	var err error
	if m.Files, err = loader.Files(boot); err != nil {
		return nil, err
	}
	esp := m.Partition(plan.RoleESP).Range()
	chunks, err := manifest.Digest(ctx, f, table.DiskSize, manifest.Options{Skip: &esp})
	if err != nil {
		return nil, err
	}
	m.AddChunks(chunks)
	if s.Manifest != nil {
		s.Manifest(m)
	}
	return m, nil
}

// writeESP writes the ESP with the manifest on it, and completes the manifest.
func (s *Parts) writeESP(ctx context.Context, f *os.File, tree *fstree.Tree, m *manifest.Manifest) error {
	part := m.Partition(plan.RoleESP).Range()
	text, err := m.Without(part).Encode()
	if err != nil {
		return err
	}
	if err := loader.Put(tree, manifest.ESPPath, text, s.Plan.Epoch); err != nil {
		return err
	}
	if s.ESP != nil {
		s.ESP(tree)
	}
	tree.Freeze()
	if _, err := esp.Write(ctx, shifted{f, part.Offset}, tree, esp.Params{
		Size: part.Length, Start: part.Offset, Label: s.Plan.Layout.ESP.Label, Serial: s.Plan.Seed.Serial(ids.FATSerial), Timestamp: s.Plan.Epoch,
	}); err != nil {
		return err
	}
	chunks, err := manifest.Digest(ctx, f, m.Image.Size, manifest.Options{Only: &part})
	if err != nil {
		return err
	}
	m.AddChunks(chunks)
	return nil
}

// shifted writes to a part of a file.
type shifted struct {
	w  io.WriterAt
	at int64
}

func (o shifted) WriteAt(p []byte, at int64) (int, error) { return o.w.WriteAt(p, o.at+at) }

// Fstab returns the fstab that a plan asks for, in a form of its own.
func Fstab(p *plan.Plan) string {
	var b strings.Builder
	b.WriteString("# comment\n\n")
	for _, m := range p.Mounts {
		fmt.Fprintf(&b, "%s\t%s %s %s 0 0\n", m.What, m.Target, m.Type, strings.Join(m.Options, ","))
	}
	b.WriteString(p.Swapfile.File + " none swap defaults 0 0\n")
	return b.String()
}
