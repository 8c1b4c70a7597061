package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"

	"github.com/6FaNcY9/mkimage/builder"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// checkManifest finds the manifests and compares them with each other and with
// the partition table.
func (v *run) checkManifest() error {
	c := v.check("manifest", "manifest on the ESP")
	onESP := v.manifestOnESP(c)
	v.manifest = onESP
	if v.Options.Manifest != nil {
		v.manifest = v.Options.Manifest
		c.Subject = "manifest beside the image and manifest on the ESP"
		if onESP != nil && onESP.Omits != nil && !sameManifest(v.manifest.Without(*onESP.Omits), onESP) {
			c.problem("ESP: /"+manifest.ESPPath, "differs from the manifest beside the image")
		}
	}
	if v.manifest == nil {
		return nil
	}
	if v.manifest.Image.Size != v.size {
		c.problem("image", "%d bytes, the manifest says %d", v.size, v.manifest.Image.Size)
	}
	if v.table != nil {
		v.comparePartitions(c)
	}
	v.setLogAside()
	return nil
}

// setLogAside has all that follows see the log of a medium as it was made: to
// have installed something is no damage.
func (v *run) setLogAside() {
	if v.manifest.Plan == nil || v.manifest.Plan.Medium == nil || v.esp == nil {
		return
	}
	at, err := mediumlog.Find(v.esp)
	if err != nil {
		return // its file is in the manifest like all others, and compared
	}
	v.r = mediumlog.AsMade(v.r, v.espPart.Start+at)
	if esp, err := espreader.Open(v.section(v.espPart), v.espPart.Size); err == nil {
		v.esp = esp
	}
}

// manifestOnESP reads the copy on the ESP.
func (v *run) manifestOnESP(c *Check) *manifest.Manifest {
	if v.esp == nil {
		c.Skipped = "the ESP cannot be read"
		return nil
	}
	where := "ESP: /" + manifest.ESPPath
	data, err := v.esp.ReadAtMost(manifest.ESPPath, manifest.MaxSize)
	if err != nil {
		c.problem(where, "%v", err)
		return nil
	}
	m, err := manifest.Decode(data)
	if err != nil {
		c.problem(where, "%v", err)
		return nil
	}
	return m
}

// sameManifest compares what two manifests say.
func sameManifest(a, b *manifest.Manifest) bool {
	textA, errA := a.Encode()
	textB, errB := b.Encode()
	return errA == nil && errB == nil && string(textA) == string(textB)
}

// comparePartitions compares the partition table with the manifest.
func (v *run) comparePartitions(c *Check) {
	m, t := v.manifest, v.table
	if t.GUID != m.Plan.Disk.GUID {
		c.problem("partition table", "GUID %s of the disk, the plan says %s", t.GUID, m.Plan.Disk.GUID)
	}
	if len(t.Partitions) != len(m.Partitions) || len(t.Partitions) != len(m.Plan.Disk.Partitions) {
		c.problem("partition table", "%d partitions, the manifest has %d and its plan %d", len(t.Partitions), len(m.Partitions), len(m.Plan.Disk.Partitions))
		return
	}
	for i := range t.Partitions {
		got := t.Partitions[i]
		want := wantedPartition(m.Plan.Disk.Partitions[i], m.Partitions[i])
		if got.Attributes != want.Attributes {
			c.problem(fmt.Sprintf("partition %d", got.Number), "%s", attributesText(got.Attributes, want.Attributes))
		}
		want.Number, want.Attributes = got.Number, got.Attributes
		if !reflect.DeepEqual(got, want) {
			c.problem(fmt.Sprintf("partition %d", got.Number), "%s, the manifest says %s", describe(got), describe(want))
		}
	}
}

func wantedPartition(p plan.Partition, m manifest.Partition) gpt.Partition {
	return gpt.Partition{Type: p.Type, GUID: p.PARTUUID, Label: p.Label, Start: m.Start, Size: m.Size, Attributes: p.Attributes()}
}

// attributesText says how the attributes of a partition are not those of its
// plan. That the first boot is done is the one difference that has a reason.
func attributesText(got, want uint64) string {
	first := (&plan.Partition{FirstBoot: true}).Attributes()
	if want&first != 0 && got == want&^first {
		return "the mark of the first boot (attribute 59) is gone: the image was booted, and its first boot is done"
	}
	return fmt.Sprintf("attributes %#x, the plan says %#x", got, want)
}

func describe(p gpt.Partition) string {
	return fmt.Sprintf("%q of type %s, PARTUUID %s, %d bytes at %d", p.Label, p.Type, p.GUID, p.Size, p.Start)
}

// checkDigests compares every byte with the manifest.
func (v *run) checkDigests() error {
	c := v.check("digests", "every byte against the manifest")
	if v.manifest == nil {
		c.Skipped = "there is no manifest"
		return nil
	}
	m := *v.manifest
	if m.Omits != nil {
		c.Subject = "every byte against the manifest on the ESP, which leaves the ESP itself out"
	}
	if m.Image.Size > v.size {
		c.problem("image", "ends at %d, the manifest goes on to %d", v.size, m.Image.Size)
		m.Image.Size = v.size / manifest.ChunkSize * manifest.ChunkSize
	}
	bad, err := manifest.Verify(v.ctx, v.r, &m, manifest.Options{
		Workers: v.Workers, Progress: func(done, total int64) { v.Progress.Report(builder.StageDigest, done, total) },
	})
	if err != nil {
		if v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		c.problem("image", "%v", err)
		return nil
	}
	for _, b := range bad {
		c.problem(fmt.Sprintf("bytes %d to %d (%s)", b.Offset, b.Offset+b.Length, b.Place), "%s", b.What)
	}
	return nil
}

// checkFiles compares the files of the ESP with the manifest: the copy on the
// ESP says nothing else of them.
func (v *run) checkFiles() error {
	c := v.check("files", "files of the ESP against the manifest")
	switch {
	case v.esp == nil:
		c.Skipped = "the ESP cannot be read"
		return nil
	case v.manifest == nil:
		c.Skipped = "there is no manifest"
		return nil
	}
	listed := map[string]bool{manifest.ESPPath: true, manifest.SignaturePath: true}
	for _, want := range v.manifest.Files {
		listed[want.Path] = true
		if err := v.compareFile(want); err != nil {
			c.problem("ESP: /"+want.Path, "%v", err)
		}
	}
	if !v.espSound {
		c.Skipped = "what else is on the ESP: it is damaged"
		return nil
	}
	err := fs.WalkDir(v.esp, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !listed[path] {
			c.problem("ESP: /"+path, "is not in the manifest")
		}
		return errors.Join(err, v.ctx.Err())
	})
	if err != nil {
		c.problem("ESP", "%v", err)
	}
	return v.ctx.Err()
}

func (v *run) compareFile(want manifest.File) error {
	info, err := v.esp.Stat(want.Path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != want.Size {
		return fmt.Errorf("%d bytes, the manifest says a file of %d", info.Size(), want.Size)
	}
	f, err := v.esp.Open(want.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := manifest.SHA256(h.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("SHA-256 %.8x, the manifest says %.8x", got[:], want.SHA256[:])
	}
	return nil
}
