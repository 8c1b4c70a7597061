package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// rootLong is what mkimage says of itself.
const rootLong = `mkimage makes bootable disks, and proves that they boot. From a profile it builds
the image of a disk: partitions, boot loader, initramfs, and a btrfs file system
with subvolumes, snapshots and a swapfile. It does so without root, without a loop
device, without mounting and without mkfs, and the same input gives the same bytes,
whatever the host, clock or number of processors.

A profile is a TOML file of a few lines: packages, users, units, and a layout of
partitions and subvolumes. profiles and layouts list those that are built in.

  plan PROFILE       decides everything about the image and shows it
  build PROFILE      makes the image; PROFILE alone does the same
  verify, inspect    check every byte of an image; show what is in it
  diff               says what changed between two images or generations
  test, run          boot an image in QEMU: with checks, or on this terminal
  rehearse           lose a machine in QEMU and recover it, with a report
  write              puts an image on a disk or stick, and reads it back
  layout             writes what NixOS must know of the disk, from a profile, an image
                     or the disk of the running system

It also reads disks and btrfs file systems that others made: ls, cat and stat show
files without mounting them, check finds damage, and map-swapfile prints the resume
offset of a swapfile. mkfs writes a btrfs file system alone.

A profile of kind installer makes a stick that installs a system with nobody there.
sign makes the key that it is signed with, keys medium the stick with the key of the
secrets, and explain-disk says which disk of a machine it would erase. One of kind
rescue makes a small stick that brings a machine back; stick check says whether it
still fits.`

// newRoot makes the command tree. To add a subcommand write a file with a
// function that returns a *cobra.Command and name it here, in its group.
func newRoot(u *ui) *cobra.Command {
	root := &cobra.Command{
		Use:   "mkimage",
		Short: "make images of bootable disks from profiles, verify them, and boot them",
		Long:  rootLong,
		Example: `  mkimage plan bandit-full --set hostname=fox
  mkimage build bandit-full --set hostname=fox -o fox.img
  mkimage verify fox.img
  mkimage test fox.img --bus nvme,usb                           # boots it, with checks
  mkimage run fox.img                                           # boots it here
  mkimage layout /dev/nvme0n1 > hardware-configuration.nix      # of this machine
  mkimage map-swapfile /dev/nvme0n1
  mkimage ls -l fox.img:@/etc`,
		Args:              subcommandOnly,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return u.start() },
	}
	root.SuggestionsMinimumDistance = 2 // letters that may differ
	root.CompletionOptions.HiddenDefaultCmd = false
	flags := root.PersistentFlags()
	flags.BoolVar(&u.json, "json", false, "print results and errors as JSON, one object a line")
	flags.BoolVarP(&u.quiet, "quiet", "q", false, "print errors and what was asked for, nothing else")
	flags.StringVar(&u.progress, "progress", "auto", "`how` to show progress on stderr: auto, bar, plain, json or none")
	mustComplete(root, "progress", progressModes...)

	addGroup(root, "images", "Images of disks:", newBuild(u), newPlan(u), newVerify(u), newInspect(u), newDiff(u), newInitramfs(u), newRun(u), newTest(u), newRehearse(u), newLayout(u))
	addGroup(root, "disks", "Disks and media:", newExplainDisk(u), newWrite(u), newSign(u), newStick(u))
	addGroup(root, "files", "File systems:", newLs(u), newCat(u), newStat(u), newCheck(u), newMapSwapfile(u), newMkfs(u))
	addGroup(root, "profiles", "Profiles:", newProfiles(u), newLayouts(u))
	addGroup(root, "secrets", "Secrets:", newKeys(u))
	addGroup(root, "other", "Other:", newVersion(u), newMan(), newListTree(u))
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	root.SetHelpFunc(printHelp)
	refuseUnknownHelp(root)
	addCompletion(root)
	return root
}

// addGroup adds commands below a title of the help.
func addGroup(root *cobra.Command, id, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = id
		root.AddCommand(cmd)
	}
}

// withBuild puts "build" before the arguments when the first that is neither a
// flag nor the value of one names a profile: mkimage PROFILE is the program's
// main job. What names neither profile nor subcommand is left for
// subcommandOnly to refuse.
func withBuild(root *cobra.Command, args []string) []string {
	build, _, err := root.Find([]string{"build"})
	if err != nil {
		panic("mkimage: " + err.Error())
	}
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case !strings.HasPrefix(arg, "-"):
			if cmd, _, err := root.Find([]string{arg}); err == nil && cmd != root {
				return args // a profile of a command's name is for build NAME
			}
			if isProfile(arg, args) {
				return append([]string{"build"}, args...)
			}
			return args
		case takesNext(build, arg):
			i++
		}
	}
	return args
}

// takesNext reports whether an argument is a flag of a command, or a global
// one, whose value is the next argument.
func takesNext(cmd *cobra.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	flag := cmd.Flag(name)
	if flag == nil {
		flag = cmd.InheritedFlags().Lookup(name)
	}
	if flag == nil && len(name) == 1 {
		flag = cmd.Flags().ShorthandLookup(name)
	}
	return flag != nil && flag.NoOptDefVal == ""
}

// isProfile reports whether a word names a profile, also one of a directory
// that the arguments name.
func isProfile(word string, args []string) bool {
	var f profileFlags
	for i, arg := range args {
		if dir, ok := strings.CutPrefix(arg, "--profile-dir="); ok {
			f.profileDirs = append(f.profileDirs, dir)
		} else if arg == "--profile-dir" && i+1 < len(args) {
			f.profileDirs = append(f.profileDirs, args[i+1])
		}
	}
	set, _, err := f.load()
	return err == nil && set.Has(word)
}

// subcommandOnly refuses an argument that is no subcommand, with cobra's
// suggestion of one that is near.
func subcommandOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "mkimage --help lists the commands"
	near := cmd.SuggestionsFor(args[0])
	if set, _, err := new(profileFlags).load(); err == nil {
		if name := strict.Nearest(args[0], set.Names()); name != "" {
			near = append(near, name)
		}
	}
	if len(near) > 0 {
		hint = "did you mean: mkimage " + strings.Join(near, ", mkimage ")
	}
	return fault.New(fault.Usage, hint, "unknown command or profile %q", args[0])
}

// takes demands so many arguments, named in the command's Use.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > most:
			return fault.New(fault.Usage, "", "%s: unexpected argument %q", cmd.Name(), args[most])
		case len(args) < least:
			_, form, _ := strings.Cut(cmd.Use, " ")
			return fault.New(fault.Usage, "", "%s: got %d arguments, expected %s", cmd.Name(), len(args), form)
		}
		return nil
	}
}

// refuseUnknownHelp makes "help NAME" fail where cobra's prints the help of
// the program instead.
func refuseUnknownHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic("mkimage: " + err.Error())
	}
	help.Run, help.Example = nil, "  mkimage help mkfs"
	help.RunE = func(_ *cobra.Command, args []string) error {
		cmd, rest, err := root.Find(args)
		if err != nil {
			return err
		}
		if err := subcommandOnly(cmd, rest); err != nil {
			return err
		}
		return cmd.Help()
	}
}

// addCompletion adds cobra's completion command, which it would add later:
// withBuild must know of it.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic("mkimage: " + err.Error())
	}
	completion.Example = "  source <(mkimage completion bash)"
}

// exitsAnnotation holds the exit codes of a command, separated by spaces.
const exitsAnnotation = "exits"

// exits says which exit codes besides 0, 1, 2 and 130 a command has.
func exits(codes ...fault.Class) map[string]string {
	var list []string
	for _, c := range codes {
		list = append(list, fmt.Sprint(int(c)))
	}
	return map[string]string{exitsAnnotation: strings.Join(list, " ")}
}

// exitTexts are the lines of EXIT STATUS, in order.
var exitTexts = []struct{ code, text string }{
	{"0", "done"},
	{"1", "an I/O error of the host, or a bug"},
	{"2", "the command line is wrong"},
	{"3", "a profile or a layout is wrong"},
	{"4", "an input is missing, unreadable or changed"},
	{"5", "the target was refused; nothing was written"},
	{"6", "differences or damage were found"},
	{"130", "interrupted by a signal; no output is left behind, a disk without a table"},
}

// exitStatus returns the EXIT STATUS text of a command.
func exitStatus(cmd *cobra.Command) string {
	own := " 0 1 2 " + cmd.Annotations[exitsAnnotation] + " 130 "
	var b strings.Builder
	for _, e := range exitTexts {
		if cmd.HasSubCommands() || strings.Contains(own, " "+e.code+" ") {
			fmt.Fprintf(&b, "  %-4s %s\n", e.code, e.text)
		}
	}
	return b.String()
}

func printHelp(cmd *cobra.Command, _ []string) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s\nEXIT STATUS:\n%s", text, strings.TrimRight(cmd.UsageString(), "\n")+"\n", exitStatus(cmd))
}

// mustComplete makes the shell complete a flag with fixed words. It fails only
// for a flag that does not exist.
func mustComplete(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("mkimage: " + err.Error())
	}
}
