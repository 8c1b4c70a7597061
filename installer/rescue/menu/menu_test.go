package menu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entries are three of a program p.
func entries() []Entry {
	return []Entry{
		{Title: "bring it back", Command: []string{"recover"}, Explain: "recover brings\nit back."},
		{Title: "look", Command: []string{"inventory"}},
		{Title: "a shell", Command: []string{"sh", "-i"}},
	}
}

func TestLoop(t *testing.T) {
	const unknown = `expected a number from 1 to 3, or a name such as recover; Enter shows the menu`
	tests := []struct {
		name  string
		input string
		stays bool
		ran   []string // commands
		want  []string // parts of the output, in this order
		err   error
	}{
		{"number", "2\n", false, []string{"inventory"}, []string{"  1  recover    bring it back\n  2  inventory  look\n", "\nsame as: p inventory\n", "inventory has ended. Enter shows the menu.\nrescue> "}, nil},
		{"name", "recover\n", false, []string{"recover"}, []string{"recover brings\nit back.\nsame as: p recover\n"}, nil},
		{"the command line that is shown", " p recover  --x y\n", false, []string{"recover --x y"}, []string{"same as: p recover --x y"}, nil},
		{"arguments of the entry", "3\n", false, []string{"sh -i"}, []string{"same as: p sh -i\n"}, nil},
		{"first and last", "1\n3\n", false, []string{"recover", "sh -i"}, nil, nil},
		{"beyond", "0\n4\n-1\n", false, nil, []string{`"0": ` + unknown, `"4": ` + unknown, `"-1": ` + unknown}, nil},
		{"unknown", "reboot\n", false, nil, []string{`"reboot": ` + unknown + "\nrescue> "}, nil},
		{"program alone", "p\n", false, nil, []string{`"p": ` + unknown}, nil},
		{"noise", "\x1b[2J\xff" + strings.Repeat("a", 300) + "\n", false, nil, []string{`"\x1b[2J\ufffdaaaaaaaaaaaaaaa...": ` + unknown}, nil},
		{"empty line", "\n", false, nil, []string{"rescue> \nstate\n", "  1  recover"}, nil},
		{"failure", "fail\n", false, []string{"fail"}, []string{"fail has ended: code 4. Enter"}, nil},
		{"exit", "exit\n1\n", false, nil, nil, nil},
		{"exit of one that stays", "exit\n", true, nil, []string{`"exit": ` + unknown}, ErrNoInput},
		{"end within a line", "1", false, []string{"recover"}, nil, nil},
		{"end of one that stays", "1\n", true, []string{"recover"}, nil, ErrNoInput},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			var ran []string
			m := Menu{
				Program: "p", Entries: entries(), In: strings.NewReader(tt.input), Out: &out, Stays: tt.stays,
				State: func() []string { return []string{"state"} },
				Run: func(_ context.Context, e Entry) error {
					ran = append(ran, strings.Join(e.Command, " "))
					if e.Command[0] == "fail" {
						return errors.New("code 4")
					}
					return nil
				},
			}
			if strings.HasPrefix(tt.input, "fail") {
				m.Entries = append(m.Entries, Entry{Title: "fail", Command: []string{"fail"}})
			}
			if err := m.Loop(t.Context()); !errors.Is(err, tt.err) {
				t.Errorf("error %v; want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.ran, ran); diff != "" {
				t.Errorf("ran (-want +got):\n%s", diff)
			}
			rest := out.String()
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("output lacks %q, or has it earlier:\n%s", want, &out)
				}
				rest = after
			}
		})
	}
}

// TestInputIsTheEntrys: what is behind the line that chooses an entry is for that.
func TestInputIsTheEntrys(t *testing.T) {
	in := strings.NewReader("1\nyes\n2\n")
	var got []string
	m := Menu{Program: "p", Entries: entries(), In: in, Out: io.Discard, Run: func(_ context.Context, e Entry) error {
		answer, err := readLine(in)
		got = append(got, e.Command[0]+" "+answer)
		return err
	}}
	if err := m.Loop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"recover yes", "inventory "}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// TestEnds: Ctrl-D does not end a menu that stays, a console without input does.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		ends int // in a row, before a line
		want error
	}{{maxEnds - 1, nil}, {maxEnds, ErrNoInput}, {maxEnds + 1, ErrNoInput}} {
		ctx, cancel := context.WithCancel(t.Context())
		ran := false
		m := Menu{Program: "p", Entries: entries(), In: &ending{ends: tt.ends, then: "1\n"}, Out: io.Discard, Stays: true, Run: func(context.Context, Entry) error {
			ran = true
			cancel()
			return nil
		}}
		err := m.Loop(ctx)
		if tt.want == nil && (!ran || !errors.Is(err, context.Canceled)) || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%d ends: ran %v, error %v; want %v", tt.ends, ran, err, tt.want)
		}
		cancel()
	}
}

// ending is a terminal whose input ends some times and then goes on. At last it does not
// answer any more.
type ending struct {
	ends int
	then string
}

func (e *ending) Read(b []byte) (int, error) {
	if e.ends > 0 {
		e.ends--
		return 0, io.EOF
	}
	if e.then == "" {
		select {}
	}
	n := copy(b, e.then)
	e.then = e.then[n:]
	return n, nil
}

// TestFound: what is found comes while the menu waits, and goes when an entry has run.
func TestFound(t *testing.T) {
	found, in, out := make(chan string), make(chan string), make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	m := Menu{Program: "p", Entries: entries(), In: lines(in), Out: screen(out), Found: found, Run: func(context.Context, Entry) error { return nil }}
	ended := make(chan error, 1)
	go func() { ended <- m.Loop(ctx) }()
	shown := func() string {
		text := ""
		for !strings.HasSuffix(text, "rescue> ") {
			text += <-out
		}
		return text
	}
	if text := shown(); !strings.Contains(text, "are being looked at") {
		t.Errorf("first:\n%s", text)
	}
	found <- "DANGER  disk: a session sleeps\n"
	if text := shown(); !strings.Contains(text, "\nDANGER  disk: a session sleeps\n\n  1  recover") {
		t.Errorf("once it was found:\n%s", text)
	}
	in <- "\n"
	if text := shown(); !strings.Contains(text, "DANGER") {
		t.Errorf("shown again:\n%s", text)
	}
	in <- "2\n"
	shown()
	in <- "\n"
	if text := shown(); strings.Contains(text, "DANGER") {
		t.Errorf("after an entry has run:\n%s", text)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(in)
}

// lines is an input of what is sent.
type lines chan string

func (l lines) Read(b []byte) (int, error) {
	text, ok := <-l
	if !ok {
		return 0, io.EOF
	}
	b[0] = text[len(text)-1]
	if len(text) > 1 { // a digit and the end of its line
		b[0] = text[0]
		go func() { l <- text[1:] }()
	}
	return 1, nil
}

// screen hands out what is written.
type screen chan string

func (s screen) Write(b []byte) (int, error) {
	s <- string(b)
	return len(b), nil
}

// TestCut: what was found leaves room for the entries.
func TestCut(t *testing.T) {
	for _, tt := range []struct{ rows, entries, lines, want int }{
		{0, 3, 14, 14}, {0, 3, 15, 14}, {0, 16, 6, 6}, {0, 16, 7, 6}, {40, 16, 17, 17}, {40, 16, 18, 17},
	} {
		m := Menu{Rows: tt.rows, Entries: make([]Entry, tt.entries)}
		var in []string
		for i := range tt.lines {
			in = append(in, fmt.Sprint(i))
		}
		got := m.cut(in)
		if len(got) != tt.want || tt.want < tt.lines && got[tt.want-1] != fmt.Sprintf("... and %d lines more: inventory", tt.lines-tt.want+1) {
			t.Errorf("%d rows, %d entries, %d lines: %q; want %d", tt.rows, tt.entries, tt.lines, got, tt.want)
		}
	}
}
