package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/builder/verify"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/signature"
	"github.com/6FaNcY9/mkimage/installer/stick"
)

// newStick makes the command whose subcommand is about a medium that brings a machine back.
func newStick(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stick",
		Short: "check that a rescue stick still fits its machine",
		Long: `stick is about a medium with a rescue environment: one that was built of a profile
of kind rescue, or of kind installer.

  stick check        says what has changed since it was made`,
		Example: "  sudo mkimage stick check /dev/sdb",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fault.New(fault.Usage, "mkimage stick --help lists them", "stick: unknown subcommand %q, expected check", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStickCheck(u))
	return cmd
}

// stickFlags are those of stick check.
type stickFlags struct {
	planFlags
	profile string   // "" is that of the medium
	key     string   // a public key or its file; "" believes the one on the medium
	keyFile string   // the machine's key of age
	images  []string // disks in the place of the machine's
	quick   bool
	workers int
}

func newStickCheck(u *ui) *cobra.Command {
	f := stickFlags{planFlags: planFlags{size: "auto"}}
	cmd := &cobra.Command{
		Use:   "check DEVICE|IMAGE",
		Short: "say what has changed since a rescue stick was made",
		Long: `stick check is for the machine that a rescue stick is kept for, while that still
runs. It says what has changed since the stick was made, and what to do about it:

  damage    a byte of the stick is not as it was built; as mkimage verify finds it
  trust     its manifest is not signed, or not by the key of --key
  key       the key of this machine does not open the secrets on the stick
  secrets   files of secrets of the profile have changed, or are for other keys
  profile   the profile or its layout has changed
  layout    the disk has other subvolumes, mounts or labels than the stick would make
  memory    the swapfile is smaller than the memory, or would be
  backup    another restic; the newest snapshot on a disk that is plugged in is older
            than 14 days
  version   another kernel, another mkimage

Each finding is broken (the stick may fail when it is needed), drift (it would bring
back something else than there is) or a note. With one that is more than a note it
ends with 6. What could not be looked at is a note, with the reason.

Nothing is written or mounted, no backup is opened and no passphrase asked for. The
machine's disks and its key can be read by root alone. The profile is looked for as
for build, by the name that the stick has; give it the same --set and --source.

With --image the disks in files, of another machine, are looked at in the place of
this one's. With --json: profile, payload, mkimage, kernel, and findings, a list of
kind, severity, what, was, is and do.`,
		Example: `  sudo mkimage stick check /dev/sdb
  sudo mkimage stick check /dev/sdb --quick --profile-dir /etc/nixos/profiles
  mkimage stick check bandit-rescue.img --image laptop.img --key fox.pub
  sudo mkimage stick check /dev/sdb --json | jq -r '.findings[] | .kind + ": " + .what'`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Config, fault.Input, fault.Mismatch),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Else a variable of a script that is not set would ask for no signature.
			if cmd.Flags().Changed("key") && f.key == "" {
				return fault.New(fault.Usage, "mkimage stick check DEVICE --key PUBKEY", "--key is empty: expected a public key or its file")
			}
			return f.run(cmd.Context(), u, args[0])
		},
	}
	f.profileFlags.define(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.source, "source", "", "compare with the profile made from `KIND:NAME`, as build took it")
	flags.StringVar(&f.profile, "profile", "", "compare with the profile `NAME`; default: that of the stick")
	flags.StringVar(&f.key, "key", "", "the `public key` that the manifest must be signed with: its file, or its line")
	flags.StringVar(&f.keyFile, "key-file", "", "the machine's secret key of age, `FILE`; default: "+config.KeyPath)
	flags.StringArrayVar(&f.images, "image", nil, "look at the disk in `FILE`, of another machine, in the place of this one's")
	flags.BoolVar(&f.quick, "quick", false, "do not read all of the stick")
	flags.IntVar(&f.workers, "workers", 0, "goroutines that read and hash; 0 means one for each processor")
	if err := cmd.RegisterFlagCompletionFunc("profile", completeProfiles(&f.profileFlags)); err != nil {
		panic("mkimage: " + err.Error())
	}
	return cmd
}

// stickReport is what stick check says.
type stickReport struct {
	Profile  string          `json:"profile"` // of the medium
	Payload  string          `json:"payload"`
	Mkimage  string          `json:"mkimage"`
	Kernel   string          `json:"kernel"`
	Findings []stick.Finding `json:"findings"`
}

func (f *stickFlags) run(ctx context.Context, u *ui, name string) error {
	d, err := openDisk(name)
	if err != nil {
		return err
	}
	defer d.Close()
	var trusted *signature.Key
	if f.key != "" {
		key, err := publicKey(f.key)
		if err != nil {
			return err
		}
		trusted = &key
	}
	s, m, err := stick.Read(d, d.Size(), trusted)
	if err != nil {
		return nameError(name, err)
	}
	if !f.quick {
		if err := f.readAll(ctx, u, d, s, m); err != nil {
			return nameError(name, err)
		}
	}
	machine, err := f.machine(ctx, s)
	if err != nil {
		return err
	}
	r := &stickReport{s.Plan.Name(), s.Plan.Profile.Name, s.Mkimage, s.Kernel, stick.Check(s, machine)}
	if err := u.answer(r, r.print); err != nil {
		return err
	}
	if stick.Drifted(r.Findings) {
		return fault.New(fault.Mismatch, "each finding says what to do", "%s: no longer as the machine is", name)
	}
	return nil
}

// readAll compares all of the medium with its manifest. Behind its image a stick has what
// was there before.
func (f *stickFlags) readAll(ctx context.Context, u *ui, d *rawdisk.Disk, s *stick.Stick, m *manifest.Manifest) error {
	report, err := verify.Image(ctx, d, min(d.Size(), m.Image.Size), verify.Options{Data: true, Workers: f.workers, Progress: u})
	if err != nil {
		return err
	}
	s.Problems, s.First = report.Found(), ""
	for _, c := range report.Checks {
		if len(c.Problems) > 0 && s.First == "" {
			s.First = c.Problems[0].Where + ": " + c.Problems[0].What
		}
	}
	return nil
}

// print is the report for people.
func (r *stickReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s, which brings %s back; made by mkimage %s, kernel %s\n", printable(r.Profile), printable(r.Payload), printable(r.Mkimage), printable(r.Kernel))
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "nothing has changed")
	}
	for _, x := range r.Findings {
		fmt.Fprintf(w, "\n%-7s %-8s %s\n", x.Severity, x.Kind, printable(x.What))
		for _, line := range []struct{ label, text string }{{"was", x.Was}, {"is", x.Is}, {"->", x.Do}} {
			if line.text != "" {
				fmt.Fprintf(w, "        %-8s %s\n", line.label, printable(line.text))
			}
		}
	}
}
