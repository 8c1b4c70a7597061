package image

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// espParams are the plan's decisions in the words of the writer of the ESP.
func (b *build) espParams() esp.Params {
	p := b.plan.Partition("esp")
	return esp.Params{Size: b.espSize, SectorSize: b.plan.Disk.SectorSize, Start: p.Start, Label: b.plan.Layout.ESP.Label,
		Serial: b.plan.Seed.Serial(ids.FATSerial), Timestamp: b.plan.Epoch}
}

// manifestReserve is room on the ESP for the manifest, which is made last:
// about 100 bytes for each MiB in use.
const manifestReserve = 8 << 20

// fillESP makes the content of the ESP and checks that it fits, before the
// long part of the build.
func (b *build) fillESP(context.Context) error {
	b.report(builder.StageESP, 0, 0)
	tree, err := loader.Tree(b.plan, b.in.Tree, loader.System{Kernels: b.boot, Generations: b.generations(), Initrds: b.initrds(), GRUB: b.in.GRUB})
	if err != nil {
		return err
	}
	b.esp = tree
	if err := b.addMedium(); err != nil {
		return err
	}
	if err := b.sizeESP(); err != nil {
		return err
	}
	return b.checkESP(manifestReserve)
}

// addMedium puts the archives of the installer and the rescue environment on the ESP of a medium, which the entries
// of one, and of nothing else, name; the file that an installer writes, and what people read.
func (b *build) addMedium() error {
	if b.plan.Medium == nil {
		return nil
	}
	files := map[string][]byte{}
	if b.rescue != nil {
		files[loader.RescuePath], files[RecoveryPath] = b.rescue, recoverySheet()
	}
	if b.plan.Installs() {
		files[loader.InstallerPath], files[mediumlog.Path] = b.second, mediumlog.Made()
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := loader.Put(b.esp, path, files[path], b.plan.Epoch); err != nil {
			return err
		}
	}
	return nil
}

// checkESP refuses a tree that with so many bytes more would not fit.
func (b *build) checkESP(reserve int64) error {
	need, err := esp.Need(b.esp, b.espParams())
	if err != nil {
		return err
	}
	capacity, err := esp.Capacity(b.espParams())
	if err != nil {
		return err
	}
	return loader.Fits(b.esp, need+reserve, capacity)
}

// describe begins the manifest, with all but the digests, now that the size of
// everything is known.
func (b *build) describe(context.Context) error {
	kernels, err := b.digests()
	if err != nil {
		return err
	}
	if b.result.Table, err = b.table(); err != nil {
		return err
	}
	b.result.Size = b.result.Table.DiskSize
	m := &manifest.Manifest{
		Version: manifest.Version, Plan: b.plan,
		Inputs: manifest.Inputs{Mkimage: b.in.Version, Source: b.in.Digest, Lock: b.in.Lock, Kernels: kernels, Generations: b.generations()},
		Image:  manifest.Image{Size: b.result.Size},
	}
	if b.in.Places != nil {
		sum := manifest.SHA256(b.in.Places.Sum())
		m.Inputs.Like = &sum
	}
	for i, p := range b.result.Table.Partitions {
		m.Partitions = append(m.Partitions, manifest.Partition{Role: b.plan.Disk.Partitions[i].Role, Start: p.Start, Size: p.Size})
	}
	b.describeRoot(m)
	m.Files, err = loader.Files(b.esp)
	b.result.Manifest = m
	return err
}

// describeRoot says what the root file system has, where there is one.
func (b *build) describeRoot(m *manifest.Manifest) {
	root := b.result.Root
	if root == nil {
		return
	}
	m.Partition("root").Used = root.StoredBytes + root.MetadataBytes
	for _, v := range root.Subvolumes {
		m.Subvolumes = append(m.Subvolumes, manifest.Subvolume{Path: v.Path, ID: v.ID, UUID: v.UUID, ReadOnly: v.ReadOnly, Bytes: v.Bytes})
	}
	for _, s := range root.Swapfiles {
		m.Swapfile = &manifest.Swapfile{Path: s.Path, Size: s.Size, ResumeOffset: s.PhysicalPage}
	}
}

// resize gives the image its size, so that all of it can be read.
func (b *build) resize(context.Context) error { return b.out.Truncate(b.result.Size) }

// table is the partition table with the sizes that were found.
func (b *build) table() (gpt.Table, error) {
	d := b.plan.Disk
	t := gpt.Table{GUID: d.GUID, SectorSize: d.SectorSize, DiskSize: d.Size}
	for _, p := range d.Partitions {
		if p.Role == plan.RoleESP {
			p.Size = b.espSize
		}
		if p.Role == "root" {
			p.Size = b.result.Root.Size
			if b.plan.Medium != nil {
				// Its chunks are compared before an installation, and must not hold a
				// table that other tools may move to the end of a larger stick.
				p.Size = (p.Size + manifest.ChunkSize - 1) / manifest.ChunkSize * manifest.ChunkSize
			}
		}
		t.Partitions = append(t.Partitions, gpt.Partition{Type: p.Type, GUID: p.PARTUUID, Label: p.Label, Start: p.Start, Size: p.Size, Attributes: p.Attributes()})
	}
	return gpt.Place(t)
}

// digestAllButESP hashes the root partition and the tables.
func (b *build) digestAllButESP(ctx context.Context) error {
	esp := b.result.Manifest.Partition("esp").Range()
	return b.digest(ctx, manifest.Options{Skip: &esp})
}

// writeESP puts the manifest beside the kernels and writes the ESP.
func (b *build) writeESP(ctx context.Context) error {
	b.report(builder.StageESP, 0, 0)
	m := b.result.Manifest
	data, err := m.Without(m.Partition("esp").Range()).Encode()
	if err != nil {
		return err
	}
	if err := loader.Put(b.esp, manifest.ESPPath, data, b.plan.Epoch); err != nil {
		return err
	}
	if err := b.sign(data); err != nil {
		return err
	}
	if err := b.checkESP(0); err != nil {
		return err
	}
	b.esp.Freeze()
	result, err := esp.Write(ctx, offsetWriter{b.out.Writer, m.Partition("esp").Start}, b.esp, b.espParams())
	if err != nil {
		return err
	}
	b.result.ESP = result
	m.Partition("esp").Used = (result.Clusters - result.FreeClusters) * result.ClusterSize
	return nil
}

// sign puts the signature of the manifest beside it.
func (b *build) sign(data []byte) error {
	if b.in.Sign == nil {
		return nil
	}
	signature, err := b.in.Sign(data)
	if err != nil {
		return fmt.Errorf("signature of the manifest: %w", err)
	}
	return loader.Put(b.esp, manifest.SignaturePath, signature, b.plan.Epoch)
}

// writeTable makes a disk of the image.
func (b *build) writeTable(context.Context) error {
	return gpt.Write(unsynced{b.out.Writer}, b.result.Table)
}

// unsynced leaves the sync to who gives the image its name: until then no
// order of writes matters.
type unsynced struct{ io.WriterAt }

// Sync implements gpt.Target.
func (unsynced) Sync() error { return nil }

// digestESP hashes the ESP.
func (b *build) digestESP(ctx context.Context) error {
	esp := b.result.Manifest.Partition("esp").Range()
	return b.digest(ctx, manifest.Options{Only: &esp})
}

func (b *build) digest(ctx context.Context, o manifest.Options) error {
	o.Workers = b.in.Workers
	o.Progress = func(done, total int64) { b.report(builder.StageDigest, done, total) }
	chunks, err := manifest.Digest(ctx, b.out.Reader, b.result.Size, o)
	if err != nil {
		return err
	}
	b.result.Manifest.AddChunks(chunks)
	return nil
}
