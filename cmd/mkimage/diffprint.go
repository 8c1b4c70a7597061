package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/builder/diff"
)

// colourful reports whether a place shows colours, and nobody asked for none
// (https://no-color.org).
func colourful(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// diffLook is how a comparison is shown.
type diffLook struct{ colour bool }

// The marks of what happened, by which lines get their colours.
var (
	changeMarks    = map[diff.Change]string{diff.Changed: "C", diff.Rebuilt: "R", diff.Added: "+", diff.Removed: "-"}
	directionMarks = map[string]string{diff.Upgrade: "U", diff.Downgrade: "D"}
	markColours    = map[byte]string{'+': "32", 'U': "32", '-': "31", 'D': "31", 'C': "33", '~': "33"} // SGR of ECMA-48: green, red, yellow
)

// print prints a report for people.
func (l diffLook) print(w io.Writer, r *diff.Report) error {
	p := &inspectionPrinter{w: w}
	l.head(p, r)
	if !r.Differs() {
		p.line("\nno differences")
	}
	l.table(p, "packages", packageRows(r.Packages))
	l.table(p, "kernel parameters", entryRows(r.Entries))
	l.table(p, "units", unitRows(r.Units))
	for _, s := range []diff.Side{r.Before, r.After} {
		for _, u := range s.Unread {
			p.line("not read: %s: %s", printable(s.Name), printable(u))
		}
	}
	return p.err
}

// head says what is compared.
func (l diffLook) head(p *inspectionPrinter, r *diff.Report) {
	p.line("before    %s", sideText(r.Before))
	p.line("after     %s", sideText(r.After))
	what := map[diff.Kind]string{diff.NixOS: "paths", diff.Debian: "packages"}[r.Before.Kind]
	p.line("%-9s %d → %d, %d added, %d removed", what, r.Before.Packages, r.After.Packages, r.Come, r.Gone)
	size := fmt.Sprintf("%s → %s", humanBytes(r.Before.Size), humanBytes(r.After.Size))
	if grown := signedBytes(r.After.Size - r.Before.Size); grown != "" {
		size += ", " + grown
	}
	p.line("size      %s", size)
	if !slices.Equal(r.Before.Kernels, r.After.Kernels) {
		p.line("kernel    %s → %s", versionList(r.Before.Kernels), versionList(r.After.Kernels))
	}
}

func sideText(s diff.Side) string {
	text := printable(s.Name)
	if s.Generation > 0 {
		text += fmt.Sprintf(", generation %d", s.Generation)
	}
	if s.Release != "" {
		text += ", " + printable(s.Release)
	}
	return text
}

func packageRows(list []diff.PackageChange) (rows [][]string) {
	for _, c := range list {
		mark := changeMarks[c.Change]
		if m, ok := directionMarks[c.Direction]; ok {
			mark = m
		}
		if c.Selected {
			mark += "*"
		}
		versions := versionList(c.Before) + " → " + versionList(c.After)
		switch c.Change {
		case diff.Added:
			versions = versionList(c.After)
		case diff.Removed, diff.Rebuilt:
			versions = versionList(c.Before)
		}
		rows = append(rows, []string{mark, printable(c.Name), versions, signedBytes(c.Grown())})
	}
	return rows
}

// versionList returns versions for people; nvd, too, says <none> for none.
func versionList(versions []string) string {
	if len(versions) == 0 {
		return "<none>"
	}
	var out []string
	for _, v := range versions {
		if v == "" {
			v = "<none>"
		}
		out = append(out, printable(v))
	}
	return strings.Join(out, ", ")
}

func entryRows(list []diff.EntryChange) (rows [][]string) {
	for _, c := range list {
		if c.Change != diff.Changed {
			rows = append(rows, []string{changeMarks[c.Change], printable(c.ID), string(c.Change)})
			continue
		}
		var words []string
		for _, w := range c.Removed {
			words = append(words, "-"+printable(w))
		}
		for _, w := range c.Added {
			words = append(words, "+"+printable(w))
		}
		rows = append(rows, []string{"~", printable(c.ID), strings.Join(words, " ")})
	}
	return rows
}

func unitRows(list []diff.UnitChange) (rows [][]string) {
	for _, c := range list {
		mark := "~"
		var notes []string
		for _, what := range c.Changes {
			switch what {
			case diff.Added, diff.Removed:
				mark = changeMarks[what]
			default:
				notes = append(notes, string(what))
			}
		}
		rows = append(rows, []string{mark, printable(c.Name), strings.Join(notes, ", ")})
	}
	return rows
}

// signedBytes returns a difference of sizes, "" for none.
func signedBytes(n int64) string {
	switch {
	case n > 0:
		return "+" + humanBytes(n)
	case n < 0:
		return "-" + humanBytes(-n)
	}
	return ""
}

// table prints rows below a title, if there are any. Each begins with its mark.
func (l diffLook) table(p *inspectionPrinter, title string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	p.line("\n%s", title)
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		text := strings.TrimRight(line.String(), " ")
		if c := markColours[text[0]]; c != "" && l.colour {
			text = "\x1b[" + c + "m" + text[:1] + "\x1b[0m" + text[1:]
		}
		p.line("  %s", text)
	}
}
