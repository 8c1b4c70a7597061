package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// enter is what the command was told.
type enter struct {
	where
	readOnly bool
}

func newEnter(p *program) *cobra.Command {
	var e enter
	cmd := &cobra.Command{
		Use:   "enter [-- PROGRAM [ARGUMENT]...]",
		Short: "a shell in the system, as if it ran",
		Long: `mkimage-rescue enter mounts a system as its own table of file systems says,
with /proc, /sys, /dev, /run and the names of hosts of this machine, and
starts a shell in it, or a program. On a NixOS the system is activated, so
that nixos-rebuild works.

At its end all is unmounted, once what was written is on the disk. A system
whose session sleeps is entered with --read-only alone: then nothing of its
disk is changed, not even by the replay of a log.`,
		Example: `  mkimage-rescue enter
  mkimage-rescue enter -- passwd alice
  mkimage-rescue enter -- nixos-rebuild boot --rollback
  mkimage-rescue enter --read-only -- journalctl --directory /var/log/journal -p err`,
	}
	e.addSystem(cmd.Flags())
	cmd.Flags().BoolVar(&e.readOnly, "read-only", false, "change nothing on the disk")
	return p.writing(cmd, func(ctx context.Context, args []string) error { return e.run(ctx, p, args) }, &e.readOnly)
}

func (e *enter) run(ctx context.Context, p *program, args []string) error {
	m, s, err := p.system(ctx, &e.where)
	if err != nil {
		return err
	}
	if err := machine.Awake(s); err != nil && !e.readOnly {
		return fault.New(fault.Target, "--read-only changes nothing of it; or "+machine.Wake, "%w", err)
	}
	note := func(line string) { p.note("%s", line) }
	sys, err := m.Mount(ctx, s, e.readOnly, note)
	if err != nil {
		return err
	}
	var log bytes.Buffer
	if err := sys.Enter(ctx, &log, note); err != nil {
		return err
	}
	if log.Len() > 0 && !p.json {
		io.Copy(p.stderr, &log)
	}
	if len(args) == 0 {
		shell, err := sys.Shell()
		if err != nil {
			return err
		}
		args = []string{shell, "-l"}
		p.note("%s is at / now; exit leaves it", s.ID)
	}
	program, err := sys.LookPath(args[0])
	if err != nil {
		return err
	}
	// A signal from the keyboard is for the program alone.
	keys := make(chan os.Signal, 1)
	signal.Notify(keys, os.Interrupt, unix.SIGQUIT)
	defer signal.Stop(keys)
	cmd := sys.Command(context.WithoutCancel(ctx), program, args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, p.stdout, p.stderr
	var ended *exec.ExitError
	err = cmd.Run()
	if errors.As(err, &ended) && ended.ExitCode() >= 0 {
		p.code = ended.ExitCode()
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}
