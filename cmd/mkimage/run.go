package main

import (
	"context"
	"errors"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// exitInterrupted is the exit code of a run that a signal ended: 128 + SIGINT,
// as shells have it.
const exitInterrupted = 130

// gcPercent trades time for memory: a run builds one big tree and keeps it to
// the end, so that the default of 100 would let the heap grow to twice the
// tree. At 50 a million files take 0.4 GiB, for a tenth more of processor time
// on trees of that size and nothing measurable on usual ones.
const gcPercent = 50

// run is the whole program: it parses args, runs the subcommand, prints what
// went wrong and returns the exit code.
func run(ctx context.Context, args []string, std stdio) int {
	debug.SetGCPercent(gcPercent)

	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once, should the first be slow to
	// take effect.
	context.AfterFunc(ctx, stop)

	u := &ui{stdio: std}
	root := newRoot(u)
	root.SetArgs(args)
	root.SetOut(std.out)
	root.SetErr(std.err)
	err := protect(func() error { return root.ExecuteContext(ctx) })
	u.endProgress()
	if err == nil {
		return 0
	}
	if !u.started { // refused by the parser: flags, arguments, unknown command
		err = usageError(err)
	}
	code := exitCode(err)
	// After a signal it does not matter which part of the run noticed first.
	if code == exitInterrupted || ctx.Err() != nil {
		code, err = exitInterrupted, errors.New("interrupted")
	}
	u.fail(err, code)
	return code
}

// protect turns a panic into an error: the exit code of the runtime, 2, would
// put the blame on the command line.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "report it, with the lines above", "bug: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// exitCode maps an error to the exit code that exitStatus documents.
func exitCode(err error) int {
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return int(fault.ClassOf(err))
}

// usageError puts an error of the command-line parser in class Usage.
func usageError(err error) error {
	if fault.HintOf(err) != "" {
		return err
	}
	return fault.New(fault.Usage, "mkimage --help lists the commands, mkimage COMMAND --help their flags", "%w", err)
}
