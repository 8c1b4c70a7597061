package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/keephome"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// rollback is what the command was told.
type rollback struct {
	where
	consent
	subvolume string
	list      bool
}

func newRollback(p *program) *cobra.Command {
	var r rollback
	cmd := &cobra.Command{
		Use:   "rollback [SNAPSHOT]",
		Short: "put a snapshot into the place of a subvolume",
		Long: `mkimage-rescue rollback makes a subvolume of a system what it was when a
snapshot was taken: a path from the top level, or "factory" for what the
system was when it was made. Without one it lists what there is, and asks on a
terminal.

What is replaced stays: as NAME.old-ID, to which the same command rolls
forward again. Until the last step, which the file system does at once,
nothing is changed, so that a power cut does no harm; the command can be run
again.

The other subvolumes, such as the home, stay as they are. What identifies the
machine (its host keys, the age key, machine-id, networks) is carried over
from the system that is replaced.`,
		Example: `  mkimage-rescue rollback --list
  mkimage-rescue rollback factory
  mkimage-rescue rollback @/.snapshots/12/snapshot
  mkimage-rescue rollback --subvolume @home @home/.snapshots/monday`,
		Args: cobra.MaximumNArgs(1),
	}
	r.addSystem(cmd.Flags())
	r.consent.addTo(cmd.Flags())
	cmd.Flags().StringVar(&r.subvolume, "subvolume", "", "what is rolled back: the `path` of a subvolume at the top level; the system's root by default")
	cmd.Flags().BoolVar(&r.list, "list", false, "list the snapshots, and do nothing")
	return p.writing(cmd, func(ctx context.Context, args []string) error { return r.run(ctx, p, args) }, &r.dryRun, &r.list)
}

func (r *rollback) run(ctx context.Context, p *program, args []string) error {
	m, s, err := p.system(ctx, &r.where)
	if err != nil {
		return err
	}
	of, err := r.replaced(s)
	if err != nil {
		return err
	}
	states := statesOf(s, of)
	if r.list {
		return p.showStates(states)
	}
	if len(args) == 0 && p.interactive() && len(states) > 0 {
		i, err := p.choose(ctx, "state of "+of.Path, stateLines(states))
		if err != nil {
			return err
		}
		args = []string{states[i].Path}
	}
	snapshot, err := stateNamed(states, of, args)
	if err != nil {
		return err
	}
	return r.roll(ctx, p, m, s, of, snapshot)
}

// replaced returns the subvolume that is rolled back.
func (r *rollback) replaced(s *inventory.System) (inventory.Subvolume, error) {
	var names []string
	for _, v := range s.Subvolumes {
		if r.subvolume == "" && v.Role == inventory.RoleRoot || v.Path == r.subvolume && r.subvolume != "" {
			return v, nil
		}
		if !strings.Contains(v.Path, "/") {
			names = append(names, v.Path)
		}
	}
	what := r.subvolume
	if what == "" {
		what = "that of /"
	}
	return inventory.Subvolume{}, fault.New(fault.Target, "--subvolume NAME, of "+strings.Join(names, ", "), "%s: subvolume %s is not there", s.ID, what)
}

// statesOf returns what a subvolume can be rolled back to, the newest first.
func statesOf(s *inventory.System, of inventory.Subvolume) (list []inventory.Subvolume) {
	for _, v := range s.Subvolumes {
		if v.Of == of.Path && v.Path != of.Path && (v.Role == inventory.RoleFactory || v.Role == inventory.RoleSnapshot || v.Role == inventory.RoleOld) {
			list = append(list, v)
		}
	}
	slices.SortStableFunc(list, func(a, b inventory.Subvolume) int { return b.Made.Compare(a.Made) })
	return list
}

func stateLines(list []inventory.Subvolume) (lines []string) {
	for _, v := range list {
		made := "                "
		if !v.Made.IsZero() {
			made = v.Made.Format("2006-01-02 15:04")
		}
		lines = append(lines, fmt.Sprintf("%s  %-8s  %s", made, v.Role, v.Path))
	}
	return lines
}

func (p *program) showStates(list []inventory.Subvolume) error {
	if p.json {
		return p.encode(list)
	}
	for _, line := range stateLines(list) {
		fmt.Fprintln(p.stdout, line)
	}
	return nil
}

// factoryWord names what a system was when it was made.
const factoryWord = "factory"

// stateNamed returns the state that a person has named.
func stateNamed(list []inventory.Subvolume, of inventory.Subvolume, args []string) (inventory.Subvolume, error) {
	var names []string
	for _, v := range list {
		if len(args) == 1 && (strings.Trim(args[0], "/") == v.Path || args[0] == factoryWord && v.Role == inventory.RoleFactory) {
			return v, nil
		}
		names = append(names, v.Path)
	}
	if len(list) == 0 {
		return inventory.Subvolume{}, fault.New(fault.Target, "mkimage-rescue home brings files back from a backup", "%s: has no snapshots", of.Path)
	}
	hint := "one of " + strings.Join(names, ", ")
	if len(args) == 0 {
		return inventory.Subvolume{}, fault.New(fault.Usage, hint, "which snapshot of %s: none was named", of.Path)
	}
	return inventory.Subvolume{}, fault.New(fault.Usage, hint, "snapshot %s: %s has none of this name", args[0], of.Path)
}

// rolledBack is what the command has done, for programs.
type rolledBack struct {
	System    string `json:"system"`
	Subvolume string `json:"subvolume"`
	Snapshot  string `json:"snapshot"`
	*keephome.Rolled
}

func (r *rollback) roll(ctx context.Context, p *program, m *machine.Machine, s *inventory.System, of, snapshot inventory.Subvolume) error {
	if err := machine.Awake(s); err != nil {
		return err
	}
	if err := namedByID(s, of); err != nil {
		return err
	}
	// The same rollback has the same ID, so that one that was cut is gone on with.
	id := fmt.Sprintf("r%dx%d", of.ID, snapshot.ID)
	ok, err := p.agree(ctx, r.consent, fmt.Sprintf("put %s into the place of %s on %s; what is there now stays as %s.old-%s", snapshot.Path, of.Path, s.ID, of.Path, id))
	if err != nil || !ok {
		return err
	}
	top, err := m.Top(ctx, s, false)
	if err != nil {
		return err
	}
	roll := keephome.Rollback{
		Top: top, Plan: m.Plan, Name: of.Path, Snapshot: snapshot.Path, ID: id,
		Identity: m.Plan != nil && of.Role == inventory.RoleRoot, Note: func(line string) { p.note("%s", line) },
	}
	done, err := roll.Run(ctx)
	if err != nil {
		return err
	}
	if p.json {
		return p.encode(rolledBack{s.ID, of.Path, snapshot.Path, done})
	}
	fmt.Fprintf(p.stdout, "%s is what %s was. What it was before is %s: to undo it,\n  mkimage-rescue rollback %s\n", of.Path, snapshot.Path, done.Old, done.Old)
	for _, n := range done.Nested {
		fmt.Fprintf(p.stdout, "subvolume %s stays in %s\n", n, done.Old)
	}
	if of.Role == inventory.RoleRoot {
		p.kernelNote(s)
	}
	return nil
}

// namedByID refuses a subvolume that the system's fstab mounts by its number: what takes
// its place has another one, and the old one would be mounted as before.
func namedByID(s *inventory.System, of inventory.Subvolume) error {
	for _, l := range s.Mounts {
		if l.Here && slices.Contains(l.Options, fmt.Sprintf("subvolid=%d", of.ID)) {
			return fault.New(fault.Target, "mkimage-rescue enter, and name it by subvol= alone", "fstab, line %d: mounts %s by subvolid=%d, which a rollback changes", l.Line, of.Path, of.ID)
		}
	}
	return nil
}

// kernelNote says what may be needed to start what was rolled back.
func (p *program) kernelNote(s *inventory.System) {
	if !s.NixOS {
		fmt.Fprintln(p.stdout, "If its kernel was another one, mkimage-rescue boot puts that into the menu.")
	}
}
