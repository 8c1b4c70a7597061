package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/initramfs"
)

type initramfsFlags struct {
	planFlags
	sourceFlags
	output string
}

func newInitramfs(u *ui) *cobra.Command {
	var f initramfsFlags
	cmd := &cobra.Command{
		Use:   "initramfs PROFILE",
		Short: "make the initramfs of a profile alone",
		Long: `initramfs makes the initramfs that an image of a profile would have, of the newest
kernel in its source, for a system that is installed already and gets new kernels.
It is that of mkimage, whatever initramfs.from says. Equal inputs give equal bytes.

Of the source it takes kernel modules, firmware and microcode; a directory with
nothing but lib/modules/VERSION, the kernel in it as vmlinuz, and lib/firmware will
do. Which partition is the root it does not hold: the kernel's command line must
have root=PARTUUID=, PARTLABEL=, UUID= or LABEL=.`,
		Example: `  mkimage initramfs bandit-full -o initramfs
  mkimage initramfs bandit-full --source dir:root -o /boot/initramfs`,
		Args:              takes(1, 1),
		Annotations:       exits(fault.Config, fault.Input, fault.Target),
		ValidArgsFunction: completeProfiles(&f.profileFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.planFlags.define(cmd)
	flags.StringVarP(&f.output, "output", "o", "", "the `file` to write; default: PROFILE.initramfs in the working directory")
	f.sourceFlags.define(cmd)
	return cmd
}

func (f *initramfsFlags) run(ctx context.Context, u *ui, name string) error {
	p, asked, err := f.makePlan(name)
	if err != nil {
		return err
	}
	if p.Medium != nil {
		return fault.New(fault.Usage, "mkimage initramfs "+shellWord(p.Profile.Name), "%s is a medium: a system has the initramfs of its payload", name)
	}
	if f.output == "" {
		f.output = p.Name() + ".initramfs"
	}
	if err := checkOutput(f.output, "name a file in it: -o "+shellWord(filepath.Join(f.output, "initramfs"))); err != nil {
		return err
	}
	if err := checkNotSource(asked.Source, f.output); err != nil {
		return err
	}
	recovery, err := readRecovery(asked)
	if err != nil {
		return err
	}
	src, err := f.open(ctx, u, u, asked, p.Epoch)
	if err != nil {
		return err
	}
	defer src.Close()
	src.Tree.Freeze()
	system, err := source.SystemOf(src.Tree, p.Epoch)
	if err != nil {
		return err
	}
	u.Report(builder.StageInitramfs, 0, 0)
	kernel := system.Kernels[0]
	archive, err := initramfs.Build(ctx, image.InitramfsParams(src.Tree, p, kernel, recovery.KeyRecipients()))
	if err = errors.Join(err, src.Close()); err != nil {
		return fmt.Errorf("initramfs of kernel %s: %w", kernel.Version, err)
	}
	if err := f.write(archive.Data); err != nil {
		return err
	}
	s := initramfsSummary{"summary", f.output, kernel.Version, len(archive.Data), append([]string{}, archive.Modules...)}
	return u.summary(s, s.print)
}

// write writes the archive, which holds nothing that is secret.
func (f *initramfsFlags) write(data []byte) error {
	out, err := createOutput(f.output, int64(len(data)), modePlain)
	if err != nil {
		return err
	}
	if _, err := out.WriteAt(data, 0); err != nil {
		return errors.Join(spaceHint(err), out.discard())
	}
	return out.publish(int64(len(data)))
}

// initramfsSummary is what was made.
type initramfsSummary struct {
	MessageType string   `json:"message_type"` // "summary"
	Output      string   `json:"output"`
	Kernel      string   `json:"kernel"`  // version
	Size        int      `json:"size"`    // bytes
	Modules     []string `json:"modules"` // paths in the archive, in the order of loading
}

func (s initramfsSummary) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s for kernel %s, %d modules\n", printable(s.Output), humanBytes(int64(s.Size)), s.Kernel, len(s.Modules))
}
