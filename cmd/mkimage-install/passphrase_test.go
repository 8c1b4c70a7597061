package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/initramfs/terminal/terminaltest"
	"github.com/6FaNcY9/mkimage/installer/agekey/agekeytest"
)

// asked asks for the passphrase of a key on a console, where one types.
func asked(t *testing.T, patience time.Duration, memory int64, keys ...string) (text []byte, why string, c *terminaltest.Console) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	data := agekeytest.Encrypted(t, identity.String()+"\n", "open sesame")
	c = terminaltest.New(t)
	set := terminal.Open([]string{c.Node})
	p := passphrase{
		show: &display{terminals: set}, patience: patience, where: "the key medium",
		open: opener(data, func() (int64, error) { return memory, nil }),
	}
	ended := make(chan error, 1)
	go func() {
		var err error
		text, why, err = p.ask(t.Context())
		ended <- err
	}()
	for _, k := range keys {
		c.See("nothing is shown of it")
		c.Press(k)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	set.Close()
	c.Left("open sesame", "AGE-SECRET-KEY")
	if text != nil && string(text) != identity.String()+"\n" {
		t.Errorf("%d bytes, another key", len(text))
	}
	return text, why, c
}

func TestPassphrase(t *testing.T) {
	const enough = 1 << 30
	tests := []struct {
		name     string
		patience time.Duration
		memory   int64
		keys     []string
		why      string // "" for a key
	}{
		{"right", time.Minute, enough, []string{"open sesame\r"}, ""},
		{"after a slip", time.Minute, enough, []string{"oj\x7fpen sesame\r"}, ""},
		{"after two wrong ones", time.Minute, enough, []string{"wrong\r", "\r", "open sesame\r"}, ""},
		{"three wrong ones", time.Minute, enough, []string{"a\r", "b\r", "c\r"}, "is encrypted, and 3 passphrases did not open it"},
		{"Ctrl-C", time.Minute, enough, []string{"open\x03"}, unasked},
		{"nobody", time.Millisecond, enough, nil, unasked},
		{"no memory", time.Minute, 0, []string{"open sesame\r"}, "MiB of memory are needed"},
		{"noise", time.Minute, enough, []string{strings.Repeat("\x00", terminal.MaxTyped+1)}, unasked},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text, why, _ := asked(t, test.patience, test.memory, test.keys...)
			if (text == nil) == (test.why == "") || !strings.Contains(why, test.why) {
				t.Errorf("a key %v, %q; want %q", text != nil, why, test.why)
			}
		})
	}
}

// TestPassphraseNobody asks where there is no console, and where the memory is
// not known.
func TestPassphraseNobody(t *testing.T) {
	p := passphrase{show: &display{terminals: terminal.Open(nil)}, patience: time.Minute}
	if text, why, err := p.ask(t.Context()); text != nil || why != unasked || err != nil {
		t.Errorf("%v, %q, %v", text, why, err)
	}
	broken := errors.New("no meminfo")
	if _, err := opener(nil, func() (int64, error) { return 0, broken })(nil); !errors.Is(err, broken) {
		t.Errorf("%v; want %v", err, broken)
	}
}

// TestPassphraseAhead presses keys before the question and while the passphrase is
// tried: they neither answer it nor reach what comes next.
func TestPassphraseAhead(t *testing.T) {
	c := terminaltest.New(t)
	set := terminal.Open([]string{c.Node})
	defer set.Close()
	c.Press("\rearly\r")
	tries := 0
	p := passphrase{show: &display{terminals: set}, patience: time.Minute, where: "the key medium", open: func(line []byte) ([]byte, error) {
		tries++
		c.Press("late\r\n")
		if string(line) != "open sesame" {
			t.Errorf("the passphrase is %q", line)
		}
		return []byte("a key"), nil
	}}
	ended := make(chan []byte, 1)
	go func() {
		text, _, _ := p.ask(t.Context())
		ended <- text
	}()
	c.See("nothing is shown of it")
	c.Press("open sesame\r")
	if text := <-ended; string(text) != "a key" || tries != 1 {
		t.Errorf("%q after %d tries", text, tries)
	}
	select {
	case in := <-set.Input():
		t.Errorf("%q is left for the next question", in.Text)
	case <-time.After(100 * time.Millisecond):
	}
}
