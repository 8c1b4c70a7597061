package boot

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Limits of asking.
const (
	keyTries    = 3   // of a passphrase, and of a key
	maxComments = 100 // lines of a key file that are typed and are no key
)

// ending is how a question ended.
type ending int

const (
	answered   ending = iota // with a line
	skipped                  // somebody wants to go on without
	unanswered               // nobody is there, or not any more
	plugged                  // a key medium was
)

func endingOf(end terminal.Ending) ending {
	if end == terminal.Skipped {
		return skipped
	}
	return answered
}

// question asks for one line, which is not shown.
type question struct {
	text string // what is asked for
	skip string // what to type to go on without
}

// ask asks on all consoles at once. The first line that is ended with Enter on
// any of them is the answer; the caller wipes it. The time begins anew whenever
// a key is pressed. After nobody answered nobody is asked again.
func (s *keySearch) ask(q question) (line []byte, end ending) {
	if !s.openTerminals() {
		return nil, unanswered
	}
	t, timeout := s.terminal, time.Duration(s.config.Timeout)*time.Second
	if line, end := t.Next(); end != terminal.NotYet { // of several lines that are pasted
		return line, endingOf(end)
	}
	s.prompt(q, timeout)
	defer t.Forget()
	late := s.after(timeout)
	for {
		ev := s.until(t.Input(), late, false)
		switch {
		case ev.medium.Name != "":
			t.Show("\nmkimage-init: key medium " + ev.medium.Path() + "\n")
			return nil, plugged
		case ev.late:
			t.Show("\nmkimage-init: nobody has typed anything for " + timeout.String() + "\n")
			s.alone = true
			return nil, unanswered
		case ev.typed.Err != nil:
			t.Drop(ev.typed.From)
		default:
			t.Take(*ev.typed)
			late = s.after(timeout)
		}
		if line, end := t.Next(); end != terminal.NotYet {
			t.Show("\n")
			return line, endingOf(end)
		}
		if len(t.All) == 0 {
			s.alone = true
			return nil, unanswered
		}
	}
}

// prompt shows a question, how long it waits and what happens then.
func (s *keySearch) prompt(q question, timeout time.Duration) {
	text := fmt.Sprintf("\nmkimage-init: %s.\n  Without an answer the boot goes on %s after the last key; %s goes on at once.\n"+
		"  Without the key the system starts, but without its secrets.\n", q.text, timeout, q.skip)
	if s.wants(config.KeyMedium) {
		text += "  A key medium that is plugged in now is used instead.\n"
	}
	for _, c := range s.terminal.All {
		layout := ""
		if c.IsScreen() {
			layout = " (keys are those of a US keyboard)"
		}
		c.Show(text + "Nothing is shown of what you type" + layout + ": ")
	}
}

// openTerminals reports whether somebody can be asked.
func (s *keySearch) openTerminals() bool {
	if s.alone {
		return false
	}
	if s.terminal == nil && s.config.Timeout > 0 {
		s.startDrivers()
		s.terminal = terminal.LinesOf(terminal.Open(s.nodes))
		s.terminal.TooMuch = "\nmkimage-init: too much was typed here, this console is not asked any more\n"
	}
	s.alone = s.terminal == nil || len(s.terminal.All) == 0
	return !s.alone
}

// closeTerminals leaves the consoles as they were.
func (s *keySearch) closeTerminals() {
	if s.terminal != nil {
		s.terminal.Close()
		s.terminal = nil
	}
}

// decrypt asks for the passphrase of a key and returns its text. It is nil when
// nobody knows it, and when a key medium has made it needless: then s.key is
// set.
func (s *keySearch) decrypt(o offer) []byte {
	q := question{"passphrase of the age key on the " + o.where, "Ctrl-C"}
	for left := keyTries; left > 0; {
		line, end := s.ask(q)
		switch end {
		case plugged:
			if s.tryMedia() {
				return nil
			}
			continue
		case skipped, unanswered:
			s.refuse(o.where, firstboot.NewProblem(firstboot.CodeNoKey, "", "encrypted, and nobody gave its passphrase"))
			return nil
		}
		left--
		text, err := s.open(o.text, line)
		clear(line)
		if err == nil {
			return text
		}
		if left == 0 || firstboot.CodeOf(err) != firstboot.CodePassphrase {
			s.refuse(o.where, err)
			return nil
		}
		s.tell(levelWarning, fmt.Sprintf("%v; %s; tries left: %d", err, firstboot.HintOf(err), left))
	}
	return nil
}

// open tries a passphrase.
func (s *keySearch) open(data, passphrase []byte) ([]byte, error) {
	s.terminal.Show("mkimage-init: trying the passphrase, which takes some seconds\n")
	debug.FreeOSMemory() // the memory of the last try
	memory, err := s.available()
	if err != nil {
		return nil, err
	}
	return agekey.Decrypt(data, passphrase, memory)
}

// fromConsole is the source "console": somebody types the key itself.
func (s *keySearch) fromConsole() bool {
	q := question{"no key of age that fits was found: paste it (AGE-SECRET-KEY-1…)", "Enter"}
	left := keyTries
	for range keyTries + maxComments {
		line, end := s.ask(q)
		switch {
		case end == plugged:
			if s.tryMedia() {
				return true
			}
			continue
		case end != answered, len(bytes.TrimSpace(line)) == 0:
			s.without("nobody typed one")
			return false
		case bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")): // of a key file that is pasted
			clear(line)
			continue
		}
		if s.accept(offer{"console", line}) {
			return true
		}
		if left--; left == 0 {
			return false
		}
	}
	return false
}
