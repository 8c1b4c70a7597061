// Command mkimage-rescue brings a machine back: it says what is there, and repairs,
// rolls back and restores.
//
// mkimage-init runs it on a machine that was started from a recovery stick. On any other
// Linux its commands work on the disks and images that are named.
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
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// exitInterrupted is the exit code of a run that a signal ended.
const exitInterrupted = 130

// program is what the commands share.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
	started        bool           // a command runs: errors are no longer of the command line
	after          []func() error // what is done at the end of the command, the last one first
	code           int            // exit code of a command that has done its work
	root           string         // of the files that a stick brings; "" is /
	lock           string         // path of the lock of those that write to disks; "" for none
	here           bool           // this is the rescue environment of a medium
	args           []string       // of the command line
}

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return (&program{stdin: stdin, stdout: stdout, stderr: stderr, lock: lockHere(), here: isHere()}).run(ctx, args)
}

// run runs the command that arguments name.
func (p *program) run(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	p.args = args
	ctx, lost := whoIsLost(ctx)
	defer lost()
	root := newRoot(p)
	root.SetArgs(append([]string{}, args...)) // of nil cobra makes the arguments of the process
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := protect(func() error { return root.ExecuteContext(ctx) })
	if err == nil {
		return p.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return p.fail(errors.New("interrupted"), exitInterrupted)
	}
	if !p.started && fault.HintOf(err) == "" {
		err = fault.New(fault.Usage, "mkimage-rescue --help lists the commands, mkimage-rescue COMMAND --help their flags", "%w", err)
	}
	return p.fail(err, codeOf(err))
}

// whoIsLost is a context that ends when the terminal is gone, as that of an SSH session. The
// kernel and the shell say so one after the other: however often SIGHUP comes, what is
// mounted is unmounted. Without a terminal it is a pipe that nobody reads any more: what is
// printed is lost then, and the command goes on to its end.
func whoIsLost(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGHUP)
	pipe := make(chan os.Signal, 1) // caught and not ignored: programs that are started would inherit that
	signal.Notify(pipe, syscall.SIGPIPE)
	return ctx, func() {
		signal.Stop(pipe)
		stop()
	}
}

// codeOf returns the exit code of an error: that of the first boot's problems, which are
// the same in all programs, or else that of its class.
func codeOf(err error) int {
	if code := firstboot.CodeOf(err); code != 0 {
		return int(code)
	}
	return int(fault.ClassOf(err))
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

// fail tells why the program ends, and returns the exit code.
func (p *program) fail(err error, code int) int {
	if p.json {
		p.encode(failure{Error: err.Error(), Hint: firstboot.HintOf(err), Code: code})
		return code
	}
	fmt.Fprintf(p.stderr, "mkimage-rescue: error: %v\n", err)
	if hint := firstboot.HintOf(err); hint != "" {
		fmt.Fprintf(p.stderr, "mkimage-rescue: hint: %s\n", hint)
	}
	return code
}

// failure is an error for programs.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Code  int    `json:"code"`
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "mkimage-rescue",
		Short: "bring a machine back",
		Long: `mkimage-rescue says what is left of a machine. It is the program of a recovery
stick, and runs on any other Linux too.

Exit codes: 0 done, 1 a bug or an I/O error, 2 the command line, 4 an input is
missing or damaged, 5 a disk or an image that is named is none or is refused,
6 what was written reads back differently, 7 damage was found, 130
interrupted. Those from 10 on are about keys, secrets and backups: see
docs/rescue.md.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fault.New(fault.Usage, "mkimage-rescue --help lists the commands", "no command: expected one, such as inventory")
		},
	}
	root.AddCommand(
		newRecover(p), newHome(p), newBrowse(p), newCopy(p), newKey(p),
		newRollback(p), newGeneration(p), newBoot(p), newSwapfile(p), newCheck(p), newSave(p), newEnter(p), newInventory(p), newShell(p), newReboot(p), newPoweroff(p), newMenu(p), newWiFi(p), newMachine(p),
	)
	return root
}
