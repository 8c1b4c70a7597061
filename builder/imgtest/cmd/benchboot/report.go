package main

import (
	"fmt"
	"io"
	"slices"
)

// timeShare is the target: at most this share of the time of each of the others.
const timeShare = 0.7

// reportBuilds prints the median of each stage. All builds have the same.
func reportBuilds(w io.Writer, builds []summary) {
	fmt.Fprintf(w, "| stage of the build | seconds |\n|---|---|\n")
	for i, s := range builds[0].Stages {
		fmt.Fprintf(w, "| %s | %.2f |\n", s.Stage, median(builds, func(b summary) float64 { return b.Stages[i].Seconds }))
	}
	fmt.Fprintf(w, "| the whole build | %.2f |\n\n", median(builds, func(b summary) float64 { return b.Seconds }))
}

// reportBoots prints the boots and reports whether the target was met. The
// first contender is ours.
func reportBoots(w io.Writer, cases []*contender) bool {
	unpacked := func(b boot) float64 { return b.unpacked }
	system := func(b boot) float64 { return b.system }
	greeting := func(b boot) float64 { return b.greeting }
	fmt.Fprintf(w, "| initramfs by | /init runs, s | systemd of the system runs, s (min-max) | it greets, s |\n|---|---|---|---|\n")
	for _, c := range cases {
		fmt.Fprintf(w, "| %s | %.2f | %.2f (%.2f-%.2f) | %.2f |\n", c.name, median(c.boots, unpacked),
			median(c.boots, system), extreme(c.boots, slices.Min, system), extreme(c.boots, slices.Max, system), median(c.boots, greeting))
	}
	fmt.Fprintf(w, "\n| target | measured | at most | |\n|---|---|---|---|\n")
	ours, met := cases[0], true
	for _, c := range cases[1:] {
		time := median(ours.boots, system) / median(c.boots, system)
		met = target(w, "time to the system, to "+c.name, time, timeShare) && met
	}
	return met
}

// target prints one row and reports whether it was met.
func target(w io.Writer, name string, got, limit float64) bool {
	verdict := "pass"
	if got > limit {
		verdict = "**FAIL**"
	}
	fmt.Fprintf(w, "| %s | %.2f | %.2f | %s |\n", name, got, limit, verdict)
	return got <= limit
}

// median of at least one value; of an even number, the lower in the middle.
func median[T any](all []T, of func(T) float64) float64 {
	sorted := values(all, of)
	slices.Sort(sorted)
	return sorted[(len(sorted)-1)/2]
}

// extreme is the smallest or largest of at least one value.
func extreme[T any](all []T, which func([]float64) float64, of func(T) float64) float64 {
	return which(values(all, of))
}

func values[T any](all []T, of func(T) float64) []float64 {
	out := make([]float64, 0, len(all))
	for _, v := range all {
		out = append(out, of(v))
	}
	return out
}
