package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

func newStatus(s *system) *cobra.Command {
	var all, announce bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "tell what was done, and what is missing",
		Long: `status prints what the first boot has to do in this system and how each step
stands. The exit code is 0 when all is done, and otherwise that of the first step
that is not, see "Exit codes" in docs/secrets.md. --all prints the whole journal.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return s.status(all, announce) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "print all that was noted, the oldest first")
	cmd.Flags().BoolVar(&announce, "announce", false, "also tell it at login prompts, and succeed")
	return cmd
}

func (s *system) status(all, announce bool) error {
	c, err := s.config()
	if err != nil {
		return err
	}
	state, err := firstboot.ReadState(s.files())
	if err != nil {
		return err
	}
	if damaged := state.Damaged(); damaged != nil {
		fmt.Fprintf(s.err, "mkimage-firstboot: %v\n", damaged)
	}
	r := s.report(&c, state)
	shown := r
	if all {
		shown.Steps = state.Steps()
	}
	if s.json {
		err = s.encode(shown)
	} else {
		shown.print(s)
	}
	if announce {
		s.announce(&c, state)
		return err
	}
	if err != nil {
		return err
	}
	return r.problem()
}

// errIncomplete ends a status whose report says all that there is to say.
type errIncomplete struct{ code firstboot.Code }

func (e errIncomplete) Error() string { return "not complete" }

// problem returns the code of the first step that is not done.
func (r *report) problem() error {
	for _, step := range r.Steps {
		if step.Result != firstboot.Done {
			code := firstboot.Code(step.Code)
			if code == 0 {
				code = firstboot.CodeNotYet
			}
			return errIncomplete{code}
		}
	}
	return nil
}

// report is how the first boot stands.
type report struct {
	Image string           `json:"image"`
	Done  bool             `json:"done"`
	Steps []firstboot.Step `json:"steps"`
}

// report returns how each step that the configuration asks for stands, in the
// order in which they are done.
func (s *system) report(c *firstboot.Config, state *firstboot.State) report {
	r := report{Image: c.Image, Done: true}
	for _, name := range c.Steps() {
		step, ok := state.Last(name)
		if !ok {
			step = s.notBegun(c, name)
		}
		r.Done = r.Done && step.Result == firstboot.Done
		r.Steps = append(r.Steps, step)
	}
	return r
}

// notBegun is a step of which nothing was noted, with what it waits for.
func (s *system) notBegun(c *firstboot.Config, name string) firstboot.Step {
	step := firstboot.Step{Name: name, Result: firstboot.Waiting, Code: int(firstboot.CodeNotYet), Message: "not begun"}
	switch {
	case name == firstboot.StepRestore && !s.has(firstboot.DevicePath(c.Restore.Disk)):
		step.Code, step.Message = int(firstboot.CodeNoDisk), fmt.Sprintf("backup disk %s: is not there", c.Restore.Disk)
		step.Hint = "plug it in: the restore then begins by itself"
	case name == firstboot.StepSecrets && !s.has(c.Age.Path):
		step.Message = "waits for the age key"
	}
	return step
}

// has reports whether there is a file.
func (s *system) has(name string) bool {
	_, err := os.Stat(filepath.Join(s.root, name))
	return err == nil
}

// print prints the report for people.
func (r *report) print(s *system) {
	fmt.Fprintf(s.out, "image: %s\n", r.Image)
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, step := range r.Steps {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", step.Name, step.Result, when(step.At), oneLine(step.Message))
		if step.Hint != "" && step.Result != firstboot.Done {
			fmt.Fprintf(w, "\t\t\thint: %s\n", oneLine(step.Hint))
		}
	}
	_ = w.Flush() // an output that is gone needs no report
}

// when prints a time, and nothing for a clock that was not set.
func when(t time.Time) string {
	if t.Year() < 2000 {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// encode prints a value as JSON.
func (s *system) encode(v any) error {
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
