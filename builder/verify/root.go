package verify

import (
	"fmt"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// checkRoot checks the root file system and compares its subvolumes with the
// manifest.
func (v *run) checkRoot() error {
	c := v.check("root", "btrfs file system")
	if v.rootPart == nil && v.withoutRoot() {
		c.Subject = "none"
		return nil
	}
	if v.rootPart == nil {
		c.Skipped = "no root partition in the partition table"
		return nil
	}
	c.Subject = "btrfs file system, " + span(v.rootPart)
	where := fmt.Sprintf("root, partition %d", v.rootPart.Number)
	fsys, err := reader.Open(v.section(v.rootPart), v.rootPart.Size)
	if err != nil {
		c.problem(span(v.rootPart), "%v", err)
		return nil
	}
	if err := v.checkBtrfs(c, fsys, where); err != nil {
		return err
	}
	if v.top, err = fsys.Subvolume(""); err != nil {
		c.problem(where, "%v", err)
		return nil
	}
	v.root = fsys
	v.compareSubvolumes(c)
	return nil
}

func (v *run) checkBtrfs(c *Check, fsys *reader.FS, where string) error {
	report, err := check.Run(v.ctx, fsys, check.Options{
		Data: v.Data, Workers: v.Workers,
		Progress: func(done, total int64) { v.Progress.Report(builder.StageVerify, done, total) },
	})
	if err != nil {
		return err
	}
	for _, p := range report.Problems {
		c.problem(where+", "+p.Where, "%s", p.What)
	}
	c.Found += report.Found - int64(len(report.Problems))
	for _, s := range report.Skipped {
		c.Skipped = s // one is enough to say that the check is not complete
	}
	if size := int64(fsys.Super().TotalBytes); size > v.rootPart.Size {
		c.problem(where, "a file system of %d bytes in a partition of %d", size, v.rootPart.Size)
	}
	return nil
}

// compareSubvolumes wants exactly the subvolumes that the manifest lists.
func (v *run) compareSubvolumes(c *Check) {
	list, err := v.root.Subvolumes()
	if err != nil {
		c.problem("root: subvolumes", "%v", err)
		return
	}
	if v.manifest == nil {
		return
	}
	found := map[string]reader.Subvolume{}
	for _, s := range list {
		found[s.Path] = s
	}
	for _, want := range v.manifest.Subvolumes {
		got, ok := found[want.Path]
		switch {
		case want.Path == "": // the top level is not listed
		case !ok:
			c.problem("root: subvolume "+want.Path, "is not there")
		case got.ID != want.ID || got.UUID != want.UUID || got.ReadOnly != want.ReadOnly:
			c.problem("root: subvolume "+want.Path, "id %d, UUID %s, read-only %v, the manifest says %d, %s, %v",
				got.ID, got.UUID, got.ReadOnly, want.ID, want.UUID, want.ReadOnly)
		}
		delete(found, want.Path)
	}
	for _, s := range list {
		if _, extra := found[s.Path]; extra {
			c.problem("root: subvolume "+s.Path, "is not in the manifest")
		}
	}
}

// checkSwapfile wants the swapfile where the manifest says: the offset is what
// the kernel resumes from.
func (v *run) checkSwapfile() error {
	c := v.check("swapfile", "none")
	if v.manifest == nil {
		c.Skipped = "there is no manifest"
		return nil
	}
	if v.manifest.Swapfile == nil {
		if s := v.manifest.Plan.Swapfile; s != nil && s.Size > 0 { // else the first boot of what is installed makes it
			c.problem("manifest", "has no swapfile, its plan has %s", v.manifest.Plan.Swapfile.Path)
		}
		return nil
	}
	want := v.manifest.Swapfile
	c.Subject = want.Path
	if v.top == nil {
		c.Skipped = "the root file system cannot be read"
		return nil
	}
	where := "root: " + want.Path
	got, err := v.top.Swapfile(want.Path)
	if err != nil {
		c.problem(where, "%v", err)
		return nil
	}
	if got.Offset != want.ResumeOffset {
		c.problem(where, "resume offset %d, the manifest says %d", got.Offset, want.ResumeOffset)
	}
	if got.Size != want.Size {
		c.problem(where, "%d bytes, the manifest says %d", got.Size, want.Size)
	}
	if got.Signature != swaparea.Signature {
		c.problem(where, "signature %q, expected %q", got.Signature, swaparea.Signature)
	}
	return nil
}
