package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/inspect"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

func newInspect(u *ui) *cobra.Command {
	var ascii bool
	cmd := &cobra.Command{
		Use:   "inspect IMAGE|DEVICE",
		Short: "show what is in a disk image",
		Long: `inspect shows the partitions of a disk image or disk, the subvolumes with what
they hold and what that takes on the disk, the entries of the boot menu with their
kernels and command lines, the swapfile with its resume offset, and what the image
was made from. It reads and changes nothing; what is damaged is left out and named.
Whether all is as it was built is for mkimage verify to say.

It may be the disk of the running system. What its file system has not committed
yet is not seen: sync first, or wait 30 seconds, after a change.

What several subvolumes share, such as a snapshot and its origin, is counted in
each of them.`,
		Example: `  mkimage inspect bandit-minimal.img
  mkimage inspect /dev/nvme0n1
  mkimage inspect --json bandit-minimal.img | jq -r '.boot.entries[].options'`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inspectImage(cmd.Context(), u, args[0], plan.Look{Width: terminalWidth(u.out), ASCII: ascii})
		},
	}
	cmd.Flags().BoolVar(&ascii, "ascii", false, "draw the disk without box characters")
	return cmd
}

func inspectImage(ctx context.Context, u *ui, name string, look plan.Look) error {
	disk, err := openDisk(name)
	if err != nil {
		return err
	}
	defer disk.Close()
	found, err := inspect.Read(ctx, disk, disk.Size())
	if err != nil {
		return nameError(name, err)
	}
	var textErr error
	if err := u.answer(found, func(w io.Writer) { textErr = printInspection(w, name, found, look) }); err != nil {
		return err
	}
	return textErr
}
