package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// checkResult is the outcome of one check in JSON.
type checkResult struct {
	Bus        string   `json:"bus"`
	Check      string   `json:"check"`
	OK         bool     `json:"ok"`
	Seconds    float64  `json:"seconds"`
	Error      string   `json:"error,omitempty"`
	Serial     []string `json:"serial,omitempty"` // last lines of the console
	SerialLog  string   `json:"serial_log,omitempty"`
	Screenshot string   `json:"screenshot,omitempty"`
	Command    string   `json:"command,omitempty"` // starts a machine like it by hand
}

func newCheckResult(o qemutests.Outcome) checkResult {
	r := checkResult{Bus: string(o.Bus), Check: o.Check, OK: o.Err == nil, Seconds: o.Seconds}
	var f *qemutests.Failure
	switch {
	case errors.As(o.Err, &f):
		r.Error = f.Err.Error()
		r.Serial, r.SerialLog, r.Screenshot, r.Command = f.Serial, f.SerialLog, f.Screenshot, f.Command
	case o.Err != nil:
		r.Error = o.Err.Error()
	}
	return r
}

// runSuite makes the checks, prints their results, and fails when one does.
func runSuite(ctx context.Context, u *ui, s qemutests.Suite) error {
	var results []checkResult
	failed := 0
	s.Began = func(bus qemutests.Bus, what string) { u.Report(builder.Stage(string(bus)+": "+what), 0, 0) }
	s.Report = func(o qemutests.Outcome) {
		r := newCheckResult(o)
		results = append(results, r)
		if !r.OK {
			failed++
		}
	}
	if _, err := qemutests.Test(ctx, s); err != nil {
		return err
	}
	report := struct {
		Image   string        `json:"image"`
		Profile string        `json:"profile"`
		Checks  []checkResult `json:"checks"`
		Failed  int           `json:"failed"`
	}{s.Image, s.Plan.Profile.Name, results, failed}
	show := u.summary
	if failed > 0 {
		show = u.answer
	}
	if err := show(report, func(w io.Writer) { printResults(w, results) }); err != nil {
		return err
	}
	return verdict(s, failed, len(results))
}

// verdict is the error of a suite of which checks failed.
func verdict(s qemutests.Suite, failed, all int) error {
	if failed == 0 {
		return nil
	}
	hint := "--keep DIR keeps the console's log and a screenshot"
	if s.Base.Keep != "" {
		hint = ""
	}
	return fault.New(fault.Mismatch, hint, "%s: %d of %d checks failed", s.Image, failed, all)
}

// printResults prints a table, then each failure, and below the last one of a
// bus what helps with all of them.
func printResults(w io.Writer, results []checkResult) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "BUS\tCHECK\tRESULT\tSECONDS\n")
	for _, r := range results {
		word := "ok"
		if !r.OK {
			word = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f\n", r.Bus, r.Check, word, r.Seconds)
	}
	t.Flush()
	last := map[string]int{}
	for i, r := range results {
		if !r.OK {
			last[r.Bus] = i
		}
	}
	for i, r := range results {
		if r.OK {
			continue
		}
		fmt.Fprintf(w, "\n%s on %s: ", r.Check, r.Bus)
		for line := range strings.Lines(r.Error) {
			fmt.Fprintf(w, "%s\n", printable(strings.TrimSuffix(line, "\n")))
		}
		if last[r.Bus] == i {
			printContext(w, r)
		}
	}
}

// printContext prints the console and where more is.
func printContext(w io.Writer, r checkResult) {
	for _, line := range r.Serial {
		fmt.Fprintf(w, "  | %s\n", printable(line))
	}
	for _, f := range []struct{ name, text string }{
		{"console", r.SerialLog}, {"screenshot", r.Screenshot}, {"to start one like it", r.Command},
	} {
		if f.text != "" {
			fmt.Fprintf(w, "%s: %s\n", f.name, f.text)
		}
	}
}
