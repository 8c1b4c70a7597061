package installer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// ModeFresh is an installation that keeps nothing of the disk.
const ModeFresh = "fresh"

// Step is one step of an installation.
type Step struct {
	ID    string // in the log
	Title string // on the screen, such as "copy the system"
	Run   func(ctx context.Context, progress func(done, total int64)) error
}

// Fresh is an installation onto a whole disk, of which nothing is kept. All
// that can be decided is decided, and fails, before the first write.
type Fresh struct {
	Plan    *plan.Plan // of the installed system
	Table   gpt.Table  // of the target
	Install ids.UUID   // which installation this is: the GUID of Table

	medium  *Medium
	target  Target
	rewrite *identity.Rewrite
	esp     *espImage
	written []written
}

// PlanFresh decides an installation: the identities of the target come from
// seed, which must be of this installation alone. Errors are of class
// fault.Target where the target is to blame, and of fault.Input for the medium.
func PlanFresh(ctx context.Context, m *Medium, t Target, seed ids.Seed, now time.Time) (*Fresh, error) {
	p, err := plan.Target(m.Manifest.Plan, seed, 0)
	if err != nil {
		return nil, err
	}
	f := &Fresh{Plan: p, Install: p.Disk.GUID, medium: m, target: t}
	if f.Table, err = tableOf(p, t, m.Payload.Size()); err != nil {
		return nil, err
	}
	root := p.Partition(plan.RoleRoot)
	f.rewrite, err = identity.Prepare(m.Payload, m.Payload.Size(), identity.FromSeed(seed, root.Label), m.edits(p))
	if err != nil {
		return nil, fault.New(fault.Input, damagedHint, "medium: payload: %w", err)
	}
	return f, f.makeESP(ctx, now)
}

// edits are the places in the payload that name the disk it is on. A NixOS has none: it
// finds its disk by labels, which stay.
func (m *Medium) edits(target *plan.Plan) []identity.Edit {
	if m.Manifest.NixOS() {
		return nil
	}
	root := ""
	for _, mount := range target.Mounts {
		if mount.Target == "/" { // what lies below it, where it is in memory
			root = mount.Subvol
		}
	}
	names := []string{root}
	for _, s := range target.Snapshots { // which may have a copy of its own
		if s.Source == root {
			names = append(names, s.Path)
		}
	}
	var edits []identity.Edit
	for _, name := range names {
		edits = append(edits, identity.Edit{Path: name + "/etc/fstab", Old: adjust.Fstab(m.Manifest.Plan), New: adjust.Fstab(target)})
	}
	return edits
}

// tableOf places the partitions of a plan on a target. The root partition gets
// the rest of the disk, in which its file system is grown by the first boot.
func tableOf(p *plan.Plan, t Target, payload int64) (gpt.Table, error) {
	table := gpt.Table{GUID: p.Disk.GUID, SectorSize: t.SectorSize(), DiskSize: usable(t)}
	for _, part := range p.Disk.Partitions {
		q := gpt.Partition{Type: part.Type, GUID: part.PARTUUID, Label: part.Label, Start: part.Start, Attributes: part.Attributes()}
		if part.Role != plan.RoleRoot {
			q.Size = part.Size
		}
		table.Partitions = append(table.Partitions, q)
	}
	table, err := gpt.Place(table)
	if err != nil {
		return table, err
	}
	if last := table.Partitions[len(table.Partitions)-1]; last.Size < payload {
		return table, fault.New(fault.Target, "", "target of %d bytes: its root partition would have %d bytes, the system needs %d", t.Size(), last.Size, payload)
	}
	return table, nil
}

// makeESP makes the target's ESP in memory.
func (f *Fresh) makeESP(ctx context.Context, now time.Time) error {
	tree, err := loader.Installed(f.Plan, f.medium.Manifest, f.medium.File)
	if err != nil {
		return err
	}
	marker, err := Marker{Install: f.Install, Medium: f.medium.Digest, Profile: f.Plan.Profile.Name, Mode: ModeFresh, Time: now}.Encode()
	if err != nil {
		return err
	}
	if err := loader.Put(tree, MarkerPath, marker, now); err != nil {
		return err
	}
	tree.Freeze()
	p := f.Plan.Partition(plan.RoleESP)
	f.esp, err = makeESP(ctx, tree, esp.Params{
		Size: p.Size, SectorSize: f.Table.SectorSize, Start: p.Start, Label: f.Plan.Layout.ESP.Label,
		Serial: f.Plan.Seed.Serial(ids.FATSerial), Timestamp: f.Plan.Epoch,
	})
	return err
}

// Steps are the installation. Until the last one the disk has a table without
// partitions: no firmware finds anything to start on it, and the medium starts
// from the beginning when it meets it again. None can be run twice.
func (f *Fresh) Steps() []Step {
	return []Step{
		{"erase", "erase the disk", f.erase},
		{"payload", "copy the system", f.copyPayload},
		{"esp", "write the boot loader", f.writeESP},
		{"check", "read everything back", f.check},
		{"table", "make it a disk that starts", f.writeTable},
	}
}

func (f *Fresh) erase(context.Context, func(done, total int64)) error {
	var starts []int64
	for _, p := range f.Table.Partitions {
		starts = append(starts, p.Start)
	}
	// Not the GUID of the finished table: that is for disks that are whole.
	return erase(f.target, f.Plan.Seed.UUID(unfinished), starts...)
}

// unfinished is the name of the GUID of the table that is there while an
// installation runs.
const unfinished = "gpt disk, unfinished"

func (f *Fresh) copyPayload(ctx context.Context, progress func(done, total int64)) error {
	root := f.Table.Partitions[len(f.Table.Partitions)-1]
	written, err := f.medium.copyPayload(ctx, f.target, root.Start, f.rewrite, progress)
	f.written = append(f.written, written...)
	return err
}

func (f *Fresh) writeESP(ctx context.Context, progress func(done, total int64)) error {
	written, err := f.esp.writeTo(ctx, f.target, f.Table.Partitions[0].Start, progress)
	f.written = append(f.written, written...)
	return err
}

// check compares what the disk has with what it was given, before the table
// gives the disk to the world.
func (f *Fresh) check(ctx context.Context, progress func(done, total int64)) error {
	if err := synced(f.target); err != nil {
		return err
	}
	return readBack(ctx, f.target, f.written, progress)
}

// writeTable makes the disk one that starts. If it does not keep its table, it
// is left without one, and without its copy at the end.
func (f *Fresh) writeTable(context.Context, func(done, total int64)) error {
	err := writeTable(f.target, f.Table)
	if err == nil {
		err = f.checkTable()
	}
	if err != nil {
		return errors.Join(err, zero(f.target, 0, edge), zero(f.target, max(0, f.target.Size()-edge), edge), synced(f.target))
	}
	return nil
}

func (f *Fresh) checkTable() error {
	table, problems, err := gpt.Read(f.target, f.Table.DiskSize)
	switch {
	case err != nil:
		return fault.New(fault.Mismatch, "", "target, read back: %w", err)
	case len(problems) > 0:
		return fault.New(fault.Mismatch, "", "target, read back: %s", problems[0])
	case table.GUID != f.Table.GUID:
		return fault.New(fault.Mismatch, "", "target, read back: the disk's GUID is %s, expected %s", table.GUID, f.Table.GUID)
	}
	return nil
}

// Run runs steps in order; report is told of each before and after it. The error
// names the step.
func Run(ctx context.Context, steps []Step, report func(s Step, done, total int64)) error {
	for _, s := range steps {
		report(s, 0, 0)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Run(ctx, func(done, total int64) { report(s, done, total) }); err != nil {
			return fault.New(fault.ClassOf(err), fault.HintOf(err), "%s: %w", s.Title, err)
		}
		report(s, 1, 1)
	}
	return nil
}

// String names the installation for the log.
func (f *Fresh) String() string {
	return fmt.Sprintf("installation %s of %s", f.Install, f.Plan.Profile.Name)
}
