package main

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/nixos/mounts"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/builder/verify"
	"github.com/6FaNcY9/mkimage/profiles"
)

// buildFlags are the flags of build as they were typed.
type buildFlags struct {
	planFlags
	mediumFlags
	sourceFlags
	output, format   string
	like             string // an older image
	workers          int
	noVerify, dryRun bool
}

func newBuild(u *ui) *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build PROFILE",
		Short: "build the image of a disk",
		Long: `build makes the image of a bootable disk from a profile: a partition table, an
EFI system partition with boot loader, kernel and our initramfs, and a btrfs file
system with the subvolumes of the profile's layout. It needs no root, mounts
nothing and runs none of the programs that it installs. "mkimage PROFILE" is the
same.

Beside the image it writes OUTPUT.manifest.json (the plan, the inputs and the
digest of every part, which "mkimage verify" checks), OUTPUT.spdx.json (the
packages, as SPDX) and, for a Debian source, PROFILE.lock.json (the packages with
their digests: with --locked the next build takes these or fails).

Of a profile of kind installer it makes a medium that installs another profile: an
ESP, and a partition with the very file system that is installed. It boots the
system's own kernel and initramfs. Its manifest is signed with --sign-key, which
stays with you; the public key is on the medium, which installs nothing else. One of
kind rescue makes a medium that brings another profile back and carries no system:
an ESP only, as large as what it holds, with room. It can be signed.

The same inputs give the same bytes. Everything is written under other names,
read back and checked, and renamed when it is complete.

With --like OLD, what the image has in common with an older one stays where that
has it, so that "mkimage write --update" has little to write. It keeps the identity
of OLD, if that is of the same profile and layout. OLD is then one of the inputs.`,
		Example: `  mkimage bandit-minimal
  mkimage build bandit-full --source debian:trixie -o laptop.qcow2
  mkimage build bandit-minimal --source tar:rootfs.tar.zst --set hostname=other
  mkimage build bandit-installer --sign-key fox.key --unattended
  mkimage build bandit-rescue -o stick.img
  mkimage build bandit-full --like bandit-full.img   # then: mkimage write --update
  mkimage build bandit-minimal --dry-run         # the same as mkimage plan`,
		Args:              takes(1, 1),
		Annotations:       exits(fault.Config, fault.Input, fault.Target, fault.Mismatch),
		ValidArgsFunction: completeProfiles(&f.profileFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.planFlags.define(cmd)
	flags.BoolVar(&f.unattended, "unattended", false, "the installer medium goes on without a person on any machine: installer.unattended=true")
	f.mediumFlags.define(cmd)
	flags.StringVarP(&f.output, "output", "o", "", "the `file` to write; default: PROFILE.img in the working directory")
	flags.StringVar(&f.format, "format", "", "raw, raw.zst or qcow2; default: by the name of the output, else raw")
	flags.StringVar(&f.like, "like", "", "keep the places of files, and the identity, of the older image or disk `OLD`")
	f.sourceFlags.define(cmd)
	flags.IntVar(&f.workers, "workers", 0, "goroutines that compress and hash; 0 means one for each processor")
	flags.BoolVar(&f.noVerify, "no-verify", false, "do not read the image back before it gets its name")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would be built, build nothing")
	mustComplete(cmd, "format", formats...)
	return cmd
}

func (f *buildFlags) run(ctx context.Context, u *ui, profile string) error {
	older, err := f.openOlder(u)
	if err != nil {
		return err
	}
	defer older.Close()
	clock := newStopwatch(u)
	src, err := f.openForLayout(ctx, u, clock, profile)
	if err != nil {
		return err
	}
	defer func() { src.Close() }()
	p, asked, err := f.makePlanLike(profile, older.like())
	if err != nil {
		return err
	}
	name := p.Name() // that of builtin:NAME is NAME
	if err := f.settleOutput(name); err != nil {
		return err
	}
	var in image.Inputs
	if in.Recovery, err = readRecovery(asked); err != nil {
		return err
	}
	if f.dryRun {
		return showBuild(u, p, src)
	}
	if err := f.gather(ctx, u, p, asked, older, &in); err != nil {
		return err
	}
	outputs, err := f.openOutputs(name, imageMode(asked.Source, in.Passwords))
	if err != nil {
		return err
	}
	defer outputs.discard()
	if src == nil {
		clock = newStopwatch(u)
		if src, err = f.open(ctx, u, clock, asked, p.Epoch); err != nil {
			return err
		}
	}
	if keys := adjust.Ignored(src.Tree, &p.Profile); keys != nil {
		u.warn("the source is NixOS, which makes its own /etc: without effect: %s", strings.Join(keys, ", "))
	}
	result, err := f.write(ctx, clock, p, src, in, outputs)
	if err := cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	clock.Report(builder.StageSync, 0, 0)
	if err := outputs.publish(); err != nil {
		return err
	}
	s := newBuildSummary(f, p, src, outputs, result, clock)
	return u.summary(s, s.print)
}

// showBuild prints what would be built, of a source that is open or nil.
func showBuild(u *ui, p *plan.Plan, src *source.Source) error {
	if src != nil {
		if err := mounts.Check(src.Tree, p); err != nil {
			return err
		}
	}
	return printPlan(u, p, plan.Look{Width: terminalWidth(u.out)})
}

// gather reads what an image is made of besides its source, and refuses flags that do not
// fit the plan.
func (f *buildFlags) gather(ctx context.Context, u *ui, p *plan.Plan, asked *profiles.Profile, older *olderImage, in *image.Inputs) (err error) {
	if err = f.mediumFlags.check(p); err != nil {
		return err
	}
	if p.IsRescue() && f.like != "" {
		return fault.New(fault.Usage, "leave it out", "--like: keeps the places of files of a root file system, and %s has none", p.Name())
	}
	if in.Places, err = older.places(); err != nil {
		return err
	}
	if in.Passwords, err = readPasswords(asked); err != nil {
		return err
	}
	if in.GRUB, err = readGRUB(asked); err != nil {
		return err
	}
	if err = f.mediumFlags.inputs(ctx, u, p, in); err != nil {
		return err
	}
	return checkNotSource(asked.Source, f.output)
}

// write makes the image and what lies beside it, all under other names.
func (f *buildFlags) write(ctx context.Context, clock *stopwatch, p *plan.Plan, src *source.Source, in image.Inputs, outputs *outputs) (*image.Result, error) {
	raw, err := outputs.raw()
	if err != nil {
		return nil, err
	}
	result, err := f.writeImage(ctx, clock, p, src, in, outputs, raw)
	if err != nil {
		return nil, err
	}
	// What is written is checked without the source: the two of them are the most that a
	// build has in memory.
	if err := src.Close(); err != nil {
		return nil, err
	}
	if !f.noVerify {
		if err := verifyBuilt(ctx, clock, raw.file, result, f.workers); err != nil {
			return nil, err
		}
	}
	if err := outputs.convert(ctx, clock, raw, result.Size, f.workers); err != nil {
		return nil, err
	}
	encoded, err := result.Manifest.Encode()
	if err != nil {
		return nil, err
	}
	return result, outputs.writeFile(f.output+manifest.Suffix, encoded)
}

// writeImage makes the image and what of the files beside it is known before.
func (f *buildFlags) writeImage(ctx context.Context, clock *stopwatch, p *plan.Plan, src *source.Source, in image.Inputs, outputs *outputs, raw *output) (*image.Result, error) {
	digest, err := src.Digest(ctx)
	if err != nil {
		return nil, err
	}
	in.Tree, in.Digest, in.Version, in.Workers, in.Progress = src.Tree, digest, readVersion().Version, f.workers, clock
	if in.Lock, err = outputs.writeLock(src.Lock()); err != nil {
		return nil, err
	}
	if err := f.writeBill(p, src, digest, outputs); err != nil {
		return nil, err
	}
	truncate := func(size int64) error { return spaceHint(raw.file.Truncate(size)) }
	return image.Write(ctx, image.Target{Writer: raw, Reader: raw.file, Truncate: truncate}, p, in)
}

// writeBill writes the bill of materials.
func (f *buildFlags) writeBill(p *plan.Plan, src *source.Source, digest string, outputs *outputs) error {
	bill, err := makeBill(p, src, digest)
	if err != nil {
		return err
	}
	return outputs.writeFile(f.output+billSuffix, bill)
}

// verifyBuilt reads the image back before anybody can take it for good.
func verifyBuilt(ctx context.Context, clock *stopwatch, raw *os.File, result *image.Result, workers int) error {
	report, err := verify.Image(ctx, raw, result.Size, verify.Options{
		Manifest: result.Manifest, Data: true, Workers: workers,
		Progress: clock,
	})
	if err != nil {
		return err
	}
	if report.Clean() {
		return nil
	}
	var text strings.Builder
	if err := report.Text(&text); err != nil {
		return err
	}
	return fault.New(fault.Internal, "report it; --no-verify writes the image nevertheless", "what was written does not verify:\n%s", text.String())
}

// checkNotSource refuses an output that is the source, or lies in it.
func checkNotSource(from, output string) error {
	spec, err := source.Parse(from)
	if err != nil || spec.Kind != source.Tar && spec.Kind != source.Dir {
		return err
	}
	return fromFlag{scheme: string(spec.Kind), path: spec.Value}.checkNot(output)
}

// imageMode is the mode of an image: of packages nothing is secret but the
// passwords, of any other source nobody knows.
func imageMode(from string, passwords map[string]string) fs.FileMode {
	spec, err := source.Parse(from)
	if err == nil && spec.Kind == source.Debian && len(passwords) == 0 {
		return modePlain
	}
	return modeSecret
}

// settleOutput checks the flags of the output and fills in its name and format
// from each other.
func (f *buildFlags) settleOutput(profile string) error {
	if f.workers < 0 {
		return fault.New(fault.Usage, "", "--workers %d: expected 0 or more", f.workers)
	}
	if f.format != "" && !slices.Contains(formats, f.format) {
		return fault.New(fault.Usage, "", "--format %q: expected raw, raw.zst or qcow2", f.format)
	}
	if f.output == "" {
		f.format = cmp.Or(f.format, formatRaw)
		f.output = profile + formatSuffix[f.format]
	}
	if f.format == "" {
		switch filepath.Ext(f.output) {
		case ".zst":
			f.format = formatZstd
		case ".qcow2":
			f.format = formatQcow2
		default:
			f.format = formatRaw
		}
	}
	return nil
}
