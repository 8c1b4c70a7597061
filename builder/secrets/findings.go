package secrets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// maxHints is how many different hints one error shows.
const maxHints = 4

// findings collects what is wrong, so that one error can say all of it.
type findings struct {
	list  strict.Problems
	hints []string
	class fault.Class
}

// add notes a finding about where, a file or a key of a profile, with a hint
// or "".
func (f *findings) add(class fault.Class, where, hint, format string, args ...any) {
	f.list = append(f.list, strict.Problem{Key: where, Text: fmt.Sprintf(format, args...)})
	if hint != "" && !slices.Contains(f.hints, hint) && len(f.hints) < maxHints {
		f.hints = append(f.hints, hint)
	}
	// A bad file outweighs a profile that asks it for the wrong thing.
	f.class = max(f.class, class)
}

// err returns all findings as one error, or nil.
func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return &fault.Error{Class: f.class, Hint: strings.Join(f.hints, "; "), Err: f.list}
}
