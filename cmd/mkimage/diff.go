package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/installed"
)

type diffFlags struct{ all, exitCode bool }

func newDiff(u *ui) *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff IMAGE|DEVICE[#GENERATION] IMAGE|DEVICE[#GENERATION]",
		Short: "show what changed between two images or generations",
		Long: `diff shows what changed from the system in one image or on one disk to that in
another: packages with their versions and sizes, kernels, kernel parameters and
units of systemd. Of NixOS it compares the closures of two generations, as the
database of the store has them; of Debian what dpkg has installed. Without a number
behind # it takes the current generation. It mounts nothing, needs no root, and
changes nothing.

The first column says what happened to a package: U it is newer, D older, C in other
versions, neither newer nor older, R rebuilt in the same version and of another
size, + added, - removed. A star marks packages that the configuration of NixOS
names itself. Of several versions of a name all are listed.

Left out, but shown with --all, is what differs between any two builds: packages of
the same version whose size differs by 8 KiB or less, parameters that differ in a
UUID alone, such as root=PARTUUID=, and units that name other builds or versions of
packages and are else the same.

Partitions, subvolumes and files that belong to no unit are not compared. That
nothing changed is not an error, nor is it one that something did: with --exit-code
the latter ends with exit code 6.`,
		Example: `  mkimage diff old.img new.img
  mkimage diff fox.img#1 fox.img#2                 # two generations of one image
  mkimage diff /dev/nvme0n1 fox.img                # the running system, and what would replace it
  mkimage diff --all old.img new.img
  mkimage diff --exit-code old.img new.img > changes || test $? = 6
  mkimage diff --json old.img new.img | jq -r '.packages[] | select(.change == "added").name'`,
		Args:        takes(2, 2),
		Annotations: exits(fault.Input, fault.Mismatch),
		RunE:        func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0], args[1]) },
	}
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "show also what differs between any two builds")
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "end with exit code 6 if there are differences")
	return cmd
}

func (f *diffFlags) run(ctx context.Context, u *ui, from, to string) error {
	before, err := readSide(ctx, from)
	if err != nil {
		return err
	}
	after, err := readSide(ctx, to)
	if err != nil {
		return err
	}
	report, err := diff.Compare(before, after, diff.Options{All: f.all})
	if err != nil {
		return err
	}
	look := diffLook{colour: colourful(u.out)}
	var textErr error
	if err := u.answer(report, func(w io.Writer) { textErr = look.print(w, report) }); err != nil {
		return err
	}
	if textErr == nil && f.exitCode && report.Differs() {
		return fault.New(fault.Mismatch, "", "%s: differs from %s", to, from)
	}
	return textErr
}

// readSide reads the system that an argument names.
func readSide(ctx context.Context, arg string) (*diff.System, error) {
	name, generation, err := parseSide(arg, isFile)
	if err != nil {
		return nil, err
	}
	disk, err := openDisk(name)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	s, err := installed.Read(ctx, disk, disk.Size(), generation)
	if err != nil {
		return nil, nameError(name, err)
	}
	s.Name = arg
	return s, nil
}

// parseSide splits an argument of the form FILE or FILE#GENERATION; the generation
// is 0 where none is named. A file may have # in its name.
func parseSide(arg string, isFile func(string) bool) (name string, generation int, err error) {
	i := strings.LastIndexByte(arg, '#')
	if i < 0 || isFile(arg) {
		return arg, 0, nil
	}
	generation, err = strconv.Atoi(arg[i+1:])
	if err != nil || generation < 1 {
		return "", 0, fault.New(fault.Usage, "", "%s: generation %q: expected a number from 1", arg, arg[i+1:])
	}
	return arg[:i], generation, nil
}
