package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

type writeFlags struct {
	target   string
	manifest string
	consent  flash.Consent
	options  flash.Options
	dryRun   bool
}

func newWrite(u *ui) *cobra.Command {
	var f writeFlags
	cmd := &cobra.Command{
		Use:     "write IMAGE",
		Aliases: []string{"flash"},
		Short:   "write an image to a disk or stick, and read it back",
		Long: `write puts an image on a whole disk: raw, compressed with zstd, or qcow2. Only what
the image uses is written, and zeros where they mean something. The partition table
comes last, when all the rest has been read back from the disk and compared with the
image's manifest. Whatever stops a run, the disk has its old table over its old
content, no table, or the new one over a system that was proved.

The manifest is IMAGE.manifest.json where that is there, or the one that --manifest
names; "none" goes without, and then only what was read of the image is compared.

Nothing is asked. A disk is refused that is mounted, swapped to, in use, read-only,
too small, or has sectors of another size than the image is for. One that is neither
on USB nor removable must be named by --serial, and one that is not empty by --erase:
each time by the serial number of the disk, or by its name (sdb) when it has none.
The message shows both. --dry-run shows what would be done, and writes nothing.

--update reads the disk first and writes only what differs; the partition table is
away meanwhile all the same. Where nothing differs nothing is written.

The disk may be larger than the image; the first boot grows the system. A file is
written as well: it is made, or must be large enough and empty.`,
		Example: `  mkimage write fox.img --target /dev/sdb --dry-run
  mkimage write fox.img.zst --target /dev/sdb --erase 4C530001230528116181
  mkimage write fox.img --target /dev/sdb --erase 4C530001230528116181 --update`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input, fault.Target, fault.Mismatch),
		RunE:        func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.target, "target", "", "the `disk` to write to, such as /dev/sdb, or a file")
	flags.StringVar(&f.manifest, "manifest", "", "the manifest's `file`, or none; default: IMAGE.manifest.json")
	flags.StringVar(&f.consent.Serial, "serial", "", "write to a disk that is not removable: its `SERIAL` number, or its name if it has none")
	flags.StringVar(&f.consent.Erase, "erase", "", "erase a disk that is not empty: its `SERIAL` number, or its name if it has none")
	flags.BoolVar(&f.options.Update, "update", false, "read the disk first and write only what differs")
	flags.BoolVar(&f.options.ZeroUnused, "zero-unused", false, "also write zeros where the image uses nothing")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would be done, and write nothing")
	flags.IntVar(&f.options.Workers, "workers", 0, "goroutines that unpack, write and read; 0 means one for each processor")
	return cmd
}

// writeReport is what write says.
type writeReport struct {
	Image  string        `json:"image"`
	Target disks.Disk    `json:"target"`
	Plan   *flash.Plan   `json:"plan"`
	DryRun bool          `json:"dry_run"`
	Result *flash.Result `json:"result,omitempty"`
}

func (f *writeFlags) run(ctx context.Context, u *ui, image string) error {
	if f.target == "" {
		return fault.New(fault.Usage, "mkimage write "+shellWord(image)+" --target /dev/sdX", "write: --target is missing: the disk to write to")
	}
	source, err := flash.Open(ctx, image)
	if err != nil {
		return err
	}
	defer source.Close()
	if f.options.Manifest, err = f.readManifest(image); err != nil {
		return err
	}
	target, err := openWriteTarget(ctx, f.target, source.Size(), f.dryRun)
	if err != nil {
		return err
	}
	defer target.close()
	plan, err := f.plan(ctx, source, target, image)
	if err != nil {
		return err
	}
	report := &writeReport{Image: image, Target: target.about, Plan: plan, DryRun: f.dryRun}
	if f.dryRun {
		return u.answer(report, report.printPlan)
	}
	if !u.json {
		if err := u.summary(report, report.printPlan); err != nil {
			return err
		}
	}
	if report.Result, err = f.write(ctx, u, target, plan); err != nil {
		return err
	}
	return u.summary(report, report.printResult)
}

// readManifest reads the manifest that was asked for, or the one beside the
// image, which need not be there.
func (f *writeFlags) readManifest(image string) (*manifest.Manifest, error) {
	if f.manifest == "none" {
		return nil, nil
	}
	m, err := manifest.ReadFile(cmp.Or(f.manifest, image+manifest.Suffix))
	if f.manifest == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

// plan plans the run, and refuses the target with all reasons at once.
func (f *writeFlags) plan(ctx context.Context, source flash.Source, t *writeTarget, image string) (*flash.Plan, error) {
	found := append(flash.Refuse(t.about, f.consent), t.found...)
	if t.holds(image) {
		found = append(found, flash.Finding{What: "is the image itself", Hint: "name another target"})
	}
	plan, err := flash.NewPlan(ctx, source, t.disk.Size, t.disk.SectorSize, f.options)
	if err != nil && fault.ClassOf(err) != fault.Target {
		return nil, nameError(image, err)
	}
	if err != nil {
		found = append(found, flash.Finding{What: err.Error(), Hint: fault.HintOf(err)})
	}
	if len(found) > 0 {
		return nil, refusal(t.about, found)
	}
	return plan, nil
}

// write writes, and says what became of a target when that did not end well.
func (f *writeFlags) write(ctx context.Context, u *ui, t *writeTarget, plan *flash.Plan) (*flash.Result, error) {
	if err := t.prepare(plan.ImageSize); err != nil {
		return nil, err
	}
	result, err := plan.Write(ctx, t.disk, u)
	u.endProgress()
	if err == nil {
		t.finish()
		return result, nil
	}
	if removed := t.abandon(); result.Blank && !removed {
		u.warn("%s: it has no partition table any more and does not boot; write it again", printable(f.target))
	}
	// What is the image's fault is said of the image.
	if fault.ClassOf(err) == fault.Input {
		return nil, err
	}
	return nil, nameError(f.target, err)
}

// printPlan prints what is written where.
func (r *writeReport) printPlan(w io.Writer) {
	p := r.Plan
	proof := "without a manifest"
	if p.Manifest {
		proof = "with its manifest"
	}
	fmt.Fprintf(w, "image:   %s: %s, %s, %s\n", printable(r.Image), p.Format, humanBytes(p.ImageSize), proof)
	fmt.Fprintf(w, "target:  %s\n", r.Target)
	fmt.Fprintf(w, "on it:   %s\n", r.Target.Summary())
	most := ""
	if !p.Exact || p.Update {
		most = "at most "
	}
	fmt.Fprintf(w, "write:   %s%s, and zeros over %s; %s are not used and stay as they are\n", most, humanBytes(p.Used), humanBytes(p.Zero), humanBytes(p.Unused))
	for _, note := range p.Notes {
		fmt.Fprintf(w, "note:    %s\n", note)
	}
	if r.DryRun {
		fmt.Fprintln(w, "Nothing was written: this is a dry run.")
	}
}

// printResult prints what was done.
func (r *writeReport) printResult(w io.Writer) {
	s := r.Result
	switch {
	case s.Written == 0 && s.Unchanged > 0:
		fmt.Fprintf(w, "%s: is as the image already; %s compared, nothing written\n", printable(r.Target.Path), humanBytes(s.Unchanged))
		return
	case r.Plan.Update:
		fmt.Fprintf(w, "%s: %s written, %s were right already; %s read back and right\n", printable(r.Target.Path), humanBytes(s.Written), humanBytes(s.Unchanged), humanBytes(s.Compared))
		return
	}
	fmt.Fprintf(w, "%s: %s written, %s read back and right\n", printable(r.Target.Path), humanBytes(s.Written), humanBytes(s.Compared))
}
