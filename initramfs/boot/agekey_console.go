package boot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Limits of a console.
const (
	maxLine    = 1024        // bytes of a line; more are not taken
	maxTyped   = 4 * maxLine // bytes of one answer; a serial line that has more is no person
	slowOutput = time.Second // for the text of a prompt
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

// terminals are the consoles on which a person is asked.
type terminals struct {
	all     []*terminal
	input   chan typed
	done    chan struct{}
	readers sync.WaitGroup
}

// typed is what came from a console.
type typed struct {
	from *terminal
	text []byte
	err  error // nothing more will come
}

// terminal is one console, in raw mode.
type terminal struct {
	node   string
	file   *os.File
	before unix.Termios
	rest   []byte // typed, and not looked at
	count  int    // bytes looked at since the last answer
	editor
}

// openTerminals opens those consoles that are terminals.
func openTerminals(nodes []string) *terminals {
	t := &terminals{input: make(chan typed), done: make(chan struct{})}
	for _, node := range nodes {
		c, err := openTerminal(node)
		if err != nil {
			continue // such as a console without a keyboard; another may have one
		}
		t.all = append(t.all, c)
		t.readers.Add(1)
		go t.read(c)
	}
	return t
}

func openTerminal(node string) (*terminal, error) {
	f, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	c := &terminal{node: node, file: f, editor: editor{line: make([]byte, 0, maxLine)}}
	if err := c.raw(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// raw has keys handed in as they are pressed, and not shown. What was typed
// before is dropped: it was no answer.
func (c *terminal) raw() error {
	return c.control(func(fd int) error {
		before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		c.before = *before
		raw := *before
		raw.Iflag &^= unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		raw.Iflag |= unix.IGNBRK
		raw.Oflag &^= unix.OPOST
		raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		return errors.Join(unix.IoctlSetTermios(fd, unix.TCSETS, &raw), flushInput(fd))
	})
}

// flushInput drops what was typed and not read.
func flushInput(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }

// control calls do with the descriptor, which stays one of the runtime's: its
// reads can be ended.
func (c *terminal) control(do func(fd int) error) error {
	conn, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}

// isScreen reports whether the console is that of a screen and a keyboard.
func (c *terminal) isScreen() bool {
	number, ok := strings.CutPrefix(filepath.Base(c.node), "tty")
	return ok && strings.Trim(number, "0123456789") == ""
}

// read hands in what is typed.
func (t *terminals) read(c *terminal) {
	defer t.readers.Done()
	for {
		b := make([]byte, 256)
		n, err := c.file.Read(b)
		if n == 0 && err == nil {
			err = io.EOF
		}
		select {
		case t.input <- typed{c, b[:n], err}:
		case <-t.done:
			clear(b)
			return
		}
		if err != nil {
			return
		}
	}
}

// close leaves the consoles as they were. What was typed meanwhile must not
// become the name at a login, for all to see.
func (t *terminals) close() {
	close(t.done)
	for _, c := range t.all {
		_ = c.file.SetReadDeadline(time.Unix(1, 0))
	}
	within(slowOutput, t.readers.Wait)
	for _, c := range t.all {
		c.leave()
	}
	t.all = nil
}

func (c *terminal) leave() {
	c.wipe()
	clear(c.rest)
	_ = c.control(func(fd int) error {
		return errors.Join(flushInput(fd), unix.IoctlSetTermios(fd, unix.TCSETS, &c.before))
	})
	_ = c.file.Close()
}

// drop leaves out a console that has ended.
func (t *terminals) drop(c *terminal) {
	if i := slices.Index(t.all, c); i >= 0 {
		t.all = slices.Delete(t.all, i, i+1)
		c.leave()
	}
}

// show writes a text on every console.
func (t *terminals) show(text string) {
	for _, c := range t.all {
		c.show(text)
	}
}

// show writes a text. A console that does not take it must not hold up the boot.
func (c *terminal) show(text string) {
	_ = c.file.SetWriteDeadline(time.Now().Add(slowOutput))
	_, _ = c.file.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
}

// take notes what was typed, for next.
func (t *terminals) take(in typed) {
	if slices.Contains(t.all, in.from) {
		in.from.rest = append(in.from.rest, in.text...)
	}
	clear(in.text)
}

// next returns how a question is answered by what was typed so far. Each console
// has a line of its own: noise on one does not get into that of another.
func (t *terminals) next() (line []byte, end ending) {
	for _, c := range slices.Clone(t.all) {
		for i, b := range c.rest {
			c.rest[i] = 0
			if c.count++; c.count > maxTyped {
				c.show("\nmkimage-init: too much was typed here, this console is not asked any more\n")
				t.drop(c)
				break
			}
			if end := c.key(b); end != notYet {
				c.rest, c.count = c.rest[i+1:], 0
				line := bytes.Clone(c.line)
				c.wipe()
				return line, end
			}
		}
		c.rest = c.rest[:0]
	}
	return nil, notYet
}

// forget drops lines that were begun.
func (t *terminals) forget() {
	for _, c := range t.all {
		c.count = 0
		c.wipe()
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
