package main

import (
	"context"
	"fmt"
	"path"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/programs"
)

// mediumFlags are the flags of a medium. Its signature is made by the
// flags of sign.
type mediumFlags struct {
	signing signFlags
}

func (f *mediumFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.signing.key, "sign-key", "", "sign a medium with the secret key in `FILE`, which mkimage sign makes; - is standard input")
	f.signing.define(cmd)
}

// check refuses the flags of a medium for a system, and a medium that would not
// install anything.
func (f *mediumFlags) check(p *plan.Plan) error {
	switch {
	case p.Medium == nil && f.signing.key != "":
		return fault.New(fault.Usage, "sign the manifest of an image: mkimage sign IMAGE"+manifest.Suffix, "--sign-key: is for a medium, and %s is a system", p.Name())
	case p.Medium == nil && f.signing.passphraseFile != "":
		return fault.New(fault.Usage, "", "--passphrase-file: is for --sign-key, and %s is a system", p.Name())
	case p.IsRescue() && f.signing.key == "" && f.signing.passphraseFile != "":
		return fault.New(fault.Usage, "name the key too, or leave it out", "--passphrase-file: is for --sign-key, which is missing")
	case p.Installs() && f.signing.key == "":
		return fault.New(fault.Usage, "mkimage sign --generate NAME makes a key; then --sign-key NAME.key",
			"--sign-key is missing: %s is an installer medium, which installs only what is signed", p.Name())
	}
	return nil
}

// inputs adds to the inputs of an image what a medium has besides its payload.
// The signature tells the time of the plan: equal inputs give equal media.
func (f *mediumFlags) inputs(ctx context.Context, u *ui, p *plan.Plan, in *image.Inputs) error {
	if p.Medium == nil {
		return nil
	}
	program, err := programs.LoadInstall()
	if err != nil {
		return err
	}
	in.Installer = &image.Installer{Program: program}
	if f.signing.key != "" { // a medium that only brings back may have none
		key, err := f.signing.secret(ctx, u)
		if err != nil {
			return err
		}
		comment := fmt.Sprintf("timestamp:%d\tfile:%s\thashed", p.Epoch.Unix(), path.Base(manifest.ESPPath))
		in.Installer.Key = key.Public().Text()
		in.Sign = func(message []byte) ([]byte, error) { return key.Sign(message, comment) }
	}
	if p.Medium.Rescue.Enabled() {
		if in.Installer.Rescue, err = rescuePrograms(); err != nil {
			return err
		}
	}
	return nil
}

// rescuePrograms returns the programs of a rescue environment.
func rescuePrograms() (*image.Rescue, error) {
	program, err := programs.LoadRescue()
	if err != nil {
		return nil, err
	}
	running, err := programs.Load()
	if err != nil {
		return nil, err
	}
	return &image.Rescue{Program: program, FirstBoot: running.FirstBoot, Restic: running.Restic}, nil
}
