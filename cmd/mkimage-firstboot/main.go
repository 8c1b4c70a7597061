// Command mkimage-firstboot does in a running system what its first boot has
// to do: it takes in the age key, decrypts the secrets and restores the backup.
// Units of the image run it; a person runs it to see how far it has come, or to
// bring the key.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], system{root: "/", in: os.Stdin, out: os.Stdout, err: os.Stderr, systemctl: systemctl, program: typedAs()}))
}

// system is what the program works on.
type system struct {
	root string // of all files: "/", or a folder that stands for it
	in   io.Reader
	out  io.Writer
	err  io.Writer
	json bool
	// program is how it is typed where it is not in the search path; "" is its
	// name.
	program string
	// systemctl runs systemctl(1); nil where no systemd runs.
	systemctl func(ctx context.Context, args ...string) error
}

// files returns the file system of the system.
func (s *system) files() durable.FS { return durable.OS(s.root) }

// exitInterrupted is the exit code of a run that a signal ended.
const exitInterrupted = 130

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, s system) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot(&s)
	root.SetArgs(args)
	root.SetOut(s.out)
	root.SetErr(s.err)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := protect(func() error { return root.ExecuteContext(ctx) })
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(s.err, "mkimage-firstboot: interrupted")
		return exitInterrupted
	case !started:
		err = fault.New(fault.Usage, "mkimage-firstboot --help lists the commands", "%w", err)
	}
	return s.fail(err)
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

// fail prints an error and returns the exit code: that of the problem, or else
// that of the error's class.
func (s *system) fail(err error) int {
	var incomplete errIncomplete
	if errors.As(err, &incomplete) {
		return int(incomplete.code)
	}
	code := int(firstboot.CodeOf(err))
	if code == 0 {
		code = int(fault.ClassOf(err))
	}
	hint := s.hint(err)
	if s.json {
		_ = json.NewEncoder(s.out).Encode(map[string]any{"error": err.Error(), "hint": hint, "code": code})
		return code
	}
	fmt.Fprintf(s.err, "mkimage-firstboot: error: %v\n", err)
	if hint != "" {
		fmt.Fprintf(s.err, "mkimage-firstboot: hint: %s\n", hint)
	}
	return code
}

func newRoot(s *system) *cobra.Command {
	root := &cobra.Command{
		Use:   "mkimage-firstboot",
		Short: "bring the key, the secrets and the backup into a new system",
		Long: `mkimage-firstboot does what a system that mkimage made has to do once: take in the
age key of its secrets, decrypt these, and restore the backup. Units do it at the
first boot, and again when a key medium or the backup disk is plugged in.

"status" tells how far it has come and what is missing; "import" brings a key.`,
		Example: `  mkimage-firstboot status
  mkimage-firstboot import                  # from a key medium, the ESP, or the keyboard
  mkimage-firstboot import age-key.txt
  mkimage-firstboot restore                 # again, after what was wrong is repaired`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().BoolVar(&s.json, "json", false, "print results and errors as JSON")
	root.AddCommand(newStatus(s), newImport(s), newSecrets(s), newRestore(s), newReady(s), newProve(s), newSecret(s))
	return root
}

// config reads the configuration of the system.
func (s *system) config() (firstboot.Config, error) {
	name := firstboot.ConfigPath
	if s.has(firstboot.ConfigPathNixOS) {
		name = firstboot.ConfigPathNixOS
	}
	return firstboot.ReadConfig(filepath.Join(s.root, name))
}

// hint returns what to do about an error, as it is typed here.
func (s *system) hint(err error) string { return firstboot.Typed(firstboot.HintOf(err), s.program) }

// typedAs returns how this program is typed, "" for its name.
func typedAs() string {
	if _, err := exec.LookPath(firstboot.Program); err == nil {
		return ""
	}
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	return name
}
