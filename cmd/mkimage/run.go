package main

import (
	"context"
	"errors"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// exitInterrupted is the exit code of a run that a signal ended: 128 + SIGINT,
// as shells have it.
const exitInterrupted = 130

// run is the whole program: it parses args, runs the subcommand, prints what
// went wrong and returns the exit code.
func run(ctx context.Context, args []string, std stdio) int {
	new(collector).start()

	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once, should the first be slow to
	// take effect.
	context.AfterFunc(ctx, stop)

	u := &ui{stdio: std}
	root := newRoot(u)
	root.SetArgs(withBuild(root, args))
	root.SetOut(std.out)
	root.SetErr(std.err)
	cmd := root
	err := protect(func() (err error) {
		cmd, err = root.ExecuteContextC(ctx)
		return err
	})
	u.endProgress()
	if err == nil {
		return 0
	}
	if !u.started { // refused by the parser: flags, arguments, unknown command
		err = usageError(cmd, err)
		// The parser may have stopped before the flag.
		u.json = u.json || asksJSON(args)
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

// usageError puts an error of the command-line parser in class Usage, with the
// form of the command that it was about.
func usageError(cmd *cobra.Command, err error) error {
	if fault.HintOf(err) != "" {
		return err
	}
	hint := "mkimage --help lists the commands, mkimage COMMAND --help their flags"
	if cmd != nil && cmd.HasParent() {
		hint = "usage: " + cmd.UseLine() + "; " + cmd.CommandPath() + " --help lists the flags"
	}
	return fault.New(fault.Usage, hint, "%w", err)
}

// asksJSON reports whether a command line that was not accepted asks for JSON.
func asksJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}
