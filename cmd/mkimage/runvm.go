package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// runFlags are the flags of run as they were typed.
type runFlags struct {
	machineFlags
	bus, keep           string
	write, gui, network bool
}

func newRun(u *ui) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run IMAGE",
		Short: "start an image in a virtual machine",
		Long: `run starts an image in QEMU, with UEFI firmware, and connects this terminal to its
serial console. Keys on a terminal:

  Ctrl-A X   end the machine, like pulling the plug
  Ctrl-A P   press its power button
  Ctrl-A A   send Ctrl-A

What the machine writes is forgotten when it ends: --keep DIR puts it into a
folder instead, and goes on with it the next time, unless the image has changed;
--write changes the image itself. The machine has no network unless --network gives it one.`,
		Example: `  mkimage run bandit-minimal.img
  mkimage run --gui --memory 4GiB bandit-full.qcow2
  mkimage run --disk-bus usb --keep state usb-rescue.img`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input),
		RunE:        func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.define(cmd)
	flags.StringVar(&f.bus, "disk-bus", string(qemutests.VirtioBlk), "`how` the disk is attached: virtio-blk, nvme, usb, virtio-scsi or ahci")
	flags.BoolVar(&f.gui, "gui", false, "show the machine's screen in a window")
	flags.BoolVar(&f.network, "network", false, "let the machine make outgoing connections")
	flags.StringVar(&f.keep, "keep", "", "keep what the machine writes in `DIR`, beside the image")
	flags.BoolVar(&f.write, "write", false, "let the machine change the image itself")
	mustComplete(cmd, "disk-bus", busNames()...)
	return cmd
}

func (f *runFlags) run(ctx context.Context, u *ui, image string) error {
	c, err := f.machine(image)
	if err != nil {
		return err
	}
	c.Serial = u.out
	vm, err := qemutests.Start(ctx, c)
	if err != nil {
		return err
	}
	defer vm.Close()
	return attachTerminal(ctx, vm, os.Stdin)
}

func (f *runFlags) machine(image string) (qemutests.Config, error) {
	c, err := f.config()
	if err != nil {
		return c, err
	}
	if f.write && f.keep != "" {
		return c, fault.New(fault.Usage, "", "--write and --keep exclude each other")
	}
	bus, err := qemutests.ParseBus(f.bus)
	if err != nil {
		return c, err
	}
	format, err := diskFormat(image)
	if err != nil {
		return c, err
	}
	c.Disks = []qemutests.Disk{{File: image, Format: format, Bus: bus, Write: f.write}}
	c.Name, c.Network, c.Dir = "mkimage", f.network, f.keep
	if f.gui {
		c.Display = qemutests.GUI
	}
	if f.keep != "" {
		if err := os.MkdirAll(f.keep, 0o755); err != nil {
			return c, fault.New(fault.Target, "", "%w", err)
		}
	}
	return c, nil
}
