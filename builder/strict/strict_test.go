package strict

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// sample has a field of every kind that a document can fill.
type sample struct {
	Extends string   `toml:"extends"`
	Text    string   `toml:"text"`
	Flag    bool     `toml:"flag"`
	Small   int8     `toml:"small"`
	Count   uint16   `toml:"count"`
	Hex     hex      `toml:"hex"`
	Words   []string `toml:"words"`
	Inner   inner    `toml:"inner"`
	Items   []item   `toml:"items"`
	Hidden  string   `toml:"-"`
	Untold  string
}

type inner struct {
	Text  string `toml:"text"`
	Depth deeper `toml:"depth"`
}

type deeper struct {
	Words []string `toml:"words"`
}

type item struct {
	Name  string   `toml:"name"`
	Count uint16   `toml:"count"`
	Words []string `toml:"words"`
	Maybe *bool    `toml:"maybe"`
}

// hex is a type that reads itself, of digits that may be written as a number.
type hex int

func (h *hex) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 16, 32)
	if err != nil {
		return fmt.Errorf("expected hexadecimal digits, found %q", text)
	}
	*h = hex(n)
	return nil
}

func TestDecode(t *testing.T) {
	tests := []struct {
		name, in string
		want     sample
	}{
		{"nothing", "", sample{}},
		{"scalars", "text = 'a\"b'\nflag = true\nsmall = -128\ncount = 0xffff\nhex = 'fF'", sample{Text: `a"b`, Flag: true, Small: -128, Count: 65535, Hex: 255}},
		{"zeros", "text = ''\nflag = false\nsmall = 0\ncount = 0\nhex = 0", sample{}},
		{"text as a number", "hex = 10", sample{Hex: 16}},
		{"escapes", `text = "\t\u00e9\x41"`, sample{Text: "\té" + "A"}},
		{"lists", "words = ['b', \"a\"]\ninner.depth.words = []", sample{Words: []string{"b", "a"}, Inner: inner{Depth: deeper{[]string{}}}}},
		{"tables", "[inner]\ntext = 'x'\n[inner.depth]\nwords = ['y']", sample{Inner: inner{"x", deeper{[]string{"y"}}}}},
		{"table after its own", "[inner.depth]\nwords = ['y']\n[inner]\ntext = 'x'", sample{Inner: inner{"x", deeper{[]string{"y"}}}}},
		{"inline", "inner = {text = 'x', depth.words = ['y']}", sample{Inner: inner{"x", deeper{[]string{"y"}}}}},
		{"array of tables", "[[items]]\nname = 'a'\ncount = 1\n[[items]]\nname = 'b'\nwords = ['w']", sample{Items: []item{{Name: "a", Count: 1}, {Name: "b", Words: []string{"w"}}}}},
		{"array of tables inline", "items = [{name = 'a', count = 1}]", sample{Items: []item{{Name: "a", Count: 1}}}},
		{"said, and not said", "[[items]]\nname = 'a'\nmaybe = false\n[[items]]\nname = 'b'", sample{Items: []item{{Name: "a", Maybe: new(bool)}, {Name: "b"}}}},
		{"CRLF and comments", "# c\r\ntext = 'x' # d\r\n", sample{Text: "x"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got sample
			if _, err := Decode("f.toml", []byte(test.in), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Decode(%q): -want +got\n%s", test.in, diff)
			}
		})
	}
}

func TestDecodeProblems(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"unknown", "txet = 1", "f:1:1: txet: unknown key; did you mean text?"},
		{"unknown and far", "zzzzz = 1", "f:1:1: zzzzz: unknown key; expected one of count, extends, flag, hex, inner, items, small, text, words"},
		{"unknown in a table", "[inner]\nx.y = 1", "f:2:1: inner.x: unknown key; expected one of depth, text"},
		{"unknown table", "[ineer]\na = 1\nb = 2", "f:1:2: ineer: unknown key; did you mean inner?"},
		{"tag that hides", "- = 1\nHidden = 1", "2 problems\n" +
			"f:1:1: -: unknown key; expected one of count, extends, flag, hex, inner, items, small, text, words\n" +
			"f:2:1: Hidden: unknown key; expected one of count, extends, flag, hex, inner, items, small, text, words"},
		{"number for text", "text = 1", "f:1:8: text: expected text in quotes, found integer 1"},
		{"date for text", "text = 2020-01-02", "f:1:8: text: expected text in quotes, found 2020-01-02"},
		{"text for truth", "flag = 'true'", `f:1:8: flag: expected true or false, found text "true"`},
		{"float", "small = 1.0", "f:1:9: small: expected a whole number, found 1.0"},
		{"below", "small = -129", "f:1:9: small: expected a whole number from -128 to 127, found -129"},
		{"above", "small = 128", "f:1:9: small: expected a whole number from -128 to 127, found 128"},
		{"negative", "count = -1", "f:1:9: count: expected a whole number from 0 to 65535, found -1"},
		{"above unsigned", "count = 65536", "f:1:9: count: expected a whole number from 0 to 65535, found 65536"},
		{"above everything", "count = 9223372036854775808", "2 problems\nf:1:9: count: 9223372036854775808: not a number or date of TOML\nf:1:9: count: expected a whole number, found 9223372036854775808"},
		{"own type", "hex = 'xyz'", `f:1:7: hex: expected hexadecimal digits, found "xyz"`},
		{"own type of the wrong kind", "hex = []", "f:1:1: hex: expected an integer or text in quotes, found a list"},
		{"list", "words = 'a'", `f:1:9: words: expected a list, found text "a"`},
		{"elements", "words = [1, 'a', []]", "2 problems\nf:1:1: words[2]: expected text in quotes, found a list\nf:1:10: words[0]: expected text in quotes, found integer 1"},
		{"listed twice", "words = [\n'a',\n'a']", `f:3:1: words[1]: "a" is listed twice, first at line 2`},
		{"table", "inner = true", "f:1:9: inner: expected a table, found true"},
		{"table for a list", "[words]\na = 1", "f:1:2: words: expected a list, found a table"},
		{"table for text", "[text]", "f:1:2: text: expected text in quotes, found a table"},
		{"no name", "[[items]]\ncount = 1", "f:1:3: items[0]: the name is missing"},
		{"name twice", "[[items]]\nname = 'a'\n[[items]]\nname = 'a'", `f:3:3: items.a: "a" is listed twice, first at line 1`},
		{"in an element", "[[items]]\nname = 'a b'\ncout = 1", `f:3:1: items."a b".cout: unknown key; did you mean count?`},
		{"number for what may be said", "[[items]]\nname = 'a'\nmaybe = 1", "f:3:9: items.a.maybe: expected true or false, found integer 1"},
		{"column counts letters", "inner = {text = 'äöü', texd = 1}", "f:1:24: inner.texd: unknown key; did you mean text?"},
		{"long value", "flag = '" + strings.Repeat("x", 70) + "'", `f:1:8: flag: expected true or false, found text "` + strings.Repeat("x", 60) + `..."`},
		{"taken away", "words = ['!a']", `f:1:10: words: "!a" takes away what is not inherited`},
		{"in a table that is set twice", "[inner]\n[inner]\ntxet = 1\n[inner.text]", "3 problems\nf:2:2: inner: set twice, first at line 1\nf:3:1: inner.txet: unknown key; did you mean text?\nf:4:8: inner.text: expected text in quotes, found a table"},
		{"several", "text = 1\nflag = 2\nwordz = 3", "3 problems\n" +
			"f:1:8: text: expected text in quotes, found integer 1\nf:2:8: flag: expected true or false, found integer 2\nf:3:1: wordz: unknown key; did you mean words?"},
		{"syntax", "flag = 1\ntext = \nwords = 1", "2 problems\nf:1:8: flag: expected true or false, found integer 1\nf:2:8: syntax: unexpected character U+000A at start of value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got sample
			o, err := Decode("f", []byte(test.in), &got)
			if err == nil {
				t.Fatalf("Decode(%q) = %+v; want an error", test.in, got)
			}
			if err.Error() != test.want || o != nil {
				t.Errorf("Decode(%q):\n%v\nwant\n%s", test.in, err, test.want)
			}
			var problems Problems
			if fault.ClassOf(err) != fault.Config || !errors.As(err, &problems) {
				t.Errorf("class %d, %T; want %d, Problems", fault.ClassOf(err), err, fault.Config)
			}
		})
	}
}

// TestFillTakesOut wants nothing in the tree afterwards that does not fit.
func TestFillTakesOut(t *testing.T) {
	doc, _, _ := parse("f", []byte("x = 1\ntext = 5\nflag = true\nwords = [1, 'a', 'a']\n[inner]\ny = 1\ntext = 'b'\n[[items]]\nname = 'n'\nz = 1\n[[items]]\ncount = 1\n"))
	problems, broken := fillNoting(reflect.ValueOf(&sample{}).Elem(), doc)
	var kept []string
	for key := range origins(doc) {
		kept = append(kept, key)
	}
	slices.Sort(kept)
	if want := []string{"", "flag", "inner", "inner.text", "items", "items.n", "items.n.name", "words", "words[0]"}; !slices.Equal(kept, want) {
		t.Errorf("kept %q; want %q", kept, want)
	}
	slices.Sort(broken)
	broken = slices.Compact(broken)
	if want := []string{"items", "items[1]", "text", "words", "words[0]", "words[2]"}; !slices.Equal(broken, want) || len(problems) != 7 {
		t.Errorf("broken %q, %d problems; want %q, 7", broken, len(problems), want)
	}
}

// TestDuplicates holds the rules of TOML about what may be defined where.
func TestDuplicates(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"key", "text = 'a'\ntext = 'b'", "f:2:1: text: set twice, first at line 1"},
		{"inline", "inner = {text = 'a', text = 'b'}", "f:1:22: inner.text: set twice, first at line 1"},
		{"header", "[inner]\n[inner]", "f:2:2: inner: set twice, first at line 1"},
		{"header after inline", "inner = {}\n[inner]", "f:2:2: inner: set twice, first at line 1"},
		{"header after dots", "inner.text = 'a'\n[inner]", "f:2:2: inner: set twice, first at line 1"},
		{"dots after header", "[inner.depth]\n[inner]\ndepth.words = []", "f:3:1: inner.depth: set twice, first at line 1"},
		{"dots into inline", "inner = {}\ninner.text = 'a'", "f:2:1: inner: set twice, first at line 1"},
		{"dots into text", "text = 'a'\ntext.b = 1", "f:2:1: text: set twice, first at line 1"},
		{"header through text", "text = 'a'\n[text.b]", "f:2:2: text: is a table here, but text \"a\" at line 1"},
		{"header through inline", "inner = {}\n[inner.depth]", "f:2:2: inner: is a table here, but a table at line 1"},
		{"array after list", "items = []\n[[items]]", "f:2:3: items: is an array of tables here, but a list at line 1"},
		{"array after header", "[inner]\n[[inner]]", "f:2:3: inner: is an array of tables here, but a table at line 1"},
		{"header after array", "[[items]]\nname = 'a'\n[items]", "f:3:2: items: set twice, first at line 1"},
		{"in an element", "[[items]]\nname = 'a'\nname = 'b'", "f:3:1: items[0].name: set twice, first at line 2"},
		{"in the second element", "[[items]]\nname = 'a'\n[[items]]\nname = 'b'\nname = 'c'", "f:5:1: items[1].name: set twice, first at line 4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, problems, complete := parse("f", []byte(test.in))
			if got := problems.Error(); got != test.want || !complete {
				t.Errorf("parse(%q) = %s, complete %v; want %s", test.in, got, complete, test.want)
			}
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	for _, n := range []int{maxProblems - 1, maxProblems, maxProblems + 1} {
		var problems Problems
		for i := range n {
			problems = append(problems, Problem{Position{"f", i + 1, 1}, "k", "wrong"})
		}
		text := problems.Error()
		if lines := strings.Count(text, "\n"); lines > maxProblems+1 || strings.Contains(text, "and 1 more") != (n > maxProblems) {
			t.Errorf("%d problems: %d lines, ending in %q", n, lines, text[len(text)-20:])
		}
	}
}

func TestEmptyLists(t *testing.T) {
	l := Library{Kind: "thing", Builtin: files(map[string]string{"a": "[[items]]\nname = 'x'"})}
	var got sample
	if _, err := l.Resolve("a", nil, &got, func(*Findings) {}); err != nil {
		t.Fatal(err)
	}
	want := sample{Words: []string{}, Inner: inner{Depth: deeper{[]string{}}}, Items: []item{{Name: "x", Words: []string{}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
