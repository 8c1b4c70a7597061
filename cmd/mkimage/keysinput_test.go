package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// openPTY returns the end of a terminal at which people sit, and the name of
// the other one.
func openPTY(t *testing.T) (person *os.File, name string) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("/dev/pts/%d", n)
	// While nobody has the other end open, reads of this one fail.
	other, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return person, name
}

// readUntil reads what a terminal shows, up to a text.
func readUntil(t *testing.T, person *os.File, text string) string {
	t.Helper()
	var shown []byte
	for buf := make([]byte, 256); !bytes.Contains(shown, []byte(text)); {
		n, err := person.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, shown)
		}
		shown = append(shown, buf[:n]...)
	}
	return string(shown)
}

// echoes reports whether a terminal shows what is typed.
func echoes(t *testing.T, person *os.File) bool {
	t.Helper()
	termios, err := unix.IoctlGetTermios(int(person.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return termios.Lflag&unix.ECHO != 0
}

// TestAskHidden types at a terminal and looks at what it shows.
func TestAskHidden(t *testing.T) {
	person, name := openPTY(t)
	if !echoes(t, person) {
		t.Fatal("the terminal does not show what is typed before the test")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type answer struct {
		line []byte
		err  error
	}
	ask := func() <-chan answer {
		c := make(chan answer, 1)
		go func() {
			line, err := askHidden(ctx, name, "Say it: ")
			c <- answer{line, err}
		}()
		if shown := readUntil(t, person, "Say it: "); strings.Contains(shown, "hunter2") {
			t.Errorf("the terminal shows %q", shown)
		}
		return c
	}
	asked := ask()
	if _, err := person.WriteString("hunter2 \xc3\xa4\nmore\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-asked; a.err != nil || string(a.line) != "hunter2 \u00e4" {
		t.Errorf("%q, %v", a.line, a.err)
	}
	// What was typed behind the first line is for the next question.
	second := ask()
	if a := <-second; a.err != nil || string(a.line) != "more" {
		t.Errorf("%q, %v", a.line, a.err)
	}
	third := ask() // has its prompt when the terminal is set
	if echoes(t, person) {
		t.Error("the terminal shows what is typed while it is asked for")
	}
	cancel()
	if a := <-third; !errors.Is(a.err, context.Canceled) {
		t.Errorf("interrupted: %q, %v", a.line, a.err)
	}
	if !echoes(t, person) {
		t.Error("after an interruption the terminal shows nothing of what is typed")
	}
	if _, err := askHidden(t.Context(), "/nowhere/tty", ""); fault.ClassOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "--passphrase-file") {
		t.Errorf("no terminal: %v", err)
	}
}

func TestReadLine(t *testing.T) {
	for _, tt := range []struct {
		in, line, rest string
		ok             bool
	}{
		{"a\nb", "a", "b", true}, {"\n", "", "", true}, {"", "", "", false}, {"a", "", "", false},
		{strings.Repeat("a", maxPassphrase) + "\n", strings.Repeat("a", maxPassphrase), "", true},
		{strings.Repeat("a", maxPassphrase+1) + "\n", "", "\n", false},
	} {
		r := strings.NewReader(tt.in)
		line, err := readLine(r)
		rest := make([]byte, r.Len())
		_, _ = r.Read(rest)
		if string(line) != tt.line || string(rest) != tt.rest || (err == nil) != tt.ok {
			t.Errorf("%.10q of %d: %.10q of %d, %q, %v", tt.in, len(tt.in), line, len(line), rest, err)
		}
	}
}
