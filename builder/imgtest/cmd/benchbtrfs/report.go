package main

import (
	"fmt"
	"io"
	"strings"
)

// target is a promise and what became of it.
type target struct {
	name       string
	got, limit float64
	unit       string
}

func (t target) met() bool { return t.got <= t.limit }

func printTargets(w io.Writer, ts []target) bool {
	all := true
	fmt.Fprintf(w, "\n| target | measured | limit | |\n|---|---|---|---|\n")
	for _, t := range ts {
		verdict := "pass"
		if !t.met() {
			verdict, all = "**FAIL**", false
		}
		fmt.Fprintf(w, "| %s | %.2f%s | %.2f%s | %s |\n", t.name, t.got, t.unit, t.limit, t.unit, verdict)
	}
	return all
}

func printResults(w io.Writer, title string, rs []result) {
	fmt.Fprintf(w, "\n## %s\n\n", title)
	fmt.Fprintf(w, "| case | wall s: median (min-max) | CPU s | other CPU s | peak RSS MiB | file length MB | allocated MB |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rs {
		t := r.spread(wall)
		fmt.Fprintf(w, "| %s | %.2f (%.2f-%.2f) | %.2f | %.2f | %.0f | %.1f | %.1f |\n", r.name, t.median, t.min, t.max,
			r.spread(cpu).median, r.spread(others).median, r.spread(rss).max, r.spread(length).median, r.spread(allocated).median)
	}
	if names := disturbed(rs); len(names) > 0 {
		fmt.Fprintf(w, "\nOther programs were busy, so that these wall times say nothing: %s.\n", strings.Join(names, "; "))
	}
}

// busyShare is the part of a run's time that other programs may compute, on
// one processor, before its wall time says nothing.
const busyShare = 0.25

// disturbed names the contenders whose median run had to share the machine.
func disturbed(rs []result) (names []string) {
	for _, r := range rs {
		if r.spread(others).median > busyShare*r.spread(wall).median {
			names = append(names, r.name)
		}
	}
	return names
}

// ratio is a target for the quotient of two medians.
func ratio(name string, figure func(sample) float64, ours, theirs result, limit float64) target {
	return target{name: name, got: ours.spread(figure).median / theirs.spread(figure).median, limit: limit}
}

// peak is a target for the highest memory of all runs.
func peak(name string, r result, limit float64) target {
	return target{name: name, got: r.spread(rss).max, limit: limit, unit: " MiB"}
}
