package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/strict"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// testFlags are the flags of test as they were typed.
type testFlags struct {
	machineFlags
	build buildFlags
	buses []string
	keep  string
}

func newTest(u *ui) *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test IMAGE|PROFILE",
		Short: "boot an image in QEMU and check what its profile promises",
		Long: `test boots a copy of an image in QEMU, once for each bus, and checks what its
profile promises: that it boots, that every unit runs, that mounts, host name and
command line are as planned, and what else tests.promises names. What is
expected comes from IMAGE.manifest.json. For a PROFILE the image is built first,
in a temporary folder; flags of mkimage build apply to that.

The image is not changed. Nothing is put into it either: the guest gets a small
agent through systemd credentials, which needs systemd 256 or newer in the image.
Without KVM a bus takes some minutes.`,
		Example: `  mkimage test bandit-minimal.img
  mkimage test bandit-minimal --bus virtio-blk,nvme,usb
  mkimage test --json --keep logs bandit-full.img | jq '.checks[] | select(.ok | not)'`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Config, fault.Input, fault.Target, fault.Mismatch),
		RunE:        func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.buses, "bus", []string{string(qemutests.VirtioBlk)}, "`buses` that the disk is attached by, one after the other")
	flags.StringVar(&f.keep, "keep", "", "keep the console's log and screenshots of failures in `DIR`")
	f.define(cmd)
	f.build.planFlags.define(cmd)
	f.build.sourceFlags.define(cmd)
	mustComplete(cmd, "bus", busNames()...)
	return cmd
}

func (f *testFlags) run(ctx context.Context, u *ui, name string) error {
	base, err := f.config()
	if err != nil {
		return err
	}
	base.Keep = f.keep
	s := qemutests.Suite{Base: base}
	for _, b := range f.buses {
		bus, err := qemutests.ParseBus(b)
		if err != nil {
			return err
		}
		s.Buses = append(s.Buses, bus)
	}
	if !isRegular(name) {
		dir, err := os.MkdirTemp("", "mkimage-test-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if name, err = f.buildImage(ctx, u, name, dir); err != nil {
			return err
		}
	}
	s.Image = name
	if s.Format, err = diskFormat(name); err != nil {
		return err
	}
	if s.Plan, err = planOf(name); err == nil && s.Plan.Medium != nil {
		err = fault.New(fault.Usage, "mkimage test "+shellWord(s.Plan.Profile.Name)+" tests the system that it is for",
			"%s is a medium: it promises nothing that a test looks for", name)
	}
	if err != nil {
		return err
	}
	if left := qemutests.Menuless(s.Plan); len(left) > 0 {
		u.warn("%s is a unified kernel image, without a menu to choose other entries in: not checked: %s", name, strings.Join(left, ", "))
	}
	return runSuite(ctx, u, s)
}

func isRegular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// buildImage builds the image of a profile into dir.
func (f *testFlags) buildImage(ctx context.Context, u *ui, profile, dir string) (string, error) {
	b := f.build
	b.output = filepath.Join(dir, strict.PlainName(profile)+".img")
	if b.lock == "" && !b.locked {
		b.lock = filepath.Join(dir, "lock.json")
	}
	quiet := *u // its summary is not what was asked for
	quiet.quiet, quiet.json = true, false
	return b.output, b.run(ctx, &quiet, profile)
}

// planOf returns the plan that an image was built from, by the manifest beside
// it.
func planOf(image string) (*plan.Plan, error) {
	m, err := manifest.ReadFile(image + manifest.Suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Input, "keep the files that mkimage build writes together", "manifest of %s: %w", image, err)
	} else if err != nil {
		return nil, err
	}
	return m.Plan, nil
}
