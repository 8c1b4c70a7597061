// Package menu is the menu of the rescue environment: numbered lines on a console, of
// which a person types a number or a name.
//
// It writes plain lines and reads lines, so that a serial line of 9600 bits a second does
// as well as a screen. It starts nothing itself, and knows neither what its entries do
// nor what a terminal is.
package menu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Entry is a line of the menu.
type Entry struct {
	Title   string   // what it does, in some words
	Command []string // what is typed for it behind Program, the name first; never empty
	Explain string   // what is said before it runs, of several lines perhaps
}

// Menu is a menu on one console. What has no comment on its zero value must be set.
type Menu struct {
	Program string // whose commands the entries are
	Entries []Entry
	// In is read a byte at a time, and only while the menu asks: what comes after a line
	// is for the entry that runs.
	In  io.Reader
	Out io.Writer
	// State returns lines on the state of the machine, which stand above the entries.
	// None if nil.
	State func() []string
	// Found hands in once what is wrong with the disks, as a text of lines; it stands above the
	// entries from then on, until an entry has run. Nothing comes if nil.
	Found <-chan string
	// Run runs an entry on the console and returns when that has ended. Its error is told.
	Run  func(ctx context.Context, e Entry) error
	Rows int // of the console; 0 is 24
	// Stays says that the end of input ends nothing: the console is one of the machine.
	Stays bool
}

// ErrNoInput is returned by a menu that stays when its console ends each line at once:
// nobody sits there.
var ErrNoInput = errors.New("console: has no input")

const (
	defaultRows = 24
	// leastFound are the lines of Found that are shown in any case, and besideEntries
	// the lines that are neither those nor entries.
	leastFound    = 6
	besideEntries = 7
	// maxEnds is how often in a row the input of a menu that stays may end. A person
	// who presses Ctrl-D does not do so.
	maxEnds = 20
	// maxLine is how long a line may be, in bytes. The rest is dropped.
	maxLine = 200
	// shownInput is how much of a line that is not understood is repeated.
	shownInput = 20
)

// typed is a line, or why there is none.
type typed struct {
	line string
	err  error
}

// Loop shows the menu and runs what is chosen, until the input ends, the word "exit" is
// typed or ctx ends, whose error it returns then. A menu that stays ends for ctx, and
// with ErrNoInput, alone.
func (m *Menu) Loop(ctx context.Context) error {
	found := ""
	if m.Found != nil {
		m.say("\nThe disks are being looked at. What is found will be shown here.")
	}
	m.show(found)
	news, input, ends := m.Found, m.next(), 0
	for {
		var in typed
		select {
		case <-ctx.Done():
			return ctx.Err()
		case text, ok := <-news:
			news = nil
			if ok {
				found = text
				m.say("")
				m.show(found)
			}
			continue
		case in = <-input:
		}
		if in.err != nil {
			if ends++; !m.Stays {
				return nil
			} else if ends >= maxEnds {
				return ErrNoInput
			}
			m.say("")
		} else {
			ends = 0
		}
		ran, leave := m.take(ctx, strings.TrimSpace(in.line), found)
		if leave {
			return nil
		}
		if ran {
			found, news = "", nil // it may be otherwise now
		}
		input = m.next()
	}
}

// next reads one line in the background.
func (m *Menu) next() <-chan typed {
	c := make(chan typed, 1)
	go func() {
		line, err := readLine(m.In)
		c <- typed{line, err}
	}()
	return c
}

// readLine reads a line without what is behind it. An input that ends within a line ends
// the line.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return string(line), nil
		case n == 1 && len(line) < maxLine:
			line = append(line, b[0])
		}
		if err != nil && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// take does what a line says. It reports whether an entry ran, and whether the menu is
// to be left.
func (m *Menu) take(ctx context.Context, line, found string) (ran, leave bool) {
	if line == "" {
		m.show(found)
		return false, false
	}
	e, ok := m.choose(line)
	switch {
	case ok:
		m.run(ctx, e)
		return true, false
	case line == "exit" && !m.Stays:
		return false, true
	}
	m.say(fmt.Sprintf("%s: expected a number from 1 to %d, or a name such as %s; Enter shows the menu", quoted(line), len(m.Entries), m.Entries[0].Command[0]))
	m.prompt()
	return false, false
}

// quoted returns the beginning of a line in a form that cannot move the cursor.
func quoted(line string) string {
	if r := []rune(line); len(r) > shownInput {
		line = string(r[:shownInput]) + "..."
	}
	return strconv.QuoteToASCII(line)
}

// choose returns the entry of a number or a name.
func (m *Menu) choose(line string) (Entry, bool) {
	if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(m.Entries) {
		return m.Entries[n-1], true
	}
	words := strings.Fields(line)
	if words[0] == m.Program && len(words) > 1 {
		words = words[1:]
	}
	for _, e := range m.Entries {
		if e.Command[0] == words[0] {
			e.Command = append(e.Command[:len(e.Command):len(e.Command)], words[1:]...)
			return e, true
		}
	}
	return Entry{}, false
}

// run runs an entry.
func (m *Menu) run(ctx context.Context, e Entry) {
	m.say("")
	if e.Explain != "" {
		m.say(e.Explain)
	}
	m.say("same as: " + m.Program + " " + strings.Join(e.Command, " ") + "\n")
	end := e.Command[0] + " has ended"
	if err := m.Run(ctx, e); err != nil {
		end += ": " + err.Error()
	}
	m.say("\n" + end + ". Enter shows the menu.")
	m.prompt()
}

// show shows state, what was found, and the entries.
func (m *Menu) show(found string) {
	m.say("")
	if m.State != nil {
		for _, line := range m.State() {
			m.say(line)
		}
	}
	if found = strings.Trim(found, "\n"); found != "" {
		m.say(strings.Join(m.cut(strings.Split(found, "\n")), "\n"))
	}
	m.say("")
	width := 0
	for _, e := range m.Entries {
		width = max(width, len(e.Command[0]))
	}
	for i, e := range m.Entries {
		m.say(fmt.Sprintf("%3d  %-*s  %s", i+1, width, e.Command[0], e.Title))
	}
	m.say("\nType a number or a name, and Enter.")
	m.prompt()
}

// cut shortens what was found to what leaves room for the entries.
func (m *Menu) cut(lines []string) []string {
	rows := m.Rows
	if rows == 0 {
		rows = defaultRows
	}
	room := max(leastFound, rows-len(m.Entries)-besideEntries)
	if len(lines) <= room {
		return lines
	}
	return append(lines[:room-1:room-1], fmt.Sprintf("... and %d lines more: inventory", len(lines)-room+1))
}

// say writes lines. A console that does not take them ends where it is read.
func (m *Menu) say(text string) { _, _ = io.WriteString(m.Out, text+"\n") }

func (m *Menu) prompt() { _, _ = io.WriteString(m.Out, "rescue> ") }
