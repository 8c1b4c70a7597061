package verify

import (
	"fmt"
	"io"
	"strings"
)

// maxProblems bounds what one check lists; Check.Found counts on.
const maxProblems = 100

// Report is the result of all checks, in the order in which they are made.
type Report struct {
	Size   int64   `json:"size"` // bytes of the image
	Checks []Check `json:"checks"`
}

// Check is one check of one part of an image.
type Check struct {
	Name     string    `json:"name"`    // one word or two, such as "digests"
	Subject  string    `json:"subject"` // what was looked at
	Found    int64     `json:"found"`   // how many problems there are
	Problems []Problem `json:"problems"`
	Skipped  string    `json:"skipped,omitempty"` // why the check, or a part of it, could not be made
}

// Problem is one finding.
type Problem struct {
	Where string `json:"where"` // offset, partition, object
	What  string `json:"what"`  // what was found, and what was expected
}

// String returns place and finding on one line.
func (p Problem) String() string { return p.Where + ": " + p.What }

// Clean reports whether nothing was found and nothing left unchecked.
func (r *Report) Clean() bool {
	for _, c := range r.Checks {
		if c.Found > 0 || c.Skipped != "" {
			return false
		}
	}
	return true
}

// Found returns the number of problems of all checks.
func (r *Report) Found() int64 {
	var n int64
	for _, c := range r.Checks {
		n += c.Found
	}
	return n
}

// Text prints the report: a line for each check, its problems below it.
func (r *Report) Text(w io.Writer) error {
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.Name))
	}
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-7s %-*s  %s\n", c.verdict(), width, c.Name, printable(c.Subject))
		for _, p := range c.Problems {
			fmt.Fprintf(&b, "        %s\n", printable(p.String()))
		}
		if left := c.Found - int64(len(c.Problems)); left > 0 {
			fmt.Fprintf(&b, "        and %d more\n", left)
		}
		if c.Skipped != "" {
			fmt.Fprintf(&b, "        not checked: %s\n", printable(c.Skipped))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Check) verdict() string {
	switch {
	case c.Found > 0:
		return "FAILED"
	case c.Skipped != "":
		return "skipped"
	}
	return "ok"
}

// problem adds a finding.
func (c *Check) problem(where, format string, args ...any) {
	if c.Found++; c.Found <= maxProblems {
		c.Problems = append(c.Problems, Problem{where, fmt.Sprintf(format, args...)})
	}
}

// printable keeps what comes from an image from steering a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\uFFFD' {
			return '?'
		}
		return r
	}, text)
}
