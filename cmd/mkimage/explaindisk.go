package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/profiles"
)

type explainDiskFlags struct {
	profileFlags
	from, capture      string // names of files
	unused, loop       bool
	bus, model, serial []string
	minSize            string
}

func newExplainDisk(u *ui) *cobra.Command {
	var f explainDiskFlags
	cmd := &cobra.Command{
		Use:   "explain-disk [PROFILE]",
		Short: "say which disk an installer would choose, and why not the others",
		Long: `explain-disk lists the disks of this machine with what is on them, and puts each to
the rules of PROFILE, which is one of an installer: the rules that always hold,
such as that a backup is never erased, then those of [installer.disk]. It is what
the installer medium does, by the same code. Nothing is written to any disk.

Exactly one disk must match every rule. Where none does, or several do, the
command ends with 5, as the medium would, and each disk has its reasons.

The disk of the system that is running now is in use, and so is never chosen.
--unused judges disks as the medium will find them, with nothing mounted. A
serial number that was asked for with --serial is taken in place of the profile's,
and likewise the other rules; without PROFILE they are the only ones.

--capture FILE keeps what was found, as JSON, also of a machine that will be
installed: with --from FILE the rules can be tried elsewhere. Without PROFILE and
rules the disks are listed only. Disks can be read by root alone.

With --json: disks, a list of disk and findings (rule, ok, reason), and chosen, the
name of the disk, or "".`,
		Example: `  sudo mkimage explain-disk
  sudo mkimage explain-disk bandit-installer --unused
  sudo mkimage explain-disk --capture fox.disks.json
  mkimage explain-disk bandit-installer --from fox.disks.json --serial 'S6B*'
  mkimage explain-disk bandit-installer --from fox.disks.json --json | jq -r .chosen`,
		Args:              takes(0, 1),
		Annotations:       exits(fault.Config, fault.Input, fault.Target),
		ValidArgsFunction: completeProfiles(&f.profileFlags),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), u, args)
		},
	}
	f.profileFlags.define(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "judge the disks of a record, `FILE`, instead of those of this machine")
	flags.StringVar(&f.capture, "capture", "", "keep a record of the disks in `FILE`")
	flags.BoolVar(&f.unused, "unused", false, "take no disk for one that is in use")
	flags.BoolVar(&f.loop, "loop", false, "list loop devices, too")
	flags.StringArrayVar(&f.bus, "bus", nil, "only disks on a bus: nvme, sata, usb, scsi, virtio or mmc; a glob `pattern`")
	flags.StringArrayVar(&f.model, "model", nil, "only disks of a model; a glob `pattern`")
	flags.StringArrayVar(&f.serial, "serial", nil, "only disks of a serial number; a glob `pattern`")
	flags.StringVar(&f.minSize, "min-size", "", "only disks of at least this `size`, such as 200GiB")
	return cmd
}

// explainedDisks is what explain-disk says.
type explainedDisks struct {
	Disks  []disks.Verdict `json:"disks"`
	Chosen string          `json:"chosen"` // name of the disk; "" for none
	judged bool
}

func (f *explainDiskFlags) run(ctx context.Context, u *ui, args []string) error {
	judge := len(args) > 0 || f.hasRules()
	w := disks.Wants{}
	if len(args) > 0 {
		var err error
		if w, err = installerRules(args[0], &f.profileFlags); err != nil {
			return err
		}
	}
	f.override(&w)
	w.Medium.Known = true // it is not plugged in here, or rather: nothing runs from it
	list, err := f.list(ctx)
	if err != nil {
		return err
	}
	if f.capture != "" {
		if err := f.keep(list); err != nil {
			return err
		}
	}
	if f.unused {
		for i := range list {
			list[i].Uses = nil
		}
	}
	verdicts, err := disks.JudgeAll(list, w)
	if err != nil {
		return err
	}
	return explainAll(u, verdicts, judge)
}

// explainAll prints disks, and judges them if they are to be judged.
func explainAll(u *ui, verdicts []disks.Verdict, judge bool) error {
	result := &explainedDisks{Disks: verdicts, judged: judge}
	if !judge {
		for i := range result.Disks {
			result.Disks[i].Findings = []disks.Finding{}
		}
		return u.answer(result, result.print)
	}
	chosen, err := disks.Only(verdicts)
	result.Chosen = chosen.Name
	if err := u.answer(result, result.print); err != nil {
		return err
	}
	// The error has all disks with their reasons, which stand above already.
	for _, kind := range []error{disks.ErrNone, disks.ErrSeveral} {
		if errors.Is(err, kind) {
			return fault.New(fault.Target, fault.HintOf(err), "%w", kind)
		}
	}
	return err
}

// installerRules returns what the profile of an installer wants.
func installerRules(name string, f *profileFlags) (disks.Wants, error) {
	r, err := f.resolve(name)
	if err == nil {
		err = r.complete()
	}
	if err != nil {
		return disks.Wants{}, err
	}
	if !r.profile.IsInstaller() {
		return disks.Wants{}, fault.New(fault.Config, "name a profile with kind = \"installer\", such as bandit-installer; or leave it out and give rules: --bus nvme",
			"profile %s: is of kind %q, expected an installer", r.profile.Name, cmp.Or(r.profile.Kind, profiles.KindSystem))
	}
	return disks.WantsOf(r.profile.Installer, r.payload.profile, r.payload.layout), nil
}

func (f *explainDiskFlags) hasRules() bool {
	return len(slices.Concat(f.bus, f.model, f.serial)) > 0 || f.minSize != ""
}

// override puts the rules of the command line in place of the profile's.
func (f *explainDiskFlags) override(w *disks.Wants) {
	for _, rule := range []struct {
		from []string
		to   *[]string
	}{{f.bus, &w.Rules.Bus}, {f.model, &w.Rules.Model}, {f.serial, &w.Rules.Serial}} {
		if len(rule.from) > 0 {
			*rule.to = rule.from
		}
	}
	if f.minSize != "" {
		w.Rules.MinSize = f.minSize
	}
}

// list returns the disks of this machine, or of a record.
func (f *explainDiskFlags) list(ctx context.Context) ([]disks.Disk, error) {
	if f.from == "" {
		return disks.Scanner{Loop: f.loop}.Scan(ctx)
	}
	if f.loop {
		return nil, fault.New(fault.Usage, "leave one of them out", "--loop: got --from beside it, whose disks are those that were recorded")
	}
	file, err := os.Open(f.from)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	list, err := disks.ReadCapture(file)
	if err != nil {
		err = nameError(f.from, err)
	}
	return list, errors.Join(err, file.Close())
}

// keep writes the record of --capture.
func (f *explainDiskFlags) keep(list []disks.Disk) error {
	var b bytes.Buffer
	if err := disks.WriteCapture(&b, list); err != nil {
		return err
	}
	if err := checkOutput(f.capture, "name a file"); err != nil {
		return err
	}
	o, err := createOutput(f.capture, int64(b.Len()), modePlain)
	if err != nil {
		return err
	}
	if _, err := o.WriteAt(b.Bytes(), 0); err != nil {
		return errors.Join(err, o.discard())
	}
	return o.publish(int64(b.Len()))
}
