package main

import (
	"context"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/rehearsal"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

// subject returns the installer and the system that a name means.
func (f *rehearseFlags) subject(name string) (*rehearsal.Subject, error) {
	r, err := f.build.resolve(name)
	if err != nil {
		return nil, err
	}
	if r.payload == nil || !r.profile.IsInstaller() {
		if name, err = f.installerOf(r.system().profile.Name); err != nil {
			return nil, err
		}
		if r, err = f.build.resolve(name); err != nil {
			return nil, err
		}
	}
	if err := r.complete(); err != nil {
		return nil, err
	}
	return &rehearsal.Subject{
		Installer: r.profile, InstallerRef: name, System: r.payload.profile, SystemRef: r.profile.Payload, SystemLayout: r.payload.layout,
	}, nil
}

// installerOf returns the one installer profile whose payload is a system.
func (f *rehearseFlags) installerOf(system string) (string, error) {
	sets, err := f.build.loadSets()
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range sets.profiles.Names() {
		// One that is wrong installs nothing.
		if p, _, err := sets.profiles.Resolve(name, nil); err == nil && p.IsInstaller() && p.Payload == system {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fault.New(fault.Config, `write one: kind = "installer", payload = "`+system+`", layout = "usb-installer"; mkimage profiles bandit-installer shows one`,
			"profile %s: is the payload of no installer, so there is no stick to recover it from", system)
	}
	return "", fault.New(fault.Usage, "mkimage rehearse "+shellWord(found[0]), "profile %s: is the payload of %s: which one?", system, strings.Join(found, ", "))
}

// makers are the commands of this program that make stick and key medium.
func (f *rehearseFlags) makers(u *ui, dir, system string) rehearsal.Makers {
	quiet := *u // what is made on the way is not what was asked for
	quiet.quiet, quiet.json, quiet.out = true, false, io.Discard
	return rehearsal.Makers{
		Stick: func(ctx context.Context, profiles, name, output string) (*plan.Plan, error) {
			sign := signFlags{generate: filepath.Join(dir, "maker"), open: true}
			if err := sign.runGenerate(ctx, &quiet); err != nil {
				return nil, err
			}
			b := f.build
			b.profileDirs = slices.Concat([]string{profiles}, b.profileDirs)
			b.output, b.signing.key = output, sign.generate+".key"
			if b.lock == "" && b.locked {
				b.lock = b.lockName(system)
			} else if b.lock == "" {
				b.lock = filepath.Join(dir, "lock.json")
			}
			if err := b.run(ctx, &quiet, name); err != nil {
				return nil, err
			}
			return planOf(output)
		},
		KeyMedium: func(ctx context.Context, key, passphrase, output string) error {
			m := keysMediumFlags{keyFlags: keyFlags{key: key, passphraseFlags: passphraseFlags{passphraseFile: passphrase}}}
			return m.run(ctx, &quiet, output)
		},
	}
}

// listTreeName is the command that a rehearsal runs where a home is.
const listTreeName = "list-tree"

func newListTree(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:    listTreeName + " DIR",
		Short:  "list a folder with all that a backup keeps of it",
		Hidden: true, // for rehearsals
		Args:   takes(1, 1),
		RunE:   func(_ *cobra.Command, args []string) error { return listtree.List(u.out, args[0]) },
	}
}

// checkStatic refuses a program that does not run in every Linux for x86-64: this one lists
// the home in the machine.
func checkStatic(name string) error {
	const hint = "make build makes one; or: CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build ./cmd/mkimage"
	f, err := elf.Open(name)
	if err != nil {
		return fault.New(fault.Input, hint, "%s: is no program for Linux: %w", name, err)
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		return fault.New(fault.Input, hint, "%s: is a program for %s, and in the machine it has to run on x86-64", name, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fault.New(fault.Input, hint, "%s: needs libraries of this host, and in the machine it has to run without", name)
		}
	}
	return nil
}

// checkRoom refuses a folder without room for the images.
func checkRoom(dir string, need int64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := int64(s.Bavail) * s.Bsize; free < need {
		return fault.New(fault.Target, "name a folder elsewhere: --keep DIR, or TMPDIR=DIR", "%s: has %s free, and a rehearsal needs %s at least", dir, humanBytes(free), humanBytes(need))
	}
	return nil
}
