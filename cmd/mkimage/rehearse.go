package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/programs"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
	"github.com/6FaNcY9/mkimage/rehearsal"
)

// rehearseFlags are the flags of rehearse as they were typed.
type rehearseFlags struct {
	machineFlags
	build        buildFlags
	output, keep string
	dryRun       bool
}

func newRehearse(u *ui) *cobra.Command {
	var f rehearseFlags
	cmd := &cobra.Command{
		Use:   "rehearse PROFILE",
		Short: "lose a machine in QEMU and recover it, with a report",
		Long: `rehearse proves that a machine comes back. It builds the stick of an installer
profile, and a stand-in of what one has when a laptop is lost: a key medium whose key
has a passphrase, and a backup disk with a home of some hundred files of every kind.
Then it starts a machine with an empty disk from the stick, chooses "Rescue and
recovery", types recover, the consent and the passphrase, as a person does, and
starts the disk with nothing else plugged in. It holds if every file of the home is as
it was (content, owner, mode, time, links, extended attributes), the age key and the
secrets are where the profile wants them, the system runs and keeps the promises of
its profile, and stick, key medium and backup disk have not changed.

PROFILE is that of an installer, or of a system, of which the installer is found.
Nothing real is touched or needed: the key and the values of all secrets are made for
the rehearsal, so neither their key nor sops is asked for. A profile that restores
nothing gets a backup for the rehearsal, and the report says so.

What was found is written to rehearsal-PROFILE-DATE.html, a page to keep and to print,
and the same as .json. Those of an earlier rehearsal of the day are replaced. What a
virtual machine cannot show is named there: the firmware, Wi-Fi, the real key.

bandit-full takes nine minutes without KVM, and less with it; a larger system takes
longer. Of several users all files have their owners if root runs it; otherwise all
are of the first.`,
		Example: `  mkimage rehearse fox-installer
  mkimage rehearse fox --output ~/rehearsals --memory 2GiB
  mkimage rehearse fox --dry-run                 # what it would do, and the room it takes
  mkimage rehearse fox --json --keep /var/tmp/fox | jq .held`,
		Args:              takes(1, 1),
		Annotations:       exits(fault.Config, fault.Input, fault.Target, fault.Mismatch),
		ValidArgsFunction: completeProfiles(&f.build.profileFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", ".", "write the report into `DIR`")
	flags.StringVar(&f.keep, "keep", "", "keep the images and the logs of the machines in `DIR`, which is new or empty")
	flags.BoolVarP(&f.dryRun, "dry-run", "n", false, "print what would be done and how much room it takes, do nothing")
	f.define(cmd)
	f.build.planFlags.define(cmd)
	f.build.sourceFlags.define(cmd)
	for _, name := range []string{"output", "keep"} {
		if err := cmd.MarkFlagDirname(name); err != nil {
			panic("mkimage: " + err.Error())
		}
	}
	return cmd
}

func (f *rehearseFlags) run(ctx context.Context, u *ui, name string) error {
	machine, err := f.config()
	if err != nil {
		return err
	}
	q, err := f.request(u, name)
	if err != nil {
		return err
	}
	q.Machine = machine
	if f.dryRun {
		return showRehearsal(u, q.Plan())
	}
	files, err := reportFiles(f.output, name, q.Now())
	if err != nil {
		return err
	}
	if err := f.prepare(q); err != nil {
		return err
	}
	dir, remove, err := f.workDir(q.Plan().Room)
	if err != nil {
		return err
	}
	defer remove()
	q.Dir, q.Makers = dir, f.makers(u, dir, q.System.Name)
	q.Began = func(title string) { u.Report(builder.Stage(title), 0, 0) }
	report, err := q.Run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !beganRecovery(report) {
		return err
	}
	return f.conclude(u, files, report, err)
}

// request says what is rehearsed, and refuses what cannot be.
func (f *rehearseFlags) request(u *ui, name string) (*rehearsal.Request, error) {
	subject, err := f.subject(name)
	if err != nil {
		return nil, err
	}
	subject.Assume()
	if err := subject.Check(); err != nil {
		return nil, err
	}
	q := &rehearsal.Request{Subject: *subject, Profile: name, Version: readVersion().Version, Now: time.Now}
	if size := subject.Installer.Installer.Disk.MinSize; size != "" {
		if q.DiskSize, err = parseSize(size); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// prepare finds the programs that a rehearsal needs.
func (f *rehearseFlags) prepare(q *rehearsal.Request) error {
	for _, p := range []struct{ name, hint string }{
		{qemutests.Binary, "install the package qemu-system-x86 (Debian, Ubuntu), qemu-system-x86-core (Fedora), qemu-system-x86_64 (Arch) or qemu (NixOS)"},
		{"qemu-img", "install the package qemu-utils (Debian, Ubuntu), qemu-img (Fedora, Arch) or qemu (NixOS)"},
	} {
		if _, err := exec.LookPath(p.name); err != nil {
			return fault.New(fault.Input, p.hint, "the program %s was not found", p.name)
		}
	}
	if f.firmware == "" {
		if _, err := qemutests.FindFirmware("/"); err != nil {
			return err
		}
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	if err := checkStatic(own); err != nil {
		return err
	}
	in, err := programs.Load()
	if err != nil {
		return err
	}
	q.Lister, q.Restic = []string{own, listTreeName}, in.Restic
	return nil
}

// workDir returns the folder for images, and what removes it.
func (f *rehearseFlags) workDir(room int64) (dir string, remove func(), err error) {
	remove = func() {}
	if f.keep != "" {
		if err := os.MkdirAll(f.keep, 0o700); err != nil {
			return "", nil, fault.New(fault.Target, "", "--keep: %w", err)
		}
		list, err := os.ReadDir(f.keep)
		if err != nil {
			return "", nil, fault.New(fault.Target, "", "--keep: %w", err)
		}
		if len(list) > 0 {
			return "", nil, fault.New(fault.Target, "name a new one", "--keep %s: is not empty", f.keep)
		}
		if dir, err = filepath.Abs(f.keep); err != nil {
			return "", nil, err
		}
	} else {
		if dir, err = os.MkdirTemp("", "mkimage-rehearse-"); err != nil {
			return "", nil, err
		}
		remove = func() { _ = os.RemoveAll(dir) }
	}
	if err := checkRoom(dir, room); err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}
