// Command mkimage-install puts the system of an installer medium onto a disk.
//
// mkimage-init runs it on a machine that was started from the medium, with
// --medium; there it chooses the disk by the rules of the medium, asks or counts
// down, and restarts the machine. On any other Linux it installs from an image
// of a medium onto a disk or an image that is named.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// exitInterrupted is the exit code of a run that a signal ended.
const exitInterrupted = 130

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var by byHand
	cmd := newCommand(&by, stdout)
	cmd.SetArgs(append([]string{}, args...)) // of nil cobra makes the arguments of the process
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := protect(func() error { return cmd.ExecuteContext(ctx) })
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		if by.json {
			newReport(stdout, true).event(event{Event: "error", Error: "interrupted", Code: exitInterrupted})
		} else {
			fmt.Fprintln(stderr, "mkimage-install: interrupted")
		}
		return exitInterrupted
	}
	var plain *fault.Error
	if !errors.As(err, &plain) && ctx.Err() == nil && !started(err) {
		err = fault.New(fault.Usage, "mkimage-install --help shows what it takes", "%w", err)
	}
	if by.json {
		return newReport(stdout, true).failed(err)
	}
	return newReport(stderr, false).failed(err)
}

// errStarted marks errors of an installation: others are of the command line.
type errStarted struct{ error }

// Unwrap returns the error.
func (e errStarted) Unwrap() error { return e.error }

func started(err error) bool {
	var e errStarted
	return errors.As(err, &e)
}

// protect turns a panic into an error.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "report it, with the lines above", "bug: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

func newCommand(by *byHand, stdout io.Writer) *cobra.Command {
	var medium bool
	cmd := &cobra.Command{
		Use:   "mkimage-install --from MEDIUM --to TARGET --key PUBLICKEY",
		Short: "install the system of a medium onto a disk",
		Long: `mkimage-install installs the system of a medium that "mkimage build" made of a
profile of kind installer. The medium is an image or a disk, and its manifest must
be signed by the owner of the key. The target is erased: it must be empty, or
--erase must name its serial number (of a disk) or its name (of a file).

Everything is checked before the first write, and what was written is read back
from the disk before the disk gets a table of partitions: until then nothing can be
started from it.`,
		Example: `  mkimage-install --from installer.img --to /dev/nvme0n1 --key maker.pub
  mkimage-install --from installer.img --to disk.img --key maker.pub --dry-run`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if medium {
				return errStarted{installHere(cmd.Context())}.orNil()
			}
			if err := by.check(); err != nil {
				return err
			}
			return errStarted{by.run(cmd.Context(), stdout)}.orNil()
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&by.from, "from", "", "the `medium`: an image or a disk")
	flags.StringVar(&by.to, "to", "", "the `target`: a disk, or a file that stands for one")
	flags.StringVar(&by.key, "key", "", "the public key of who signed the medium: a `file`, or the key itself")
	flags.StringVar(&by.erase, "erase", "", "erase a target that is not empty, by its `serial` number or name")
	flags.BoolVar(&by.dryRun, "dry-run", false, "check and show what would be done, write nothing")
	flags.BoolVar(&by.json, "json", false, "print the plan, steps and errors as JSON, one object a line")
	flags.BoolVar(&medium, "medium", false, "this machine was started from the medium")
	_ = flags.MarkHidden("medium") // it erases the disk that it chooses, and restarts
	return cmd
}

// orNil is nil where there is no error in it.
func (e errStarted) orNil() error {
	if e.error == nil {
		return nil
	}
	return e
}
