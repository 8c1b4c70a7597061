package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

type checkFlags struct {
	noData  bool
	workers int
}

func newCheck(u *ui) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check FS",
		Short: "check a file system that is not mounted",
		Long: `check reads every tree block, in all copies, and every byte of file data, and
compares what one part of the file system says with what the others say:
checksums, references, sizes, free space, subvolumes. It changes nothing. It
shares no code with the writer beyond the structures of the format.

Of a disk image it checks the root partition; mkimage verify checks all of it.`,
		Example: `  mkimage check fs.img
  mkimage check --no-data /dev/sdb2
  mkimage check --json fs.img | jq -r '.problems[] | .where + ": " + .what'`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input, fault.Mismatch),
		RunE:        func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	cmd.Flags().BoolVar(&f.noData, "no-data", false, "check metadata alone, do not read file data")
	cmd.Flags().IntVar(&f.workers, "workers", 0, "goroutines that verify data; 0 means one for each processor")
	return cmd
}

func (f *checkFlags) run(ctx context.Context, u *ui, name string) error {
	img, err := openImage(name)
	if err != nil {
		return err
	}
	defer img.Close()
	report, err := check.Run(ctx, img.FS, check.Options{
		Data: !f.noData, Workers: f.workers,
		Progress: func(done, total int64) { u.Report(builder.StageVerify, done, total) },
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if report.Clean() {
		return u.summary(report, func(w io.Writer) { printCounts(w, name, report) })
	}
	if err := u.answer(report, func(w io.Writer) { printProblems(w, report) }); err != nil {
		return err
	}
	return fault.New(fault.Mismatch, "take another copy; mkimage ls and mkimage cat read what is intact", "%s: %d problems found", name, report.Found)
}

func printCounts(w io.Writer, name string, r *check.Report) {
	fmt.Fprintf(w, "%s: clean: %d tree blocks (%d copies), %d subvolumes, %d inodes, %d extents, %s of file data",
		name, r.Blocks, r.BlockCopies, r.Subvolumes, r.Inodes, r.Extents, humanBytes(r.DataBytes))
	if r.VerifiedBytes < r.DataBytes {
		fmt.Fprintf(w, " (%s verified)", humanBytes(r.VerifiedBytes))
	}
	fmt.Fprintln(w)
}

func printProblems(w io.Writer, r *check.Report) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, printable(p.String()))
	}
	if left := r.Found - int64(len(r.Problems)); left > 0 {
		fmt.Fprintf(w, "and %d more\n", left)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "not checked: %s\n", printable(s))
	}
}
