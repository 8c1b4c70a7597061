package grubcfg

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     string // "" is an error
	}{
		{"plain", "root=PARTUUID=00", "root=PARTUUID=00"},
		{"value in quotes", `dyndbg="file a +p"`, `"dyndbg=file a +p"`},
		{"value in quotes for nothing", `a="b"`, "a=b"},
		{"empty value", `a=""`, "a="},
		{"all in quotes", `"dyndbg=file a +p"`, `"dyndbg=file a +p"`},
		{"first = of two", `a=b="c d"`, ""},
		{"dollar", "a=$b", "a=$b"},
		{"space", "a b", ""},
		{"space before quotes", `a b="c d"`, `"a b=c d"`},
		{"quotes inside", `a="b"c"`, ""},
		{"open quotes", `a="b`, ""},
		{"one double quote", `"`, ""},
		{"two double quotes", `""`, ""},
		{"single quote", "a='b'", ""},
		{"backslash", `a\x2db`, ""},
		{"empty", "", ""},
		{"two lines", "a\nb", ""},
		{"tab", "a\tb", ""},
		{"not UTF-8", "a\xff", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CommandLine([]string{tt.in})
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q: %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
	got, err := CommandLine([]string{"a", `b="c d"`, "e"})
	if err != nil || got != `a "b=c d" e` {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := CommandLine(nil); err != nil || got != "" {
		t.Errorf("none: %q, %v", got, err)
	}
}

// words are some that quotes are for, and some that need none.
var words = []string{"a", "", "a b", "it's", `"`, `\`, "$x", "${x}", "a;b", "{", "}", "#", "*", "a|b&c<d>", "if", "menuentry", "ä", "-", "a=b", "'", "''", `\'`, "!"}

// TestQuote wants words back, from our reader and from a shell, whose single quotes and
// backslash are those of GRUB.
func TestQuote(t *testing.T) {
	imgtest.Need(t, "sh")
	var line []string
	for _, w := range words {
		line = append(line, quote(w))
	}
	got, err := split("\t" + strings.Join(line, " ") + "\n")
	if err != nil || !slices.Equal(got, words) {
		t.Errorf("%q, %v; want %q", got, err, words)
	}
	out, err := exec.Command("sh", "-c", `for w in "$@" `+strings.Join(line, " ")+`; do printf '%s\0' "$w"; done`, "sh").Output()
	if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(out) != want {
		t.Errorf("sh: %q, %v; want %q", out, err, want)
	}
	for _, reserved := range []string{"if", "done", "menuentry"} {
		if quote(reserved) != "'"+reserved+"'" {
			t.Errorf("%s: the word of the language has no quotes", reserved)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, w := range words {
		f.Add(w, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsAny(a+b, "\r\n") {
			return
		}
		got, err := split(quote(a) + " " + quoted(b))
		if err != nil || !slices.Equal(got, []string{a, b}) {
			t.Errorf("%q and %q: %q, %v", a, b, got, err)
		}
	})
}

// FuzzParse: what is read is what was written, to the byte.
func FuzzParse(f *testing.F) {
	e := Entry{ID: "x", Title: "it's", Linux: "/l", Initrd: []string{"/i", "/j"}, Options: `a "b c" d`}
	for _, c := range []Conf{{Timeout: 3, Default: "x", Entries: []Entry{e}, Custom: true}, {Default: "y"}} {
		text, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	custom, err := EncodeCustom([]Entry{e})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(custom)
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := Parse(data); err == nil {
			if again, err := c.Encode(); err != nil || string(again) != string(data) {
				t.Errorf("%q: %q, %v", data, again, err)
			}
		}
		if list, err := ParseCustom(data); err == nil {
			if again, err := EncodeCustom(list); err != nil || string(again) != string(data) {
				t.Errorf("%q: %q, %v", data, again, err)
			}
		}
	})
}

// FuzzCommandLine: the kernel's command line of parameters comes back out of a line that
// is written for them.
func FuzzCommandLine(f *testing.F) {
	f.Add("root=x", `a="b c"`)
	f.Add(`"a b"`, "it's")
	f.Fuzz(func(t *testing.T, a, b string) {
		options, err := CommandLine([]string{a, b})
		if err != nil {
			return
		}
		if !utf8.ValidString(options) || strings.ContainsAny(options, "\n\\'") {
			t.Errorf("%q and %q: %q", a, b, options)
		}
		list, err := arguments(options)
		if err != nil || len(list) != 2 {
			t.Fatalf("%q and %q: %q, then %q, %v", a, b, options, list, err)
		}
		if back := received(list[0]) + " " + received(list[1]); back != options {
			t.Errorf("%q: %q", options, back)
		}
	})
}
