package flash_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// system is an image of a whole disk, made by our own writers.
type system struct {
	name     string
	table    gpt.Table
	swap     int64 // where the swapfile is on the disk
	manifest *manifest.Manifest
}

// systemFile is a file of the root file system.
type systemFile struct {
	name string
	data []byte
}

// newSystem makes a disk with an ESP, and a btrfs with some files and a swapfile.
// All of it is without compression, and directory "plain" without checksums.
func newSystem(t testing.TB, dir string, espSize, free, swap int64, files ...systemFile) *system {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "system.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seed := ids.Seed{7}
	loader := fstree.New()
	add(t, loader.Root(), "BOOTX64.EFI", noise(1, 3*mib+5))
	loader.Freeze()
	rootAt := mib + espSize
	params := esp.Params{SectorSize: 512, Start: mib, Size: espSize, Label: "ESP", Serial: 1}
	if _, err := esp.Write(t.Context(), io.NewOffsetWriter(f, mib), loader, params); err != nil {
		t.Fatal(err)
	}
	tree := fstree.New()
	plain, err := tree.Root().Add("plain", &fstree.Inode{Mode: fstree.TypeDir | 0o755})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		add(t, plain, file.name, file.data)
	}
	result, err := btrfs.Write(t.Context(), io.NewOffsetWriter(f, rootAt), tree, btrfs.Params{
		Seed: seed, Free: free, Swapfiles: []btrfs.Swapfile{{Path: "@swap/swapfile", Size: swap}},
		Subvolumes: []btrfs.Subvolume{{Path: "@plain", Source: "plain", NoDataCow: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &system{name: f.Name(), swap: rootAt + result.Swapfiles[0].PhysicalPage*4096}
	s.table, err = gpt.Place(gpt.Table{GUID: seed.UUID("disk"), SectorSize: 512, Partitions: []gpt.Partition{
		{Type: linuxData, GUID: seed.UUID("esp"), Label: "ESP", Size: espSize},
		{Type: linuxData, GUID: seed.UUID("root"), Label: "root", Start: rootAt, Size: result.Size},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := gpt.Write(f, s.table); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(s.table.DiskSize); err != nil {
		t.Fatal(err)
	}
	s.describe(t)
	return s
}

func add(t testing.TB, dir *fstree.Entry, name string, data []byte) {
	t.Helper()
	if _, err := dir.Add(name, &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(data)), Content: fstree.Bytes(data)}); err != nil {
		t.Fatal(err)
	}
}

// describe makes the manifest anew.
func (s *system) describe(t testing.TB) {
	t.Helper()
	f, err := os.Open(s.name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunks, err := manifest.Digest(t.Context(), f, s.table.DiskSize, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.manifest = &manifest.Manifest{Version: manifest.Version, Plan: &plan.Plan{}, Image: manifest.Image{Size: s.table.DiskSize}, Chunks: chunks}
	for i, p := range s.table.Partitions {
		s.manifest.Partitions = append(s.manifest.Partitions, manifest.Partition{Role: []string{"esp", "root"}[i], Start: p.Start, Size: p.Size})
	}
}
