package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// where says which machine is looked at, and which of its systems is meant.
type where struct {
	images   []string
	manifest string
	system   string
}

// addTo adds the flags of all commands that look at a machine.
func (w *where) addTo(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringArrayVar(&w.images, "image", nil, "look at this disk or image, not at the machine's disks: a `file`")
	flags.StringVar(&w.manifest, "manifest", "", "the manifest of the machine's image, or of a medium that installs it: a `file`")
}

// addSystem adds the flag that says which system is meant.
func (w *where) addSystem(flags *pflag.FlagSet) {
	w.addTo(flags)
	flags.StringVar(&w.system, "system", "", "the system that is meant, where there are several: an `ID` as inventory prints it")
}

// plan returns the plan of the host: that of a manifest, or that which a stick carries,
// or nil.
func (w *where) plan() (*plan.Plan, error) {
	if w.manifest != "" || len(w.images) > 0 {
		return planIn(w.manifest)
	}
	return planHere()
}

// look takes the inventory of the machine.
func (p *program) look(ctx context.Context, w *where) (*machine.Machine, error) {
	host, err := w.plan()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mkimage-rescue-")
	if err != nil {
		return nil, err
	}
	if p.interactive() {
		p.note("looking at the disks")
	}
	m, err := machine.Look(ctx, machine.Options{Images: w.images, Plan: host, Dir: dir})
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	p.after = append(p.after, func() error { return errors.Join(m.Close(), os.Remove(dir)) })
	return m, nil
}

// system takes the inventory and returns the system that is meant.
func (p *program) system(ctx context.Context, w *where) (*machine.Machine, *inventory.System, error) {
	m, err := p.look(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	s, err := m.System(w.system)
	if err != nil {
		return nil, nil, err
	}
	p.note("%s", systemLine(s))
	return m, s, nil
}

// systemLine says in a line which system is meant.
func systemLine(s *inventory.System) string {
	line := s.ID
	if s.Release != "" {
		line += ": " + s.Release
	}
	if s.Hostname != "" {
		line += " of " + s.Hostname
	}
	return line
}

// command makes a command whose work is undone at its end: what it mounted is unmounted.
func (p *program) command(c *cobra.Command, do func(ctx context.Context, args []string) error) *cobra.Command {
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		p.started = true
		defer func() {
			for i := len(p.after) - 1; i >= 0; i-- {
				err = errors.Join(err, p.after[i]())
			}
			p.after = nil
		}()
		return do(cmd.Context(), args)
	}
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
	return c
}

// writing makes a command that writes to disks: no other one runs beside it, unless one of
// the flags is set with which it only reads.
func (p *program) writing(c *cobra.Command, do func(ctx context.Context, args []string) error, reads ...*bool) *cobra.Command {
	return p.command(c, func(ctx context.Context, args []string) error {
		if !slices.ContainsFunc(reads, func(set *bool) bool { return *set }) {
			if err := p.staysAlone(); err != nil {
				return err
			}
		}
		return do(ctx, args)
	})
}

// note tells a person on standard error what is going on.
func (p *program) note(format string, args ...any) {
	if !p.json {
		fmt.Fprintf(p.stderr, "mkimage-rescue: "+format+"\n", args...)
	}
}
