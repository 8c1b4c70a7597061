package terminal

import "unicode/utf8"

// Keys, as a terminal in raw mode sends them.
const (
	keyCtrlC     = 0x03
	keyCtrlD     = 0x04
	keyBackspace = 0x08
	keyCtrlU     = 0x15
	keyEscape    = 0x1b
	keyDelete    = 0x7f
)

// editor edits a line that is not shown.
type editor struct {
	line   []byte // its memory never moves
	escape int    // of a sequence that arrows and other keys send: 0 none, 1 begun, 2 its parameters
	cr     bool   // the last key was Enter
}

// key takes in a byte that a key has sent.
func (e *editor) key(b byte) Ending {
	cr := e.cr
	e.cr = false
	if e.escaped(b) {
		return NotYet
	}
	switch {
	case b == '\r':
		e.cr = true
		return Answered
	case b == '\n':
		if cr { // the second half of a line's end
			return NotYet
		}
		return Answered
	case b == keyCtrlC, b == keyCtrlD:
		return Skipped
	case b == keyBackspace, b == keyDelete:
		_, n := utf8.DecodeLastRune(e.line)
		clear(e.line[len(e.line)-n:])
		e.line = e.line[:len(e.line)-n]
	case b == keyCtrlU:
		e.wipe()
	case b >= ' ' && len(e.line) < MaxLine:
		e.line = append(e.line, b)
	}
	return NotYet
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
