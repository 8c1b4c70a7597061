package main

import (
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/secrets"
)

func newPlan(u *ui) *cobra.Command {
	var f planFlags
	var ascii bool
	cmd := &cobra.Command{
		Use:   "plan PROFILE",
		Short: "show what an image would be, without making it",
		Long: `plan decides everything about the image of a profile and prints it: the disk and
its identities, subvolumes, mounts, the entries of the boot menu with their
command lines, and units. It reads the profile and its layout, and the files of
secrets that the profile names, which must be encrypted to the machine's key; the
source is not opened and need not be there.

The same profile and flags give the same plan, on every host. With --json it is
what the build keeps in the image's manifest.`,
		Example: `  mkimage plan bandit-minimal
  mkimage plan bandit-minimal --size 16GiB --set hostname=fox
  mkimage plan server-home --source tar:rootfs.tar --seed "$(openssl rand -hex 32)"
  mkimage plan bandit-minimal --json | jq -r '.entries[] | .id + ": " + (.cmdline | join(" "))'`,
		Args:              takes(1, 1),
		Annotations:       exits(fault.Config, fault.Input),
		ValidArgsFunction: completeProfiles(&f.profileFlags),
		RunE: func(_ *cobra.Command, args []string) error {
			p, asked, err := f.makePlan(args[0])
			if err != nil {
				return err
			}
			if _, err := secrets.Check(asked); err != nil {
				return err
			}
			return printPlan(u, p, plan.Look{Width: terminalWidth(u.out), ASCII: ascii})
		},
	}
	f.define(cmd)
	cmd.Flags().BoolVar(&ascii, "ascii", false, "draw the disk without box characters")
	return cmd
}

func printPlan(u *ui, p *plan.Plan, look plan.Look) error {
	data, err := p.JSON()
	if err != nil {
		return err
	}
	var textErr error
	if err := u.answer(json.RawMessage(data), func(w io.Writer) { textErr = plan.Text(w, p, look) }); err != nil {
		return err
	}
	return textErr
}

// plainWidth is the width of text that does not go to a terminal.
const plainWidth = 80

// terminalWidth returns the columns of the terminal that w is, or plainWidth.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return plainWidth
}
