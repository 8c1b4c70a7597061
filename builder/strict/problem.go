package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxProblems bounds how many problems one error prints.
const maxProblems = 100

// Problem is one thing that is wrong with a document.
type Problem struct {
	Position
	Key  string // that it is about; "" for the document
	Text string // what was expected and found
}

// String returns the problem as one line.
func (p Problem) String() string {
	text := p.Text
	if p.Key != "" {
		text = p.Key + ": " + text
	}
	switch {
	case p.Position.IsZero():
		return text
	case p.File == flag: // as it was typed
		return flag + " " + text
	case strings.HasPrefix(p.File, flag+" "):
		return p.File + "." + text
	}
	return p.Position.String() + ": " + text
}

// Problems is an error that holds everything wrong with a set of documents.
type Problems []Problem

// Error returns one problem a line, below their number when there are several.
func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems", len(p))
	for i, one := range p {
		if i == maxProblems {
			fmt.Fprintf(&b, "\nand %d more", len(p)-maxProblems)
			break
		}
		b.WriteString("\n" + one.String())
	}
	return b.String()
}

// err returns the problems as one error, in the order in which they are in
// their files, or nil when there are none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &fault.Error{Class: fault.Config, Err: p}
}

// Findings collects the problems of a value that was decoded: what no type can
// say, such as two settings that contradict. It knows where each key was set.
type Findings struct {
	origins  Origins
	broken   []string // keys that were refused before, see Add
	problems Problems
}

// Add notes a problem with key. What concerns a key that was refused when it
// was decoded is left out: it would only repeat, in other words, what is
// reported already.
func (f *Findings) Add(key, format string, args ...any) {
	for _, b := range f.broken {
		if within(b, key) || within(key, b) {
			return
		}
	}
	f.problems = append(f.problems, Problem{f.origins.Of(key), key, fmt.Sprintf(format, args...)})
}

// NewFindings makes an empty collection for values that were set at origins.
func NewFindings(origins Origins) *Findings { return &Findings{origins: origins} }

// Err returns all problems noted as one error of class fault.Config, in the
// order in which they are in their files, or nil.
func (f *Findings) Err() error { return f.problems.err() }

// within reports whether key is outer or inside of it.
func within(outer, key string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
