package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/hardware"
)

// layoutFormats are the values of --format of the command layout.
var layoutFormats = []string{"nix", "fstab", "json"}

type layoutFlags struct {
	planFlags
	format string // "" until the command line is parsed
}

func newLayout(u *ui) *cobra.Command {
	var f layoutFlags
	cmd := &cobra.Command{
		Use:   "layout PROFILE|IMAGE|DEVICE",
		Short: "write the mounts, swap and resume device of a disk for NixOS, or as fstab",
		Long: `layout writes what an installed system must be told of its disk: what is mounted
where, what it swaps to, and where it resumes from after hibernation. With
--format nix, the default, that is a module of NixOS in the place of
hardware-configuration.nix, so that no number in it was ever copied by hand.

Of a PROFILE it says what an image of it will have. The flags are those of plan,
and identities are those of the image if the flags are. Of an IMAGE or DEVICE it
reads the partition table, the btrfs file system of the root, and the mounts in
/etc/fstab there, or those of the manifest on the ESP where there is no such file.
PROFILE holds where a file has the same name; write ./NAME for the file.

DEVICE may be the disk of the running system. What its file system has not
committed yet is not seen: sync first, or wait 30 seconds, after a change.

What is not known is left out, never guessed. The resume offset, where the
swapfile begins, comes from the metadata of a disk; a profile has none, nor has an
image whose first boot will make the swapfile anew. The kernel modules of the
initramfs come from the profile, which a disk has in its manifest.

The fields of --format json: from ("plan", "fstab" or "manifest"), partitions
(number, partuuid, label, file_system, fsid, fs_label), mounts (what, target,
type, options, pass) and swaps (what, options) as in fstab(5), swapfile (path from
the top level of the file system, target in the running system, size in bytes,
fragments), resume (device as in fstab; offset in pages of 4096 bytes, or
offset_unknown: why there is none), modules, unread (what could not be read).
Those with nothing to say are absent, but mounts and swaps are always there.`,
		Example: `  mkimage layout bandit-full --set hostname=fox > hardware-configuration.nix
  mkimage layout /dev/nvme0n1 > hardware-configuration.nix
  mkimage layout --format fstab fox.img
  mkimage layout --format json fox.img | jq .resume.offset`,
		Args:              takes(1, 1),
		Annotations:       exits(fault.Config, fault.Input),
		ValidArgsFunction: completeProfileOrFile(&f.profileFlags),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, u, args[0])
		},
	}
	f.define(cmd)
	cmd.Flags().StringVar(&f.format, "format", "", "`form` of what is printed: nix, fstab or json (default: nix, with --json json)")
	mustComplete(cmd, "format", layoutFormats...)
	return cmd
}

// completeProfileOrFile completes names of profiles, and names of files.
func completeProfileOrFile(f *profileFlags) cobra.CompletionFunc {
	names := completeProfiles(f)
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		list, _ := names(cmd, args, word)
		return list, cobra.ShellCompDirectiveDefault
	}
}

func (f *layoutFlags) run(cmd *cobra.Command, u *ui, name string) error {
	if err := f.checkFormat(u.json); err != nil {
		return err
	}
	found, err := f.find(cmd, name)
	if err != nil {
		return err
	}
	for _, text := range found.Unread {
		u.warn("%s: %s", name, text)
	}
	return f.print(u, found)
}

// checkFormat completes --format, which --json must not contradict.
func (f *layoutFlags) checkFormat(json bool) error {
	switch {
	case f.format == "" && json:
		f.format = "json"
	case f.format == "":
		f.format = "nix"
	case !slices.Contains(layoutFormats, f.format):
		return fault.New(fault.Usage, "", "--format %q: expected one of %s", f.format, strings.Join(layoutFormats, ", "))
	case json && f.format != "json":
		return fault.New(fault.Usage, "leave one of them out", "--json: got --format %s beside it, expected json", f.format)
	}
	return nil
}

// find returns the hardware that a name stands for: a profile, or a disk.
func (f *layoutFlags) find(cmd *cobra.Command, name string) (*hardware.Hardware, error) {
	set, _, err := f.load()
	if err != nil {
		return nil, err
	}
	// A name with a slash is no profile's; a typing error in one is for makePlan
	// to explain.
	if set.Has(name) || !isFile(name) && !strings.Contains(name, "/") {
		p, _, err := f.makePlan(name)
		if err == nil && p.Medium != nil {
			err = fault.New(fault.Usage, "mkimage layout "+shellWord(p.Profile.Name), "%s is a medium: a system has the layout of its payload", name)
		}
		if err != nil {
			return nil, err
		}
		return hardware.Plan(p), nil
	}
	if err := refusePlanFlags(cmd, name); err != nil {
		return nil, err
	}
	return readHardware(cmd.Context(), name)
}

// readHardware reads a disk, or a file system without a partition table.
func readHardware(ctx context.Context, name string) (*hardware.Hardware, error) {
	d, err := openDisk(name)
	if err != nil {
		return nil, err
	}
	found, err := hardware.Read(ctx, d, d.Size())
	if err != nil {
		err = fsPath{fs: name}.wrap(err)
	}
	return found, errors.Join(err, d.Close())
}

// refusePlanFlags refuses what changes a plan beside the name of a disk. Folders
// of profiles change nothing there.
func refusePlanFlags(cmd *cobra.Command, name string) error {
	for _, flag := range []string{"set", "source", "size", "seed", "timestamp"} {
		if cmd.Flags().Changed(flag) {
			return fault.New(fault.Usage, "", "--%s: is for a profile, and %s is a disk", flag, name)
		}
	}
	return nil
}

func (f *layoutFlags) print(u *ui, found *hardware.Hardware) error {
	switch f.format {
	case "json":
		return u.encode(u.out, found)
	case "fstab":
		_, err := u.out.Write(found.Fstab())
		return err
	}
	text, err := found.Nix()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(u.out, string(text))
	return err
}
