package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/bootmenu"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/efivar"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
	"github.com/6FaNcY9/mkimage/installer/rescue/nixprofile"
)

// generation is what the command was told.
type generation struct {
	where
	consent
	list bool
}

func newGeneration(p *program) *cobra.Command {
	var g generation
	cmd := &cobra.Command{
		Use:   "generation [NUMBER|ENTRY]",
		Short: "make another generation the one that starts",
		Long: `mkimage-rescue generation makes a generation of a NixOS, by its number, or an
entry of the boot menu, by its name, the one that starts by itself. Without
one it lists what there is, and asks on a terminal.

On a NixOS the profile of the system names it too, as nixos-rebuild --rollback
does, so that the next rebuild follows it. No generation and no entry is
removed.`,
		Example: `  mkimage-rescue generation --list
  mkimage-rescue generation 41
  mkimage-rescue generation mkimage-factory`,
		Args: cobra.MaximumNArgs(1),
	}
	g.addSystem(cmd.Flags())
	g.consent.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&g.list, "list", false, "list the generations, and do nothing")
	return p.writing(cmd, func(ctx context.Context, args []string) error { return g.run(ctx, p, args) }, &g.dryRun, &g.list)
}

func (g *generation) run(ctx context.Context, p *program, args []string) error {
	m, s, err := p.system(ctx, &g.where)
	if err != nil {
		return err
	}
	if g.list {
		return p.showGenerations(s)
	}
	if len(args) == 0 && p.interactive() && len(s.Generations) > 0 {
		i, err := p.choose(ctx, "generation", generationLines(s))
		if err != nil {
			return err
		}
		return g.use(ctx, p, m, s, s.Generations[i])
	}
	chosen, err := generationNamed(s, args)
	if err != nil {
		return err
	}
	return g.use(ctx, p, m, s, chosen)
}

// name returns what a person calls a generation.
func name(g inventory.Generation) string {
	switch {
	case g.Number > 0:
		return strconv.Itoa(g.Number)
	case len(g.Entries) > 0:
		return g.Entries[0]
	}
	return g.Title
}

func generationLines(s *inventory.System) (lines []string) {
	for _, g := range s.Generations {
		mark := " "
		if g.Default {
			mark = "*"
		}
		line := fmt.Sprintf("%s %-12s %s", mark, name(g), g)
		if g.Problem != "" {
			line += " (does not start: " + g.Problem + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func (p *program) showGenerations(s *inventory.System) error {
	if p.json {
		return p.encode(s.Generations)
	}
	for _, line := range generationLines(s) {
		fmt.Fprintln(p.stdout, line)
	}
	return nil
}

func generationNamed(s *inventory.System, args []string) (inventory.Generation, error) {
	var names []string
	for _, g := range s.Generations {
		if len(args) == 1 && (args[0] == name(g) || slices.Contains(g.Entries, strings.TrimSuffix(args[0], ".conf"))) {
			return g, nil
		}
		names = append(names, name(g))
	}
	if len(names) == 0 {
		return inventory.Generation{}, fault.New(fault.Target, "mkimage-rescue boot repairs the menu", "%s: has no generations, and no entries in its menu", s.ID)
	}
	hint := "one of " + strings.Join(names, ", ")
	if len(args) == 0 {
		return inventory.Generation{}, fault.New(fault.Usage, hint, "which generation of %s: none was named", s.ID)
	}
	return inventory.Generation{}, fault.New(fault.Usage, hint, "generation %s: %s has none of this name", args[0], s.ID)
}

// use makes a generation the one that starts.
func (g *generation) use(ctx context.Context, p *program, m *machine.Machine, s *inventory.System, chosen inventory.Generation) error {
	if chosen.Problem != "" || len(chosen.Entries) == 0 {
		why := chosen.Problem
		if why == "" {
			why = "the menu has no entry for it"
		}
		return fault.New(fault.Target, "mkimage-rescue boot puts what the system has into the menu", "generation %s: does not start: %s", name(chosen), why)
	}
	if err := machine.Awake(s); err != nil {
		return err
	}
	will := []string{fmt.Sprintf("make %s what %s starts by itself", name(chosen), s.ID)}
	if chosen.Number > 0 {
		will = append(will, fmt.Sprintf("have the profile of the system name generation %d", chosen.Number))
	}
	ok, err := p.agree(ctx, g.consent, will...)
	if err != nil || !ok {
		return err
	}
	esp, err := m.ESP(ctx, s)
	if err != nil {
		return err
	}
	if chosen.Number > 0 {
		if err := useProfile(ctx, m, s, chosen.Number); err != nil {
			return err
		}
	}
	if err := bootmenu.Choose(durable.OS(esp), chosen.Entries[0]+".conf"); err != nil {
		return err
	}
	g.forgetDefault(p)
	if p.json {
		return p.encode(chosen)
	}
	fmt.Fprintf(p.stdout, "%s starts %s from now on.\n", s.ID, name(chosen))
	return nil
}

// useProfile has the profile of a NixOS name a generation.
func useProfile(ctx context.Context, m *machine.Machine, s *inventory.System, number int) (err error) {
	sys, err := m.Mount(ctx, s, false, nil)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(sys.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return nixprofile.Use(root, number)
}

// loaderDefault is where systemd-boot keeps an entry that goes before that of its
// loader.conf (https://systemd.io/BOOT_LOADER_INTERFACE).
const loaderDefault = "LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// forgetDefault makes the firmware forget a choice that goes before that of the menu's
// file. Elsewhere than on a machine that the stick has started it is another one's.
func (g *generation) forgetDefault(p *program) {
	if !isHere() || len(g.images) > 0 {
		return
	}
	vars, err := efivar.Open(efivar.Mount)
	if err != nil {
		return // without variables there is no such choice
	}
	if err := vars.Delete(loaderDefault); err != nil {
		p.note("the firmware may start another entry: %v", err)
	}
}
