package boot

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/initramfs/terminal"
)

// Limits of a console.
const (
	maxLine  = 1024        // bytes of a line; more are not taken
	maxTyped = 4 * maxLine // bytes of one answer; a serial line that has more is no person
)

// Keys, as a terminal in raw mode sends them.
const (
	keyCtrlC     = 0x03
	keyCtrlD     = 0x04
	keyBackspace = 0x08
	keyCtrlU     = 0x15
	keyEscape    = 0x1b
	keyDelete    = 0x7f
)

// terminals are the consoles on which a person is asked, each with a line of
// its own: noise on one does not get into that of another.
type terminals struct {
	*terminal.Set
	lines map[*terminal.Terminal]*answer
}

// answer is what somebody types on one console.
type answer struct {
	rest  []byte // typed, and not looked at
	count int    // bytes looked at since the last answer
	editor
}

// openTerminals opens those consoles that are terminals.
func openTerminals(nodes []string) *terminals {
	t := &terminals{Set: terminal.Open(nodes), lines: map[*terminal.Terminal]*answer{}}
	for _, c := range t.All {
		t.lines[c] = &answer{editor: editor{line: make([]byte, 0, maxLine)}}
	}
	return t
}

// close leaves nothing behind of what was typed.
func (t *terminals) close() {
	for _, a := range t.lines {
		a.end()
	}
	t.Close()
}

// drop leaves out a console that has ended.
func (t *terminals) drop(c *terminal.Terminal) {
	if a := t.lines[c]; a != nil {
		a.end()
		delete(t.lines, c)
	}
	t.Drop(c)
}

func (a *answer) end() {
	a.wipe()
	clear(a.rest)
}

// take notes what was typed, for next.
func (t *terminals) take(in terminal.Typed) {
	if a := t.lines[in.From]; a != nil {
		a.rest = append(a.rest, in.Text...)
	}
	clear(in.Text)
}

// next returns how a question is answered by what was typed so far.
func (t *terminals) next() (line []byte, end ending) {
	for _, c := range slices.Clone(t.All) {
		a := t.lines[c]
		for i, b := range a.rest {
			a.rest[i] = 0
			if a.count++; a.count > maxTyped {
				c.Show("\nmkimage-init: too much was typed here, this console is not asked any more\n")
				t.drop(c)
				break
			}
			if end := a.key(b); end != notYet {
				a.rest, a.count = a.rest[i+1:], 0
				line := bytes.Clone(a.line)
				a.wipe()
				return line, end
			}
		}
		a.rest = a.rest[:0]
	}
	return nil, notYet
}

// forget drops lines that were begun.
func (t *terminals) forget() {
	for _, a := range t.lines {
		a.count = 0
		a.wipe()
	}
}

// editor edits a line that is not shown.
type editor struct {
	line   []byte // its memory never moves
	escape int    // of a sequence that arrows and other keys send: 0 none, 1 begun, 2 its parameters
	cr     bool   // the last key was Enter
}

// key takes in a byte that a key has sent.
func (e *editor) key(b byte) ending {
	cr := e.cr
	e.cr = false
	if e.escaped(b) {
		return notYet
	}
	switch {
	case b == '\r':
		e.cr = true
		return answered
	case b == '\n':
		if cr { // the second half of a line's end
			return notYet
		}
		return answered
	case b == keyCtrlC, b == keyCtrlD:
		return skipped
	case b == keyBackspace, b == keyDelete:
		_, n := utf8.DecodeLastRune(e.line)
		clear(e.line[len(e.line)-n:])
		e.line = e.line[:len(e.line)-n]
	case b == keyCtrlU:
		e.wipe()
	case b >= ' ' && len(e.line) < maxLine:
		e.line = append(e.line, b)
	}
	return notYet
}

// escaped reports whether a byte is part of a sequence: ESC, then "[" or "O",
// parameters and a last byte (ECMA-48, 5.4); F1 to F5 of Linux' own consoles
// have a second "[". Keys that end a line end a sequence, too.
func (e *editor) escaped(b byte) bool {
	switch {
	case b == keyEscape:
		e.escape = 1
		return true
	case e.escape == 0, b < ' ':
		e.escape = 0
		return false
	case e.escape == 1 && (b == '[' || b == 'O'):
		e.escape = 2
		return true
	case e.escape == 1: // Alt and a key
		e.escape = 0
		return true
	}
	if b >= '@' && b <= '~' && b != '[' {
		e.escape = 0
	}
	return true
}

func (e *editor) wipe() {
	clear(e.line[:cap(e.line)])
	e.line = e.line[:0]
}
