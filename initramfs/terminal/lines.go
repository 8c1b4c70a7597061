package terminal

import (
	"bytes"
	"slices"
)

// Limits of what is typed.
const (
	MaxLine  = 1024        // bytes of a line; more are not taken
	MaxTyped = 4 * MaxLine // bytes of one answer; a serial line that has more is no person
)

// Ending is how a question ended.
type Ending int

// The endings of a question.
const (
	NotYet   Ending = iota
	Answered        // with a line
	Skipped         // somebody wants to go on without
)

// Lines are what people type on the consoles of a Set where it is not shown, a
// line for each console: noise on one does not get into that of another.
type Lines struct {
	*Set
	// TooMuch is shown on a console that is left out because nobody can have typed
	// so much.
	TooMuch string
	answers map[*Terminal]*answer
}

// answer is what somebody types on one console.
type answer struct {
	rest  []byte // typed, and not looked at
	count int    // bytes looked at since the last answer
	editor
}

// LinesOf begins with empty lines. Of the Set only Input is to be used until the
// lines have been forgotten.
func LinesOf(set *Set) *Lines {
	t := &Lines{Set: set, answers: map[*Terminal]*answer{}}
	for _, c := range t.All {
		t.answers[c] = &answer{editor: editor{line: make([]byte, 0, MaxLine)}}
	}
	return t
}

// Close leaves nothing behind of what was typed, and the consoles as they were.
func (t *Lines) Close() {
	t.Wipe()
	t.Set.Close()
}

// Wipe leaves nothing behind of what was typed.
func (t *Lines) Wipe() {
	for _, a := range t.answers {
		a.end()
	}
}

// Drop leaves out a console that has ended.
func (t *Lines) Drop(c *Terminal) {
	if a := t.answers[c]; a != nil {
		a.end()
		delete(t.answers, c)
	}
	t.Set.Drop(c)
}

func (a *answer) end() {
	a.wipe()
	clear(a.rest)
}

// Take notes what was typed, for Next, and wipes it.
func (t *Lines) Take(in Typed) {
	if a := t.answers[in.From]; a != nil {
		if need := len(a.rest) + len(in.Text); need > cap(a.rest) {
			more := append(make([]byte, 0, 2*need), a.rest...)
			clear(a.rest) // append would leave what it has moved
			a.rest = more
		}
		a.rest = append(a.rest, in.Text...)
	}
	clear(in.Text)
}

// Next returns how a question is answered by what was typed so far: the first
// line that was ended on any console. Its user wipes it.
func (t *Lines) Next() (line []byte, end Ending) {
	for _, c := range slices.Clone(t.All) {
		a := t.answers[c]
		for i, b := range a.rest {
			a.rest[i] = 0
			if a.count++; a.count > MaxTyped {
				c.Show(t.TooMuch)
				t.Drop(c)
				break
			}
			if end := a.key(b); end != NotYet {
				a.rest, a.count = a.rest[i+1:], 0
				if end == Answered {
					line = bytes.Clone(a.line)
				}
				a.wipe()
				return line, end
			}
		}
		a.rest = a.rest[:0]
	}
	return nil, NotYet
}

// Forget drops lines that were begun.
func (t *Lines) Forget() {
	for _, a := range t.answers {
		a.count = 0
		a.wipe()
	}
}

// Flush drops all that was typed, in lines or not read yet.
func (t *Lines) Flush() {
	for _, a := range t.answers {
		a.end()
		a.rest, a.count = a.rest[:0], 0
	}
	t.Set.Flush()
}
