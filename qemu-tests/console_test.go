package qemutests

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeConsole returns a console and the guest's end of it.
func fakeConsole(t *testing.T, raw io.Writer) (*Console, net.Conn) {
	t.Helper()
	ours, guest := net.Pipe()
	c := newConsole(raw)
	go func() {
		c.serve(ours)
		close(c.off)
	}()
	t.Cleanup(func() { guest.Close(); <-c.off })
	return c, guest
}

func print(t *testing.T, guest io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(guest, text); err != nil {
		t.Fatal(err)
	}
}

func TestExpect(t *testing.T) {
	c, guest := fakeConsole(t, nil)
	print(t, guest, "one 1\r\ntwo 2\r\n")
	re := regexp.MustCompile(`(one|two) (\d)(x)?\n`)
	for _, want := range [][]string{{"one 1\n", "one", "1", ""}, {"two 2\n", "two", "2", ""}} {
		if got, err := c.Expect(soon(t), re); err != nil || !slices.Equal(got, want) {
			t.Errorf("Expect = %q, %v; want %q", got, err, want)
		}
	}
	// In pieces, while it waits.
	go func() {
		for _, piece := range []string{"o", "ne", " 3", "\n"} {
			io.WriteString(guest, piece)
		}
	}()
	if got, err := c.Expect(soon(t), re); err != nil || got[2] != "3" {
		t.Errorf("Expect = %q, %v; want what came in pieces", got, err)
	}
	if got := c.Seen(re); got == nil || got[2] != "3" {
		t.Errorf("Seen = %q; want the last", got)
	}
}

func TestExpectDeadline(t *testing.T) {
	c, guest := fakeConsole(t, nil)
	print(t, guest, "something else\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Expect(ctx, regexp.MustCompile("login:"))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"login:"`) {
		t.Errorf("Expect: %v; want the deadline and what was waited for", err)
	}
	// The cursor has not moved.
	if _, err := c.Expect(soon(t), regexp.MustCompile("something")); err != nil {
		t.Error(err)
	}
}

func TestExpectEnd(t *testing.T) {
	c, guest := fakeConsole(t, nil)
	print(t, guest, "last words")
	guest.Close()
	if _, err := c.Expect(soon(t), regexp.MustCompile("words")); err != nil {
		t.Errorf("what came last: %v", err)
	}
	if _, err := c.Expect(soon(t), regexp.MustCompile("more")); !errors.Is(err, errGone) {
		t.Errorf("after the end: %v; want %v", err, errGone)
	}
}

// TestConsoleGoesOn restarts the machine under an Expect, in the middle of what
// is waited for.
func TestConsoleGoesOn(t *testing.T) {
	c := newConsole(nil)
	for _, text := range []string{"before and ", "after\n"} {
		ours, guest := net.Pipe()
		go func() {
			io.WriteString(guest, text)
			guest.Close()
		}()
		c.serve(ours)
	}
	if _, err := c.Expect(soon(t), regexp.MustCompile("before and after\n")); err != nil {
		t.Error(err)
	}
	if c.Seen(regexp.MustCompile("after")) == nil || c.Seen(regexp.MustCompile("before")) != nil {
		t.Error("Seen looks at another boot than the last")
	}
}

func TestConsoleSendAndRaw(t *testing.T) {
	var raw bytes.Buffer
	c, guest := fakeConsole(t, &raw)
	print(t, guest, "x\n") // so that it is served
	go c.Send("root\n")
	buf := make([]byte, 5)
	if _, err := io.ReadFull(guest, buf); err != nil || string(buf) != "root\n" {
		t.Errorf("guest read %q, %v", buf, err)
	}
	print(t, guest, "\x1b[1mbold\x1b[0m\n")
	if _, err := c.Expect(soon(t), regexp.MustCompile(`x\nbold\n`)); err != nil {
		t.Error(err)
	}
	if raw.String() != "x\n\x1b[1mbold\x1b[0m\n" {
		t.Errorf("raw = %q", raw.String())
	}
}

func TestConsoleTail(t *testing.T) {
	c, guest := fakeConsole(t, nil)
	print(t, guest, "a\n\n  \nb \nc\nd")
	if _, err := c.Expect(soon(t), regexp.MustCompile("d")); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int][]string{0: {}, 1: {"d"}, 4: {"a", "b", "c", "d"}, 5: {"a", "b", "c", "d"}} {
		if got := c.Tail(n); !slices.Equal(got, want) {
			t.Errorf("Tail(%d) = %q; want %q", n, got, want)
		}
	}
}

// TestConsoleLimit prints more than is kept, with the cursor in what goes.
func TestConsoleLimit(t *testing.T) {
	c := newConsole(nil)
	line := []byte(strings.Repeat("x", 1<<10-1) + "\n")
	for n := 0; n < 2*maxConsole; n += len(line) {
		c.add(line)
	}
	if len(c.text) != 2*maxConsole {
		t.Errorf("at the limit %d bytes are kept; want %d", len(c.text), 2*maxConsole)
	}
	c.cursor = 10
	c.add([]byte("end\n"))
	if len(c.text) != maxConsole || c.cursor != 0 {
		t.Errorf("beyond it %d bytes, cursor %d; want %d and 0", len(c.text), c.cursor, maxConsole)
	}
	if _, err := c.Expect(soon(t), regexp.MustCompile("end\n")); err != nil {
		t.Error(err)
	}
}

func TestPlainText(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"text", "a b\tc\r\nd", "a b\tc\nd"},
		{"colour", "\x1b[0;1;39mUnit\x1b[0m", "Unit"},
		{"place", "one\x1b[15;33Htwo\x1b[16;1f\x1b[2Jthree", "one\ntwo\nthree"},
		{"mode", "\x1b[=3hx\x1b[?25ly", "xy"},
		{"title to BEL", "\x1b]0;title\x07x", "x"},
		{"title to ST", "\x1b]0;title\x1b\\x", "x"},
		{"charset", "\x1b(Bx\x1b)0y", "xy"},
		{"short escape", "\x1b7x\x1b=y\x1bMz", "xyz"},
		{"escape twice", "\x1b\x1b[1mx", "x"},
		{"backspace and delete", "a\x08b\x7fc\x00d", "abcd"},
		{"UTF-8", "Starting…", "Starting…"},
		{"unfinished", "x\x1b[12", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var whole plainText
			if got := string(whole.appendTo(nil, []byte(tt.in))); got != tt.want {
				t.Errorf("at once: %q; want %q", got, tt.want)
			}
			var pieces plainText
			var got []byte
			for i := range len(tt.in) {
				got = pieces.appendTo(got, []byte{tt.in[i]})
			}
			if string(got) != tt.want {
				t.Errorf("byte by byte: %q; want %q", got, tt.want)
			}
		})
	}
}

// FuzzPlainText: no escape is left, however the stream is cut.
func FuzzPlainText(f *testing.F) {
	f.Add([]byte("\x1b[15;33HFirst\x1b]0;t\x07\x1b(B\x1bP1\x1b\\x"), 7)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var whole, parts plainText
		want := whole.appendTo(nil, b)
		at := max(0, min(cut, len(b)))
		got := parts.appendTo(parts.appendTo(nil, b[:at]), b[at:])
		if !bytes.Equal(got, want) || bytes.IndexByte(want, asciiESC) >= 0 || len(want) > len(b) {
			t.Errorf("%q: at once %q, in two pieces %q", b, want, got)
		}
	})
}
